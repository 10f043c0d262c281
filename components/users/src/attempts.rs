//! Failed logins: 10 in 15 minutes for each client address and each account, exactly, however many
//! fail at once and whichever instance they meet. They are counted in the database, one row a key.

use std::net::IpAddr;

use sdk::{
    Error, Timestamp, params,
    postgres::{self, FromRow, Row, Single, Statements as _},
};

use crate::{
    store::{Account, Store, email_key},
    user::User,
};

/// What a login is counted under, and when.
pub(crate) struct Attempt {
    account: String,
    network: String,
    pub(crate) now: Timestamp,
}

/// How many of the two keys are full, and whose email it is.
struct Seen {
    full: i64,
    account: Option<Account>,
}

const TOO_MANY_SAID: &str = "Too many failed logins; try again later";
/// As it is at the longest.
pub(crate) const TOO_MANY: Error = Error::TooManyRequests { sentence: TOO_MANY_SAID, retry_after: 15 * 60 };

impl Attempt {
    /// Without an address, which is only so where no gateway stands in front, all share one key.
    pub(crate) fn new(email: &str, client: Option<IpAddr>, now: Timestamp) -> Self {
        let network = client.map_or_else(|| "unknown".to_owned(), |client| network(client).to_string());
        Self { account: email_key(email), network, now }
    }

    /// What its two rows are named by: the digest of these.
    fn names(&self) -> [Vec<u8>; 2] {
        [("account", &self.account), ("address", &self.network)]
            .map(|(kind, text)| format!("{kind} {text}").into_bytes())
    }
}

impl Store {
    /// The account of the attempt, if its email has one; 429 while one of its keys is full. Nothing
    /// is counted: most logins succeed, and many at once from one address are no attack.
    pub(crate) fn admit(&self, attempt: &Attempt) -> Result<Option<Account>, Error> {
        let sql = "select (
                select count(*) from (
                    select from login_failures, unnest(moments) as moment
                    where key in (sha256($1::bytea), sha256($2::bytea))
                        and moment > $3::timestamptz - interval '15 minutes'
                    group by key having count(*) >= 10
                ) as keys
            ) as full_keys, id, email, name, created_at, updated_at, password_hash
            from (values (1)) as always left join users on email_key = $4";
        let [account, address] = attempt.names();
        let seen: Seen = self.database().query_one(sql, params![account, address, attempt.now, &attempt.account])?;
        if seen.full > 0 { Err(self.too_many(attempt)?) } else { Ok(seen.account) }
    }

    /// Counts a failure under both of its keys, or under none: 429. So however many fail at
    /// the same time, ten of them are told that they failed.
    ///
    /// A key that is known to be full keeps both from being counted; one that becomes full at the
    /// same moment is found by its row, and the other is given back. Rows are taken in the order
    /// of their keys, so that two attempts never wait for one another.
    pub(crate) fn count(&self, attempt: &Attempt) -> Result<(), Error> {
        let sql = "with wanted as (
                select sha256(name) as key from (values ($1::bytea), ($2::bytea)) as names (name)
            ), reserved as (
                insert into login_failures as known (key, moments, latest)
                select key, array[$3::timestamptz], $3::timestamptz from wanted
                where not exists (
                    select from login_failures join wanted using (key)
                    where (select count(*) from unnest(moments) as moment
                           where moment > $3::timestamptz - interval '15 minutes') >= 10
                )
                order by key
                on conflict (key) do update set latest = excluded.latest, moments = array(
                    select moment from unnest(known.moments) as moment
                    where moment > $3::timestamptz - interval '15 minutes' order by moment
                ) || $3::timestamptz
                where (select count(*) from unnest(known.moments) as moment
                       where moment > $3::timestamptz - interval '15 minutes') < 10
                returning key
            )
            select count(*) from reserved";
        let [account, address] = attempt.names();
        let Single(reserved): Single<i64> = self.database().query_one(sql, params![account, address, attempt.now])?;
        match reserved {
            2 => return Ok(()),
            0 => {}
            _ => self.give_back(attempt)?,
        }
        Err(self.too_many(attempt)?)
    }

    /// 429 if one of the attempt's keys has become full since it was admitted. Failures that are being counted at
    /// this moment are waited for by their rows.
    pub(crate) fn confirm(&self, attempt: &Attempt) -> Result<(), Error> {
        let sql = "with known as (
                select moments from login_failures where key in (sha256($1::bytea), sha256($2::bytea))
                order by key for update
            )
            select count(*) from known
            where (select count(*) from unnest(moments) as moment
                   where moment > $3::timestamptz - interval '15 minutes') >= 10";
        let [account, address] = attempt.names();
        let Single(full): Single<i64> = self.database().query_one(sql, params![account, address, attempt.now])?;
        if full > 0 { Err(self.too_many(attempt)?) } else { Ok(()) }
    }

    fn too_many(&self, attempt: &Attempt) -> Result<Error, Error> {
        Ok(Error::TooManyRequests { sentence: TOO_MANY_SAID, retry_after: self.seconds_to_wait(attempt)? })
    }

    /// The attempt no longer counts: one of its keys had no room.
    fn give_back(&self, attempt: &Attempt) -> Result<(), Error> {
        let sql = "with mine as (
                select key from login_failures where key in (sha256($1::bytea), sha256($2::bytea))
                order by key for update
            )
            update login_failures set moments = moments[:array_position(moments, $3::timestamptz) - 1]
                || moments[array_position(moments, $3::timestamptz) + 1:]
            from mine where login_failures.key = mine.key
                and array_position(moments, $3::timestamptz) is not null";
        let [account, address] = attempt.names();
        self.database().execute(sql, params![account, address, attempt.now])?;
        Ok(())
    }

    /// Removes some of what no longer counts: more than an attempt can add, so that the table holds
    /// little more than the attempts of 15 minutes.
    pub(crate) fn forget_expired(&self, now: Timestamp) -> Result<(), Error> {
        let sql = "delete from login_failures where key in (
                select key from login_failures where latest <= $1::timestamptz - interval '15 minutes'
                order by latest limit 10 for update skip locked
            )";
        self.database().execute(sql, params![now])?;
        Ok(())
    }

    /// Until the oldest failure of a full key no longer counts.
    fn seconds_to_wait(&self, attempt: &Attempt) -> Result<u32, Error> {
        let sql = "select max(seconds)::bigint from (
                select ceil(extract(epoch from least(min(moment), $3::timestamptz) + interval '15 minutes' - $3::timestamptz)) as seconds
                from login_failures, unnest(moments) as moment
                where key in (sha256($1::bytea), sha256($2::bytea))
                    and moment > $3::timestamptz - interval '15 minutes'
                group by key having count(*) >= 10
            ) as waits";
        let [account, address] = attempt.names();
        let Single(seconds): Single<Option<i64>> =
            self.database().query_one(sql, params![account, address, attempt.now])?;
        Ok(seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(0).max(1))
    }
}

impl FromRow for Seen {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        let found = row.get::<Option<sdk::Uuid>>("id")?.is_some();
        let account = || Ok(Account { user: User::from_row(row)?, password_hash: row.get("password_hash")? });
        Ok(Self { full: row.get("full_keys")?, account: found.then(account).transpose()? })
    }
}

/// The address itself, or the /64 of an IPv6 one: as much as one client has.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_address_or_its_64_bits_of_network() {
        let key = |client: &str| Attempt::new("a@b.co", client.parse().ok(), Timestamp::from_micros(0)).network;
        assert_eq!(key("192.0.2.7"), "192.0.2.7");
        assert_eq!(key("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("2001:db8:1:2::9"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:3::9"), key("2001:db8:1:2::9"));
        assert_eq!(key("nonsense"), "unknown");
    }

    #[test]
    fn an_account_is_its_email_whatever_the_case() {
        let key = |email: &str| Attempt::new(email, None, Timestamp::from_micros(0)).account;
        assert_eq!(key("Ada@Example.com"), key("ada@example.COM"));
        assert_ne!(key("ada@example.com"), key("bob@example.com"));
    }
}
