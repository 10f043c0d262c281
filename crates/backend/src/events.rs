//! Events over Redis Streams: publishing, and what carries them to the services that handle them.
//!
//! Decides how an event is kept, when it is there and when it is thrown away. Who may publish was
//! decided before: a [`Publishing`] is needed to publish, a [`Subscription`] to take. Handling an event
//! is nobody's business here.
//!
//! Start at [`Events::publish`].

mod beat;
mod claim;
mod dead;
mod delayed;
mod due;
mod entry;
mod fresh;
mod group;
mod hand;
mod hosts;
mod names;
mod publish;
mod retention;
mod subscriptions;
mod survey;
mod take;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use redis::Script;
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;

use super::redis::{AskError, Store};
use entry::Marks;
use grant::{Granted, Publishing};
use hosts::{Hosts, PACE, Pace};
use manifest::EventSettings;
use names::Names;

pub use dead::PAGE_MAX;
pub use entry::Delivered;
pub use group::Group;
pub use survey::TopicReport;
pub use take::Taker;

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
    /// As many delayed events wait as may, or there are as many topics.
    #[error(
        "{DELAYED_MAX} delayed events are waiting, {DELAYED_EACH_MAX} of one service or `events.retain_bytes` of them, or there are {TOPICS_EACH_MAX} topics that this service began or {TOPICS_MAX} topics already"
    )]
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
/// Of those, one service's: nobody takes all room from the others.
pub const DELAYED_EACH_MAX: usize = 100_000;
/// The furthest future.
pub const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// How long a dedup id is remembered: longer than anybody tries again, short enough that millions of
/// events leave a bounded memory.
pub const DEDUP: Duration = Duration::from_secs(3600);

/// Topics of a system: each is a stream that is looked after for ever.
pub const TOPICS_MAX: usize = 1000;
/// Of those, begun by one service: its first event made them.
pub const TOPICS_EACH_MAX: usize = 250;

/// The events of one system in one Redis.
pub struct Events {
    store: Arc<Store>,
    names: Names,
    settings: ArcSwap<EventSettings>,
    /// This process, among those that take events.
    consumer: String,
    publishing: Script,
    /// Something was delayed here.
    delayed: Notify,
    hosts: Mutex<Hosts>,
    pace: Pace,
    marks: Marks,
    /// Events that were too old when their turn came.
    expired: AtomicU64,
    /// What was taken from each service.
    published: Mutex<BTreeMap<Arc<str>, u64>>,
    upkeep: Mutex<Vec<JoinHandle<()>>>,
}

impl Events {
    /// `system` is the manifest's `name`: systems may share a Redis, but no events.
    pub fn new(store: Arc<Store>, system: &str, settings: EventSettings) -> Self {
        Self {
            store,
            names: Names::new(system),
            settings: ArcSwap::from_pointee(settings),
            consumer: Uuid::now_v7().simple().to_string(),
            publishing: Script::new(publish::SCRIPT),
            delayed: Notify::new(),
            hosts: Mutex::default(),
            pace: PACE,
            marks: Marks::default(),
            expired: AtomicU64::new(0),
            published: Mutex::default(),
            upkeep: Mutex::default(),
        }
    }

    /// From now on events are kept as these say; where they are does not change.
    pub fn keep(&self, settings: EventSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Starts what goes on beside publishing: delayed events come to their time, hosts know of one another,
    /// what is old goes. Once it has, it does nothing.
    pub fn start(self: &Arc<Self>) {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        if !upkeep.is_empty() {
            return;
        }
        let [beating, moving, tending] = [(); 3].map(|()| self.clone());
        *upkeep = vec![
            tokio::spawn(async move { beating.beat().await }),
            tokio::spawn(async move { moving.move_delayed().await }),
            tokio::spawn(async move { tending.tend().await }),
        ];
    }

    /// Events that this host dropped because their time had passed.
    pub fn expired_count(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// How many events were taken from each service, from its outboxes too.
    pub fn published(&self) -> BTreeMap<Arc<str>, u64> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what services published that are not there any more.
    pub fn keep_counts(&self, is_there: impl Fn(&str) -> bool) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_there(name));
    }

    /// Ends that. Nobody may take events any more; what this host has not settled is others'.
    pub async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.upkeep.lock().unwrap_or_else(PoisonError::into_inner));
        if !tasks.is_empty() {
            tasks.iter().for_each(JoinHandle::abort);
            self.leave().await;
        }
    }
}

impl From<AskError> for PublishError {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Late(_) => Self::Late(error.to_string()),
            AskError::Refused { reason, .. } if reason.contains(publish::FULL) => Self::Overloaded,
            AskError::Away(_) | AskError::Crowded(_) | AskError::Refused { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
