//! Events in a test: those that were published, and one that is handed over.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    bindings::archipel::messaging::types::{self, Message},
    fake::messaging,
    messaging::Delivery,
};

/// An event that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// 1, 2, … as a UUID: the same in every run.
    pub id: Uuid,
    pub topic: String,
    pub key: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub delay_ms: Option<u64>,
    pub dedup_id: Option<String>,
}

impl Published {
    pub(super) fn of(published: &messaging::Published) -> Self {
        let messaging::Published { id, message, options } = published.clone();
        let (delay_ms, dedup_id) = options.map_or((None, None), |options| (options.delay_ms, options.dedup_id));
        let Message { topic, key, headers, body, .. } = message;
        Self { id: Uuid::try_parse(&id).unwrap_or_default(), topic, key, headers, body, delay_ms, dedup_id }
    }

    /// # Panics
    /// When it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

/// An event as it is handed to a consumer, on its first of five attempts: `handle(&testing::delivery("note.made", &note))`.
///
/// # Panics
/// When serde cannot write the body.
pub fn delivery(topic: &str, body: &impl Serialize) -> Delivery {
    let message = Message {
        topic: topic.to_owned(),
        key: None,
        content_type: Some("application/json".to_owned()),
        headers: Vec::new(),
        body: serde_json::to_vec(body).expect("JSON"),
    };
    let id = Uuid::from_u128(1).to_string();
    Delivery::of(types::Delivery { id, attempt: 1, max_attempts: 5, published_at: 0, message })
}
