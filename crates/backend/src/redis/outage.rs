//! Whether a Redis is worth asking: after five failures in a row, only once a second.
//!
//! Decides that, and what the log is told: once that it is away, once that it is back. Who asks
//! waits for nobody here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const FAILURES_MAX: u32 = 5;
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// One slow answer now and then is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Outage {
    name: Arc<str>,
    /// What becomes of those who would have asked, for the log.
    meanwhile: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In a row.
    failures: u32,
    /// When somebody may ask again, once there are too many.
    probe_at: Option<Instant>,
    /// The log knows that it is away.
    told: bool,
    told_at: Option<Instant>,
}

impl Outage {
    pub(super) fn new(name: Arc<str>, meanwhile: &'static str) -> Self {
        Self { name, meanwhile, state: Mutex::default() }
    }

    /// Whether to ask now. During an outage it is yes for one caller each second.
    pub(super) fn is_worth_asking(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.probe_at {
            None => true,
            Some(at) if at > now => false,
            Some(_) => {
                state.probe_at = Some(now + PROBE_EVERY);
                true
            }
        }
    }

    /// Whether there were too many failures in a row, and no answer since.
    pub(super) fn is_out(&self) -> bool {
        self.state().failures >= FAILURES_MAX
    }

    pub(super) fn answered(&self) {
        let mut state = self.state();
        let was_told = state.told;
        *state = State { told_at: state.told_at, ..State::default() };
        drop(state);
        if was_told {
            tracing::info!(redis = %self.name, "the Redis answers again");
        }
    }

    pub(super) fn failed(&self, now: Instant, reason: &str) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let is_out = state.failures >= FAILURES_MAX;
        if is_out && state.probe_at.is_none() {
            state.probe_at = Some(now + PROBE_EVERY);
        }
        let is_news = state.told_at.is_none_or(|at| now.saturating_duration_since(at) >= TELL_EVERY);
        let tell = !state.told && (is_out || is_news);
        if tell {
            state.told = true;
            state.told_at = Some(now);
        }
        drop(state);
        if tell {
            tracing::warn!(redis = %self.name, reason, "a Redis does not answer; until it does, {}", self.meanwhile);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Single assignments only: valid whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_failures_one_caller_a_second_asks() {
        let (outage, began) = (Outage::new("main".into(), "nothing is done"), Instant::now());
        for _ in 0..FAILURES_MAX {
            assert!(outage.is_worth_asking(began));
            outage.failed(began, "a test");
        }
        assert!(!outage.is_worth_asking(began));
        assert!(outage.is_worth_asking(began + PROBE_EVERY));
        assert!(!outage.is_worth_asking(began + PROBE_EVERY), "one asks, the others do not wait for it");
        outage.failed(began + PROBE_EVERY, "a test");
        assert!(outage.is_worth_asking(began + 2 * PROBE_EVERY));
        outage.answered();
        assert!(outage.is_worth_asking(began) && outage.is_worth_asking(began));
    }
}
