//! Keys of requests in PostgreSQL: what the first request with a key has come to, for as long as it counts.

use sdk::{
    Error, Timestamp, Uuid, params,
    postgres::{self, FromRow, Row, Statements},
};

use super::Store;
use crate::{
    key::{First, Key},
    order::Order,
    status::Status,
};

const KEPT_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// Longer than a request may take: whoever began an order this long ago is gone.
const ABANDONED_MICROS: i64 = 10 * 1_000_000;
/// Old keys that are thrown away with each new one.
const PRUNED_AT_ONCE: i64 = 20;

pub(crate) const USED: Error = Error::Conflict("This `Idempotency-Key` has been used for another order");

struct Found {
    request: String,
    order: Uuid,
    is_reserving: bool,
    is_old: bool,
}

impl Store {
    /// The first request with this key, if there was one and it has not failed.
    pub(crate) fn first(&self, key: &Key) -> Result<Option<First>, Error> {
        let now = Timestamp::now().micros();
        let (kept_since, abandoned_since) = (now - KEPT_MICROS, now - ABANDONED_MICROS);
        let sql = "select request, order_id, orders.status = 'reserving' as is_reserving,
                       orders.created_at < $3 as is_old
                   from idempotency_keys join orders on orders.id = order_id
                   where asker = $1 and key = $2 and idempotency_keys.created_at >= $4";
        let at = Timestamp::from_micros;
        let params = params![&key.asker, &key.key, at(abandoned_since), at(kept_since)];
        let Some(found): Option<Found> = self.database().query_optional(sql, params)? else {
            self.prune(key, at(kept_since))?;
            return Ok(None);
        };
        Ok(match found {
            Found { request, .. } if request != key.request => return Err(USED),
            Found { is_reserving: true, is_old: true, order, .. } => Some(First::Abandoned(order)),
            Found { is_reserving: true, .. } => Some(First::OnItsWay),
            // It was `pending` when it was answered, whatever it is now.
            Found { order, .. } => {
                self.find(order)?.map(|order| First::Made(Box::new(Order { status: Status::Pending, ..order })))
            }
        })
    }

    /// Throws away keys that are too old, this one too.
    fn prune(&self, key: &Key, kept_since: Timestamp) -> Result<(), Error> {
        let sql = "delete from idempotency_keys where (asker, key) in (
                       select asker, key from idempotency_keys where created_at < $1
                       order by asker = $2 and key = $3 desc, created_at limit $4 for update skip locked)";
        self.database().execute(sql, params![kept_since, &key.asker, &key.key, PRUNED_AT_ONCE])?;
        Ok(())
    }
}

impl FromRow for Found {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self {
            request: row.get("request")?,
            order: row.get("order_id")?,
            is_reserving: row.get("is_reserving")?,
            is_old: row.get("is_old")?,
        })
    }
}
