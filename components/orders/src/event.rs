//! What the world is told of orders, and what this service tells itself.

use sdk::{Error, Timestamp, Uuid, messaging::Event};
use serde::{Deserialize, Serialize};
use shop::Money;

use crate::{order::Order, status::Status};

const CREATED: &str = "order.created";
const STATUS_CHANGED: &str = "order.status_changed";
/// To itself: look at this order again, or at all that are overdue, and give back the stock that none should have.
const CHECK: &str = "orders.check";

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
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order_id: Option<Uuid>,
    /// Instead of one, all that began then and are not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) begun: Option<Span>,
}

/// When orders began, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// The first moment, and behind which of the orders of that moment: those before have been looked at.
    pub(crate) from: (i64, Uuid),
    /// The first moment that is not in it.
    pub(crate) to: i64,
}

pub(crate) fn created(order: &Order) -> Result<Event, Error> {
    Ok(Event::json(CREATED, &Told::of(order, None, order.created_at))?.key(order.id))
}

pub(crate) fn status_changed(order: &Order, previous: Status) -> Result<Event, Error> {
    Ok(Event::json(STATUS_CHANGED, &Told::of(order, Some(previous), Timestamp::now()))?.key(order.id))
}

/// This service is to look at the order again.
pub(crate) fn check(order: Uuid) -> Result<Event, Error> {
    Ok(Event::json(CHECK, &Check { order_id: Some(order), begun: None })?.key(order))
}

/// This service is to look which orders are overdue, of those that began then.
pub(crate) fn look(begun: Span) -> Result<Event, Error> {
    Event::json(CHECK, &Check { order_id: None, begun: Some(begun) })
}

impl Told {
    fn of(order: &Order, previous: Option<Status>, at: Timestamp) -> Self {
        let Order { id, user_id, total, status, .. } = order;
        Self { order_id: *id, user_id: *user_id, status: *status, previous, total: *total, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_an_earlier_build_is_about_one_order() {
        let order = r#"{"orderId":"00000000-0000-0000-0000-000000000001"}"#;
        let told: Check = serde_json::from_str(order).unwrap();
        assert_eq!(told, Check { order_id: Some(Uuid::from_u128(1)), begun: None });
    }

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
