//! Events: publishing them, and handling those that a service subscribes to. `permissions.publish` and
//! `permissions.subscribe` decide which.
//!
//! An event is handed over at least once: its [`Delivery::id`] is the same each time, so that a handler
//! can tell what it has done already.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use uuid::Uuid;

use crate::{
    Timestamp,
    bindings::archipel::messaging::types::{self, Message, PublishOptions},
    error::log,
    host::producer,
    postgres,
};
pub use types::Error;

/// An event to publish.
#[derive(Debug, Clone)]
pub struct Event {
    message: Message,
    options: PublishOptions,
}

impl Event {
    /// One whose body is `value` as JSON.
    pub fn json(topic: &str, value: &impl Serialize) -> Result<Self, crate::Error> {
        let body = serde_json::to_vec(value).map_err(|error| crate::Error::internal(error.to_string()))?;
        Ok(Self::bytes(topic, "application/json", body))
    }

    pub fn bytes(topic: &str, content_type: &str, body: Vec<u8>) -> Self {
        let content_type = Some(content_type.to_owned());
        let message = Message { topic: topic.to_owned(), key: None, content_type, headers: Vec::new(), body };
        Self { message, options: PublishOptions { delay_ms: None, dedup_id: None, ttl_ms: None } }
    }

    /// What it is about: an id.
    #[must_use]
    pub fn key(mut self, key: impl ToString) -> Self {
        self.message.key = Some(key.to_string());
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.message.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Nobody is handed it before.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay_ms = Some(millis(delay));
        self
    }

    /// Published once only, however often it is tried within an hour.
    #[must_use]
    pub fn dedup_id(mut self, id: impl ToString) -> Self {
        self.options.dedup_id = Some(id.to_string());
        self
    }

    /// Nobody is handed it after.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.ttl_ms = Some(millis(ttl));
        self
    }

    /// As the host takes it.
    pub fn wire(&self) -> (&Message, &PublishOptions) {
        (&self.message, &self.options)
    }
}

/// Publishes at once, whatever becomes of the request; gives the event's id. What must be published if
/// and only if a transaction commits belongs into an outbox.
pub fn publish(event: &Event) -> Result<Uuid, Error> {
    id(&producer::publish(&event.message, Some(&event.options))?)
}

/// Publishes all of them or none, in this order. Their delays, dedup ids and ttls do not count.
pub fn publish_all(events: &[Event]) -> Result<Vec<Uuid>, Error> {
    let messages: Vec<Message> = events.iter().map(|event| event.message.clone()).collect();
    producer::publish_batch(&messages)?.iter().map(|text| id(text)).collect()
}

pub(crate) fn id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::Other(format!("the event id {text} is no UUID")))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Timeout => Self::Unavailable("an event was not published in time".to_owned()),
            Error::Overloaded => Self::Unavailable("too many delayed events are waiting".to_owned()),
            Error::AccessDenied(topic) => Self::Internal(format!("publishing is not granted: {topic}")),
            Error::TooLarge(bytes) => Self::Internal(format!("an event is over {bytes} bytes")),
            Error::Other(text) => Self::Internal(text),
        }
    }
}

/// An event that is handed over.
pub struct Delivery(types::Delivery);

impl Delivery {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn of(delivery: types::Delivery) -> Self {
        Self(delivery)
    }

    /// Of the event, whenever it is handed over. Nil if the host sent no UUID, which it never does.
    pub fn id(&self) -> Uuid {
        Uuid::try_parse(&self.0.id).unwrap_or_default()
    }

    pub fn topic(&self) -> &str {
        &self.0.message.topic
    }

    pub fn key(&self) -> Option<&str> {
        self.0.message.key.as_deref()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.message.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn body(&self) -> &[u8] {
        &self.0.message.body
    }

    /// The body as `T`; fields that `T` does not have are passed over, so that an event can grow.
    ///
    /// # Errors
    /// A body that is something else is rejected: no other try would make it better. The reason says where it
    /// is wrong and repeats nothing of it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(self.body()).map_err(|error| {
            let what = match error.classify() {
                Category::Eof => "it ends too early",
                Category::Data => "another type was expected",
                Category::Syntax | Category::Io => "it is no JSON",
            };
            let (line, column) = (error.line(), error.column());
            Failure::reject(format!("the body is not understood: {what}, line {line}, column {column}"))
        })
    }

    pub fn published_at(&self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.0.published_at).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// 1 on the first attempt.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    pub fn max_attempts(&self) -> u32 {
        self.0.max_attempts
    }
}

/// Why an event was not handled; [`crate::Error`] and [`postgres::Error`] become another try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Another try after so long; none: by the manifest's backoff.
    Retry(Option<Duration>),
    /// To the dead letters, with this reason.
    Reject(String),
}

impl Failure {
    /// Another try, by the manifest's backoff.
    pub fn retry() -> Self {
        Self::Retry(None)
    }

    /// Another try, not before so long.
    pub fn retry_in(pause: Duration) -> Self {
        Self::Retry(Some(pause))
    }

    /// To the dead letters: no other try would help.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(reason.into())
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        log(error.reason().unwrap_or_else(|| error.sentence()));
        Self::retry()
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        crate::Error::from(error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        crate::Error::from(error).into()
    }
}

/// Hands `delivery` to a handler, for [`consumer!`](crate::consumer).
#[doc(hidden)]
pub fn deliver(
    delivery: types::Delivery,
    handle: impl FnOnce(&Delivery) -> Result<(), Failure>,
) -> Result<(), types::Failure> {
    handle(&Delivery(delivery)).map_err(|failure| match failure {
        Failure::Retry(pause) => types::Failure::Retry(pause.map(millis)),
        Failure::Reject(reason) => types::Failure::Reject(reason),
    })
}

/// Exports `handle`, a `fn(&Delivery) -> Result<(), Failure>`, as the component's consumer of events,
/// beside [`service!`](crate::service) or [`handler!`](crate::handler).
#[macro_export]
macro_rules! consumer {
    ($handle:path) => {
        struct Consuming;

        impl $crate::consuming::exports::archipel::messaging::consumer::Guest for Consuming {
            fn handle(
                delivery: $crate::consuming::exports::archipel::messaging::consumer::Delivery,
            ) -> Result<(), $crate::consuming::exports::archipel::messaging::consumer::Failure> {
                $crate::messaging::deliver(delivery, $handle)
            }
        }

        $crate::consuming::export!(Consuming with_types_in $crate::consuming);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(body: &[u8]) -> types::Delivery {
        let message = Message {
            topic: "order.created".to_owned(),
            key: Some("7".to_owned()),
            content_type: None,
            headers: vec![("traceparent".to_owned(), "00-1".to_owned())],
            body: body.to_vec(),
        };
        let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".to_owned();
        types::Delivery { id, attempt: 2, max_attempts: 5, published_at: 1_645_557_742_000, message }
    }

    #[test]
    fn a_handler_reads_the_event_in_its_own_types() {
        let handled = deliver(delivery(b"{\"n\":7,\"more\":1}"), |delivery| {
            assert_eq!(delivery.json::<std::collections::BTreeMap<String, u32>>()?["n"], 7);
            assert_eq!((delivery.key(), delivery.header("traceparent")), (Some("7"), Some("00-1")));
            assert_eq!(delivery.published_at().to_string(), "2022-02-22T19:22:22.000Z");
            Ok(())
        });
        assert!(handled.is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_rejected_and_what_may_work_later_is_tried_again() {
        let rejected = deliver(delivery(b"no json"), |delivery| delivery.json::<u32>().map(drop)).unwrap_err();
        assert!(matches!(rejected, types::Failure::Reject(reason) if reason.contains("not understood")));
        let secret = deliver(delivery(b"{\"n\": \"hunter2\"}"), |delivery| {
            delivery.json::<std::collections::BTreeMap<String, u32>>().map(drop)
        });
        let types::Failure::Reject(reason) = secret.unwrap_err() else { panic!("tried again") };
        assert_eq!(reason, "the body is not understood: another type was expected, line 1, column 15");
        let later = |failure: Failure| deliver(delivery(b""), |_| Err(failure)).unwrap_err();
        assert!(matches!(later(crate::Error::Timeout.into()), types::Failure::Retry(None)));
        assert!(matches!(later(Failure::retry_in(Duration::from_secs(2))), types::Failure::Retry(Some(2000))));
    }
}
