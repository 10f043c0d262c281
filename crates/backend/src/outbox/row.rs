//! A waiting event as it is found, judged once more before it is carried on.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Publishers;
use crate::events::{Event, Options};
use grant::topic::Topic;

/// The next events in their order, as many as go together; `$1` are the services that are known
/// here, `$2` how many. Nothing without the turn, which it takes. What somebody else looks at just now is passed
/// over.
///
/// It sees what there was just before it had the turn: what the one before has deleted or set aside meanwhile is
/// left out when it is locked.
pub(super) const TAKE: &str = "
WITH turn AS MATERIALIZED (SELECT FROM public.archipel_turns WHERE what = 'outbox' FOR UPDATE SKIP LOCKED)
SELECT seq, id::text, publisher, topic, key, content_type, headers, body, dedup_id, ttl_ms,
       (extract(epoch FROM at) * 1000)::bigint AS at_ms,
       (extract(epoch FROM clock_timestamp() - at) * 1000)::bigint AS age_ms,
       greatest(0, delay_ms - (extract(epoch FROM clock_timestamp() - at) * 1000)::bigint) AS delay_ms
FROM public.archipel_outbox
WHERE EXISTS (SELECT FROM turn) AND refused IS NULL AND seq = ANY (ARRAY(
    SELECT seq FROM (
        SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM (
            SELECT seq, octet_length(body) AS bytes FROM public.archipel_outbox
            WHERE refused IS NULL AND publisher = ANY ($1) ORDER BY seq LIMIT $2
        ) AS first
    ) AS measured WHERE before < 1048576
))
ORDER BY seq FOR UPDATE SKIP LOCKED";

/// As [`TAKE`] has it: the last one may be over it.
pub(super) const TAKE_BYTES: usize = 1 << 20;

pub(super) struct Waiting {
    pub(super) seq: i64,
    pub(super) publisher: String,
    pub(super) topic: String,
    /// Since it was written.
    pub(super) age: Duration,
    id: String,
    key: Option<String>,
    content_type: Option<String>,
    headers: String,
    pub(super) body: Vec<u8>,
    at_ms: i64,
    delay_ms: Option<i64>,
    dedup_id: Option<String>,
    ttl_ms: Option<i64>,
}

/// Why a waiting event does not go on from here.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// A host with another manifest may know better.
    #[error("{0}")]
    NotGranted(String),
    /// Nobody could publish it.
    #[error("{0}")]
    Broken(String),
}

impl Waiting {
    pub(super) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            publisher: row.try_get("publisher")?,
            topic: row.try_get("topic")?,
            age: millis(row.try_get("age_ms")?).unwrap_or_default(),
            id: row.try_get("id")?,
            key: row.try_get("key")?,
            content_type: row.try_get("content_type")?,
            headers: row.try_get("headers")?,
            body: row.try_get("body")?,
            at_ms: row.try_get("at_ms")?,
            delay_ms: row.try_get("delay_ms")?,
            dedup_id: row.try_get("dedup_id")?,
            ttl_ms: row.try_get("ttl_ms")?,
        })
    }

    /// The event, if its publisher may publish it and it is a whole one.
    ///
    /// # Errors
    /// Why not, for the operator.
    pub(super) fn judged(&self, publishers: &Publishers) -> Result<(Event, Options), Unfit> {
        let broken = |reason: &str| Unfit::Broken(reason.to_owned());
        let topic: Topic = self.topic.parse().map_err(|error| broken(&format!("{error}")))?;
        let at = Timestamp::from_millisecond(self.at_ms).map_err(|_| broken("its time is none"))?;
        let publishing = publishers.judge(&self.publisher, &topic, at).map_err(Unfit::NotGranted)?;
        let id: Uuid = self.id.parse().map_err(|_| broken("its id is no UUID"))?;
        let headers = serde_json::from_str(&self.headers).map_err(|_| broken("its headers are no pairs of texts"))?;
        let event = Event {
            id,
            publishing,
            key: self.key.clone(),
            content_type: self.content_type.clone(),
            headers,
            body: self.body.clone(),
            at,
        };
        // The event's own id: what was published by a host that died before it could say so is not
        // published again.
        let dedup_id = self.dedup_id.clone().unwrap_or_else(|| self.id.clone());
        let options = Options {
            delay: self.delay_ms.and_then(millis),
            dedup_id: Some(dedup_id),
            ttl: self.ttl_ms.and_then(millis),
        };
        event.check(&options).map_err(|error| broken(&error.to_string()))?;
        Ok((event, options))
    }
}

fn millis(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::outbox::Publisher;
    use grant::{Grants, Permissions, Publish};

    fn publishers() -> Publishers {
        let permissions = Permissions { publish: Publish(vec!["order.*".parse().unwrap()]), ..Permissions::default() };
        let publishers = Publishers::default();
        let publisher = |name: &str, permissions| {
            let grants = Arc::new(Grants::new(name.into(), "shop.toml".into(), permissions));
            (name.into(), Publisher { grants, busy_max: Duration::from_secs(5) })
        };
        publishers.replace([publisher("orders", permissions), publisher("users", Permissions::default())]);
        publishers
    }

    fn waiting() -> Waiting {
        Waiting {
            seq: 1,
            publisher: "orders".to_owned(),
            topic: "order.created".to_owned(),
            age: Duration::ZERO,
            id: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".to_owned(),
            key: None,
            content_type: None,
            headers: r#"[["a","b"]]"#.to_owned(),
            body: Vec::new(),
            at_ms: 1,
            delay_ms: None,
            dedup_id: None,
            ttl_ms: None,
        }
    }

    #[test]
    fn an_event_of_who_may_goes_on_with_its_id_as_dedup_id() {
        let (event, options) = waiting().judged(&publishers()).unwrap();
        assert_eq!(event.publishing.get().topic.as_str(), "order.created");
        assert_eq!(event.headers, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(options.dedup_id.as_deref(), Some("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"));
        let named = Waiting { dedup_id: Some("mine".to_owned()), delay_ms: Some(5), ..waiting() };
        let (_, options) = named.judged(&publishers()).unwrap();
        assert_eq!((options.dedup_id.as_deref(), options.delay), (Some("mine"), Some(Duration::from_millis(5))));
    }

    #[test]
    fn what_nobody_may_publish_or_is_no_event_does_not() {
        let refused = |waiting: Waiting| waiting.judged(&publishers()).unwrap_err().to_string();
        assert!(
            refused(Waiting { topic: "user.created".to_owned(), ..waiting() }).contains("publish = [\"user.created\"]")
        );
        for publisher in ["users", "nobody"] {
            assert!(refused(Waiting { publisher: publisher.to_owned(), ..waiting() }).contains("no such service"));
        }
        for headers in ["", "{}", "[1]", r#"[["a"]]"#] {
            assert!(refused(Waiting { headers: headers.to_owned(), ..waiting() }).contains("headers"), "{headers}");
        }
        refused(Waiting { topic: "Order".to_owned(), ..waiting() });
        refused(Waiting { key: Some("k".repeat(256)), ..waiting() });
        refused(Waiting { delay_ms: Some(i64::MAX), ..waiting() });
    }
}
