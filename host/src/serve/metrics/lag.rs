//! How far services are behind in their topics, as Redis says: asked at most once a second, and only
//! when somebody looks. Who looks waits a moment for it, and gets the last answer otherwise.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::Notify};

use backend::events::{Events, TopicReport};

/// An answer is good for so long.
const FRESH: Duration = Duration::from_secs(1);
/// Whoever looks waits so long for a new one.
const WAIT: Duration = Duration::from_millis(100);
/// Redis has so long to answer.
const ASK: Duration = Duration::from_secs(5);
/// Older answers are worse than none.
const STALE: Duration = Duration::from_secs(60);
/// Topics that are shown: the first by name.
const TOPICS_MAX: usize = 200;

pub(super) struct Lags {
    runtime: Handle,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Default)]
struct State {
    asking: bool,
    at: Option<Instant>,
    topics: Arc<[TopicReport]>,
}

impl Lags {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, shared: Arc::default() }
    }

    /// Takes 100 ms at most, and an answer of Redis if there is one by then. Cancel safe.
    pub(super) async fn read(&self, events: Option<&Arc<Events>>) -> Arc<[TopicReport]> {
        let Some(events) = events.cloned() else { return Arc::default() };
        let answered = self.shared.answered.notified();
        if self.shared.is_due() {
            // Ends by itself, whoever still waits for it.
            self.runtime.spawn(ask(events, self.shared.clone()));
        }
        if self.shared.lock().asking {
            // In time or not, what there is then is shown.
            let _ = tokio::time::timeout(WAIT, answered).await;
        }
        let state = self.shared.lock();
        match state.at {
            Some(at) if at.elapsed() < STALE => state.topics.clone(),
            _ => Arc::default(),
        }
    }
}

async fn ask(events: Arc<Events>, shared: Arc<Shared>) {
    let answer = tokio::time::timeout(ASK, events.topics()).await;
    let mut state = shared.lock();
    state.asking = false;
    if let Ok(Ok(mut topics)) = answer {
        topics.retain(|topic| !topic.services.is_empty());
        topics.sort_by(|one, other| one.topic.cmp(&other.topic));
        topics.truncate(TOPICS_MAX);
        (state.at, state.topics) = (Some(Instant::now()), topics.into());
    }
    drop(state);
    shared.answered.notify_waiters();
}

impl Shared {
    /// Whether Redis is to be asked now; true for one caller.
    fn is_due(&self) -> bool {
        let mut state = self.lock();
        let due = !state.asking && state.at.is_none_or(|at| at.elapsed() >= FRESH);
        state.asking |= due;
        due
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Single assignments only: valid whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
