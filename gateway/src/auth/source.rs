//! Where keys come from, and when they are asked for again.
//!
//! The gateway reads no file and calls nobody: whoever builds a [`Keys`] says how. This file
//! decides when: one load at a time, never more often than its source allows, and what was loaded
//! last goes on counting while its source fails.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use futures_util::{FutureExt as _, future::Shared};

use super::{KeySet, TokenError};

/// The future a [`KeySource`] answers with; the text says why there are no keys.
pub type Loading<'a> = Pin<Box<dyn Future<Output = Result<KeySet, String>> + Send + 'a>>;

/// Something that has keys: a file, an address.
pub trait KeySource: Send + Sync + 'static {
    /// All keys as they are now. Dropped after [`LOAD_TIMEOUT`].
    fn load(&self) -> Loading<'_>;
}

/// The longest that keys may take to come.
pub const LOAD_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a source is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While tokens are verified.
    pub every: Duration,
    /// Never more often than this, whatever tokens say.
    pub floor: Duration,
}

type Flight = Shared<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// Keys that may change.
pub struct Keys {
    current: ArcSwapOption<KeySet>,
    origin: Option<Origin>,
}

struct Origin {
    source: Arc<dyn KeySource>,
    pace: Pace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Option<Instant>,
    flight: Option<Flight>,
    failure: Option<String>,
}

impl Keys {
    /// Keys that never change.
    pub fn fixed(set: KeySet) -> Arc<Self> {
        Arc::new(Self { current: ArcSwapOption::from_pointee(set), origin: None })
    }

    /// Keys of `source`, `first` until it is asked.
    pub fn from_source(source: Arc<dyn KeySource>, pace: Pace, first: Option<KeySet>) -> Arc<Self> {
        let state = State { asked: first.is_some().then(Instant::now), ..State::default() };
        let origin = Origin { source, pace, state: Mutex::new(state) };
        Arc::new(Self { current: ArcSwapOption::from(first.map(Arc::new)), origin: Some(origin) })
    }

    /// The keys to use now; asks for newer ones in the background when it is time. Waits only
    /// when there are none yet.
    ///
    /// # Errors
    /// [`TokenError::NoKeys`] when there never were any.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Arc<KeySet>, TokenError> {
        let Some(current) = self.peek() else { return self.after(self.flight()).await };
        self.refresh();
        Ok(current)
    }

    /// The keys there are now, if there are any.
    pub(super) fn peek(&self) -> Option<Arc<KeySet>> {
        self.current.load_full()
    }

    /// Asks for newer keys when it is time, and waits for nothing.
    pub(super) fn refresh(self: &Arc<Self>) {
        if self.is_due() {
            // The load goes on in its task.
            drop(self.flight());
        }
    }

    /// Keys that may be newer than those that lacked one; the same when it is too early to ask.
    pub(super) async fn newer(self: &Arc<Self>) -> Result<Arc<KeySet>, TokenError> {
        self.after(self.flight()).await
    }

    async fn after(&self, flight: Option<Flight>) -> Result<Arc<KeySet>, TokenError> {
        if let Some(flight) = flight {
            flight.await;
        }
        let failure = || self.origin.as_ref().and_then(|origin| origin.state().failure.clone());
        let none = || TokenError::NoKeys(failure().unwrap_or_else(|| "they have not been asked for".into()));
        self.current.load_full().ok_or_else(none)
    }

    fn is_due(&self) -> bool {
        let Some(origin) = &self.origin else { return false };
        origin.state().asked.is_none_or(|asked| asked.elapsed() >= origin.pace.every)
    }

    /// The load that is under way, or a new one where the pace allows it. It runs in a task of
    /// its own, so that no client that goes away ends it for the others.
    fn flight(self: &Arc<Self>) -> Option<Flight> {
        let origin = self.origin.as_ref()?;
        let mut state = origin.state();
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.peek().is_none()) {
            return Some(flight.clone());
        }
        if state.asked.is_some_and(|asked| asked.elapsed() < origin.pace.floor) {
            return None;
        }
        state.asked = Some(Instant::now());
        let keys = self.clone();
        let task = tokio::spawn(async move { keys.load().await });
        // A load that panicked leaves everything as it was.
        let flight = task.map(|_joined| ()).boxed().shared();
        state.flight = Some(flight.clone());
        Some(flight)
    }

    async fn load(&self) {
        let Some(origin) = &self.origin else { return };
        let loaded = tokio::time::timeout(LOAD_TIMEOUT, origin.source.load()).await;
        let failure = match loaded.unwrap_or_else(|_elapsed| Err("no answer within 2 s".into())) {
            Ok(set) => {
                // The same keys stay the same value: what was verified with them stays known.
                if self.current.load().as_deref() != Some(&set) {
                    self.current.store(Some(Arc::new(set)));
                }
                None
            }
            Err(reason) => {
                tracing::warn!(reason, "cannot load the keys that verify tokens; those from before go on counting");
                Some(reason)
            }
        };
        origin.state().failure = failure;
    }
}

impl Origin {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
