//! Events over Redis Streams: publishing, and what carries them to the services that handle them.
//!
//! Decides how an event is kept, when it is there and when it is thrown away. Who may publish was
//! decided before: a [`Publishing`] is needed to publish, a [`Subscription`] to take. Handling an event
//! is nobody's business here.
//!
//! Start at [`Events::publish`].

mod names;
mod publish;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use redis::Script;
use uuid::Uuid;

use super::redis::{AskError, Store};
use crate::{
    grant::{Granted, topic::Publishing},
    manifest::EventSettings,
};
use names::Names;

/// An event on its way in.
#[derive(Debug, Clone)]
pub struct Event {
    /// Version 7; the same for ever, through retries, replays and the outbox.
    pub id: Uuid,
    /// To which topic, with the proof that it may be.
    pub publishing: Granted<Publishing>,
    pub key: Option<String>,
    pub content_type: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When its publisher published it.
    pub at: Timestamp,
}

/// How an event is published.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Nobody sees it before that has passed.
    pub delay: Option<Duration>,
    /// An event of the same topic with this name, published within [`DEDUP`], is this event.
    pub dedup_id: Option<String>,
    /// Counted from the event's `at`; after it nobody handles it any more.
    pub ttl: Option<Duration>,
}

/// Why events were not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nothing was published, or nobody can say.
    #[error("{0}")]
    Unavailable(String),
    /// It may have been published or not; a dedup id makes another try safe.
    #[error("{0}")]
    Late(String),
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// As many delayed events wait as may.
    #[error("{DELAYED_MAX} delayed events are waiting already")]
    Overloaded,
    #[error("{0}")]
    Invalid(String),
}

/// Of one event.
pub const BODY_MAX_BYTES: usize = 1 << 20;
/// Of the bodies of all events that are published together.
pub const BATCH_MAX_BYTES: usize = 4 << 20;
/// Events that are published together.
pub const BATCH_MAX: usize = 256;
pub const HEADERS_MAX: usize = 32;
/// Names and values of an event's headers together.
pub const HEADERS_MAX_BYTES: usize = 8 << 10;
/// Of a key, a content type, a dedup id.
pub const NAME_MAX_BYTES: usize = 255;
/// Events of a system that wait for their time.
pub const DELAYED_MAX: usize = 1_000_000;
/// The furthest future.
pub const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// How long a dedup id is remembered: longer than anybody tries again, short enough that millions of
/// events leave a bounded memory.
pub const DEDUP: Duration = Duration::from_secs(3600);

/// The events of one system in one Redis.
pub struct Events {
    store: Arc<Store>,
    names: Names,
    settings: EventSettings,
    publishing: Script,
}

impl Events {
    /// `system` is the manifest's `name`: systems may share a Redis, but no events.
    pub fn new(store: Arc<Store>, system: &str, settings: EventSettings) -> Self {
        Self { store, names: Names::new(system), settings, publishing: Script::new(publish::SCRIPT) }
    }
}

impl From<AskError> for PublishError {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Late(_) => Self::Late(error.to_string()),
            AskError::Refused { reason, .. } if reason.contains(publish::FULL) => Self::Overloaded,
            AskError::Away(_) | AskError::Refused { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
