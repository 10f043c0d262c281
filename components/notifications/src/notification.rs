//! What a notification is, and how one is made of an order event.

use sdk::{Timestamp, Uuid, openapi::Described};
use serde::{Deserialize, Serialize};

/// The body of `order.*`, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderEvent {
    order_id: Uuid,
    user_id: Uuid,
    status: Option<String>,
}

/// A notification, as stored and as shown.
#[derive(Debug, Serialize, Described)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    /// The event's.
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    order_id: Uuid,
    /// The event's topic: `order.created`.
    kind: String,
    message: String,
    created_at: Timestamp,
}

impl Notification {
    /// `id` and `created_at` are the event's: whoever makes it again makes the same.
    pub(crate) fn new(id: Uuid, topic: &str, event: &OrderEvent, created_at: Timestamp) -> Self {
        Self {
            id,
            user_id: event.user_id,
            order_id: event.order_id,
            kind: topic.to_owned(),
            message: message(topic, event),
            created_at,
        }
    }
}

/// A sentence for a person. Words of statuses that nobody has told us of are not repeated.
fn message(topic: &str, event: &OrderEvent) -> String {
    let order = event.order_id;
    match (topic, event.status.as_deref()) {
        ("order.created", _) => format!("Your order {order} was received"),
        (_, Some(status @ ("pending" | "confirmed" | "shipped" | "delivered" | "cancelled"))) => {
            format!("Your order {order} is now {status}")
        }
        _ => format!("There is news of your order {order}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
    const USER: &str = "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6072";

    fn event(status: &str) -> OrderEvent {
        let body = format!(r#"{{"orderId":"{ORDER}","userId":"{USER}","total":1.5,"status":{status},"later":[]}}"#);
        serde_json::from_str(&body).unwrap()
    }

    #[track_caller]
    fn check(topic: &str, status: &str, expected: &str) {
        assert_eq!(message(topic, &event(status)), expected.replace("ORDER", ORDER));
    }

    #[test]
    fn a_message_says_what_became_of_which_order() {
        check("order.created", "\"pending\"", "Your order ORDER was received");
        check("order.status_changed", "\"shipped\"", "Your order ORDER is now shipped");
        check("order.status_changed", "\"<b>\"", "There is news of your order ORDER");
        check("order.lost", "null", "There is news of your order ORDER");
    }

    #[test]
    fn a_notification_has_the_fields_of_the_contract_and_the_events_id() {
        let shown =
            Notification::new(Uuid::nil(), "order.created", &event("\"pending\""), Timestamp::from_micros(1000));
        let expected = serde_json::json!({
            "id": "00000000-0000-0000-0000-000000000000", "userId": USER, "orderId": ORDER, "kind": "order.created",
            "message": format!("Your order {ORDER} was received"), "createdAt": "1970-01-01T00:00:00.001Z",
        });
        assert_eq!(serde_json::to_value(shown).unwrap(), expected);
    }

    #[test]
    fn a_body_without_an_order_or_a_user_is_none() {
        for body in ["{}", "[]", &format!(r#"{{"orderId":"{ORDER}"}}"#), r#"{"orderId":"7","userId":"8"}"#] {
            assert!(serde_json::from_str::<OrderEvent>(body).is_err(), "{body}");
        }
    }
}
