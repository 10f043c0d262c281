//! How one address is: what its answers tell, and what it says when it is asked.
//!
//! Three failures in a row put it aside for a second, and for twice as long each time that it fails
//! again as soon as it is back. Asked, it must fail twice in a row, unless it never was well.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row after which it is put aside.
const FAILURES_MAX: u32 = 3;
const ASIDE: Duration = Duration::from_secs(1);
const ASIDE_MAX: Duration = Duration::from_secs(30);
/// Checks in a row that fail before it is taken for down.
const CHECKS_MAX: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Condition(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row, of requests.
    failures: u32,
    /// In a row, without a success between.
    times_aside: u32,
    aside_until: Option<Instant>,
    /// In a row, of checks.
    failed_checks: u32,
    was_well: bool,
    is_down: bool,
}

/// How it is now, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Well,
    /// Put aside for a moment, because of its answers.
    Aside,
    /// By its own word, or because it gave none.
    Down,
}

impl Health {
    pub const ALL: [Self; 3] = [Self::Well, Self::Aside, Self::Down];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Aside => "aside",
            Self::Down => "down",
        }
    }
}

impl Condition {
    pub(super) fn now(&self) -> Health {
        let state = self.lock();
        match state.aside_until {
            _ if state.is_down => Health::Down,
            Some(until) if Instant::now() < until => Health::Aside,
            _ => Health::Well,
        }
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        (state.failures, state.times_aside, state.aside_until) = (0, 0, None);
    }

    /// For how long it is put aside, if it is.
    pub(super) fn failed(&self) -> Option<Duration> {
        let mut state = self.lock();
        if state.aside_until.is_some_and(|until| Instant::now() < until) {
            return None; // began before that
        }
        state.failures += 1;
        if state.failures < FAILURES_MAX && state.times_aside == 0 {
            return None;
        }
        let aside = (ASIDE * 2_u32.saturating_pow(state.times_aside.min(16))).min(ASIDE_MAX);
        state.times_aside += 1;
        (state.failures, state.aside_until) = (0, Some(Instant::now() + aside));
        Some(aside)
    }

    /// What a check found; true: that is news.
    pub(super) fn checked(&self, is_well: bool) -> bool {
        let mut state = self.lock();
        let was_down = state.is_down;
        if is_well {
            (state.failed_checks, state.was_well, state.is_down) = (0, true, false);
        } else {
            state.failed_checks += 1;
            state.is_down = was_down || !state.was_well || state.failed_checks >= CHECKS_MAX;
        }
        state.is_down != was_down
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_put_it_aside_and_longer_each_time() {
        let condition = Condition::default();
        assert_eq!((condition.failed(), condition.failed()), (None, None));
        condition.succeeded();
        assert_eq!((condition.failed(), condition.failed(), condition.now()), (None, None, Health::Well));
        assert_eq!((condition.failed(), condition.now()), (Some(ASIDE), Health::Aside));
        assert_eq!(condition.failed(), None, "of a request from before");
        condition.lock().aside_until = Some(Instant::now());
        assert_eq!(condition.now(), Health::Well, "it is tried again");
        assert_eq!(condition.failed(), Some(ASIDE * 2), "one failure is enough then");
        (0..20).for_each(|_| {
            condition.lock().aside_until = None;
            condition.failed();
        });
        condition.lock().aside_until = None;
        assert_eq!(condition.failed(), Some(ASIDE_MAX));
        condition.succeeded();
        assert_eq!((condition.now(), condition.failed()), (Health::Well, None), "all is forgotten");
    }

    #[test]
    fn one_that_was_well_must_fail_two_checks_and_one_that_never_was_only_one() {
        let condition = Condition::default();
        assert!(condition.checked(false));
        assert_eq!(condition.now(), Health::Down);
        assert!(condition.checked(true));
        assert!(!condition.checked(false));
        assert_eq!(condition.now(), Health::Well);
        assert!(condition.checked(false));
        assert!(!condition.checked(false), "no news");
        assert_eq!(condition.now(), Health::Down);
    }
}
