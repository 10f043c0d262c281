//! Whether a Redis is worth asking: after five failures in a row, only once a second.
//!
//! Decides that, and what the log is told: once that it is away, once that it is back. Who asks
//! waits for nobody here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const FAILURES_MAX: u32 = 5;
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// One slow answer now and then is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Outage {
    name: Arc<str>,
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
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, state: Mutex::default() }
    }

    /// Whether to ask now. During an outage it is yes for one caller each second.
    pub(super) fn is_worth_asking(&self) -> bool {
        let mut state = self.state();
        match state.probe_at {
            None => true,
            Some(at) if at > Instant::now() => false,
            Some(_) => {
                state.probe_at = Some(Instant::now() + PROBE_EVERY);
                true
            }
        }
    }

    pub(super) fn answered(&self) {
        let mut state = self.state();
        let was_told = state.told;
        *state = State { told_at: state.told_at, ..State::default() };
        drop(state);
        if was_told {
            tracing::info!(redis = %self.name, "the Redis answers again; limits are counted in it");
        }
    }

    pub(super) fn failed(&self, reason: &str) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let is_out = state.failures >= FAILURES_MAX;
        if is_out && state.probe_at.is_none() {
            state.probe_at = Some(Instant::now() + PROBE_EVERY);
        }
        let is_news = state.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        let tell = !state.told && (is_out || is_news);
        if tell {
            state.told = true;
            state.told_at = Some(Instant::now());
        }
        drop(state);
        if tell {
            tracing::warn!(redis = %self.name, reason, "a Redis does not answer; limits are counted in memory until it does");
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

    #[tokio::test]
    async fn after_five_failures_one_caller_a_second_asks() {
        tokio::time::pause();
        let outage = Outage::new("main".into());
        for _ in 0..FAILURES_MAX {
            assert!(outage.is_worth_asking());
            outage.failed("a test");
        }
        assert!(!outage.is_worth_asking());
        tokio::time::advance(PROBE_EVERY).await;
        assert!(outage.is_worth_asking());
        assert!(!outage.is_worth_asking(), "one asks, the others do not wait for it");
        outage.failed("a test");
        tokio::time::advance(PROBE_EVERY).await;
        assert!(outage.is_worth_asking());
        outage.answered();
        assert!(outage.is_worth_asking() && outage.is_worth_asking());
    }
}
