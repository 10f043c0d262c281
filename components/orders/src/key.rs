//! `Idempotency-Key`: the same request twice makes one order.
//!
//! A key belongs to whoever the token speaks for and is kept for a day. It is written in the
//! transaction that begins the order and goes with an order that fails, so that a failure is not
//! remembered. While its order is in the making, others with the same key wait for it.

use std::fmt::Write;

use sdk::{
    Error, Request, Timestamp, Uuid, params,
    postgres::{self, FromRow, Row, Statements},
};

use crate::{
    order::{Line, Order},
    status::Status,
    store::Store,
};

const KEPT_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// Longer than a request may take: whoever began an order this long ago is gone.
const ABANDONED_MICROS: i64 = 10 * 1_000_000;
/// Old keys that are thrown away with each new one.
const PRUNED_AT_ONCE: i64 = 20;

const USED: Error = Error::Conflict("This `Idempotency-Key` has been used for another order");

/// A client's key and what it was sent with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) asker: String,
    pub(crate) key: String,
    pub(crate) request: String,
}

/// What has become of the first request with a key.
pub(crate) enum First {
    /// The order as it was then.
    Made(Box<Order>),
    OnItsWay,
    /// Whoever made this order is gone.
    Abandoned(Uuid),
}

impl Key {
    pub(crate) fn of(request: &mut Request, user: Uuid, lines: &[Line]) -> Result<Option<Self>, Error> {
        let key = request.idempotency_key()?;
        let asker = request.user_id().unwrap_or_default();
        Ok(key.map(|key| Self { asker, key, request: spelled(user, lines) }))
    }
}

/// What is asked for, in one spelling: bodies that are the same JSON value are the same here.
fn spelled(user: Uuid, lines: &[Line]) -> String {
    let mut text = user.to_string();
    for line in lines {
        write!(text, " {}x{}", line.quantity, line.product).expect("a string");
    }
    text
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_are_the_same_when_they_ask_for_the_same_lines_in_the_same_order() {
        let line = |product, quantity| Line { product: Uuid::from_u128(product), quantity };
        let spelled = |user, lines: &[Line]| spelled(Uuid::from_u128(user), lines);
        let first = spelled(1, &[line(2, 3), line(4, 5)]);
        assert_eq!(first, spelled(1, &[line(2, 3), line(4, 5)]));
        for other in [
            spelled(2, &[line(2, 3), line(4, 5)]),
            spelled(1, &[line(4, 5), line(2, 3)]),
            spelled(1, &[line(2, 3)]),
            spelled(1, &[line(2, 4), line(4, 5)]),
        ] {
            assert_ne!(first, other);
        }
    }
}
