//! What the world is told of orders, and what this service tells itself.

use std::time::Duration;

use sdk::{Error, Timestamp, Uuid, messaging::Event};
use serde::{Deserialize, Serialize};
use shop::Money;

use crate::{order::Order, status::Status};

const CREATED: &str = "order.created";
const STATUS_CHANGED: &str = "order.status_changed";
/// To itself: look at this order again, and give back the stock that it should not have.
const CHECK: &str = "orders.check";

/// How long an order may be in the making before it is looked at; a request ends long before.
const CHECK_AFTER: Duration = Duration::from_secs(60);
/// Its name in the environment, in milliseconds.
const CHECK_AFTER_MS: &str = "CHECK_AFTER_MS";

/// The body of `order.*`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    order_id: Uuid,
    user_id: Uuid,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Status>,
    total: Money,
    at: Timestamp,
}

/// The body of [`CHECK`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    pub(crate) order_id: Uuid,
}

pub(crate) fn created(order: &Order) -> Result<Event, Error> {
    Ok(Event::json(CREATED, &Told::of(order, None, order.created_at))?.key(order.id))
}

pub(crate) fn status_changed(order: &Order, previous: Status) -> Result<Event, Error> {
    Ok(Event::json(STATUS_CHANGED, &Told::of(order, Some(previous), Timestamp::now()))?.key(order.id))
}

/// This service is to look at the order again.
pub(crate) fn check(order: Uuid) -> Result<Event, Error> {
    Ok(Event::json(CHECK, &Check { order_id: order })?.key(order))
}

impl Told {
    fn of(order: &Order, previous: Option<Status>, at: Timestamp) -> Self {
        let Order { id, user_id, total, status, .. } = order;
        Self { order_id: *id, user_id: *user_id, status: *status, previous, total: *total, at }
    }
}

pub(crate) fn check_after() -> Duration {
    let set = std::env::var(CHECK_AFTER_MS).ok().and_then(|text| text.parse().ok());
    set.map_or(CHECK_AFTER, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_which_order_whose_and_what_has_become_of_it() {
        let order = Order {
            id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            items: Vec::new(),
            total: Money::parse("19.90").unwrap(),
            status: Status::Pending,
            created_at: Timestamp::from_micros(0),
        };
        let told = |previous| serde_json::to_string(&Told::of(&order, previous, Timestamp::from_micros(1000))).unwrap();
        let ids = r#""orderId":"00000000-0000-0000-0000-000000000001","userId":"00000000-0000-0000-0000-000000000002""#;
        let rest = r#""total":19.9,"at":"1970-01-01T00:00:00.001Z"}"#;
        assert_eq!(told(None), format!(r#"{{{ids},"status":"pending",{rest}"#));
        assert_eq!(
            told(Some(Status::Confirmed)),
            format!(r#"{{{ids},"status":"pending","previous":"confirmed",{rest}"#)
        );
    }
}
