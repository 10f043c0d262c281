//! Stops sending requests to a service that fails most of them, and tries again with one.
//!
//! Opens at half or more failures among twenty or more requests within ten seconds; after one
//! second a single probe decides. What counts as a failure is the caller's word.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::Arm;

const WINDOW: Duration = Duration::from_secs(10);
const REQUESTS_MIN: u32 = 20;
const OPEN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Breaker {
    service: Arc<str>,
    /// False while everything goes well, so that a healthy service takes no lock.
    watching: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed {
        since: Instant,
        requests: u32,
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One request is out to see whether the service has recovered; another goes if it takes long.
    Probing {
        until: Instant,
    },
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many of its requests failed; it is tried again within a second")]
pub struct BreakerOpen;

/// Against whom a failed request counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Service,
    /// Only this request: the service goes on, and a build that is new has one error more.
    Request,
    Nobody,
}

/// A request that was let through; its outcome moves the breaker. Dropped without an outcome
/// (the client went away) it counts as neither, and a probe is given back.
#[derive(Debug)]
pub struct Admitted {
    breaker: Arc<Breaker>,
    probe: bool,
    decided: bool,
    /// Also told of a failure after the head of the answer.
    arm: Option<Arc<Arm>>,
}

impl State {
    fn fresh() -> Self {
        Self::Closed { since: Instant::now(), requests: 0, failures: 0 }
    }
}

impl Breaker {
    pub fn new(service: Arc<str>) -> Self {
        Self { service, watching: AtomicBool::new(false), state: Mutex::new(State::fresh()) }
    }

    /// # Errors
    /// [`BreakerOpen`] while the service is given a rest.
    pub fn admit(self: &Arc<Self>) -> Result<Admitted, BreakerOpen> {
        let admitted = |probe| Ok(Admitted { breaker: self.clone(), probe, decided: false, arm: None });
        if !self.watching.load(Relaxed) {
            return admitted(false);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => admitted(false),
            State::Open { until } | State::Probing { until } if Instant::now() >= until => {
                *state = State::Probing { until: Instant::now() + OPEN };
                admitted(true)
            }
            State::Open { .. } | State::Probing { .. } => Err(BreakerOpen),
        }
    }

    /// Forgets everything: the service is another one now.
    pub fn reset(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::fresh();
        self.watching.store(false, Relaxed);
    }

    /// Whether requests are turned away, or were a moment ago and a probe may be out. Where nobody asks any
    /// more it says no again by itself: whoever waits for that sends no requests.
    pub fn is_open(&self) -> bool {
        if !self.watching.load(Relaxed) {
            return false;
        }
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => false,
            State::Open { until } | State::Probing { until } => Instant::now() < until + WINDOW,
        }
    }

    fn record(&self, failed: bool, probe: bool) {
        if !failed && !self.watching.load(Relaxed) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match &mut *state {
            State::Probing { .. } if probe => {
                *state = if failed { State::Open { until: now + OPEN } } else { State::fresh() };
                self.watching.store(failed, Relaxed);
            }
            State::Closed { since, requests, failures } => {
                if now - *since > WINDOW || !self.watching.load(Relaxed) {
                    (*since, *requests, *failures) = (now, 0, 0);
                }
                *requests += 1;
                *failures += u32::from(failed);
                self.watching.store(*failures > 0, Relaxed);
                if *requests >= REQUESTS_MIN && *failures * 2 >= *requests {
                    let (service, requests, failures) = (&self.service, *requests, *failures);
                    tracing::warn!(%service, requests, failures, "most requests failed; the service rests for a second");
                    *state = State::Open { until: now + OPEN };
                }
            }
            State::Open { .. } | State::Probing { .. } => {}
        }
    }
}

impl Admitted {
    /// The request is one of this arm of a ramp.
    pub(super) fn of(self, arm: Arc<Arm>) -> Self {
        let mut this = self;
        this.arm = Some(arm);
        this
    }

    pub fn succeeded(mut self) {
        self.decided = true;
        self.breaker.record(false, self.probe);
    }

    /// Failed, and who is to blame.
    pub fn failed_for(self, blame: Blame) {
        match blame {
            Blame::Service => self.failed(),
            Blame::Request => {
                if let Some(arm) = &self.arm {
                    arm.broke_off();
                }
                self.succeeded();
            }
            Blame::Nobody => {}
        }
    }

    pub fn failed(mut self) {
        if let Some(arm) = &self.arm {
            arm.broke_off();
        }
        self.decided = true;
        self.breaker.record(true, self.probe);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.probe && !self.decided {
            let mut state = self.breaker.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = State::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Arc<Breaker>, times: u32) {
        for _ in 0..times {
            breaker.admit().expect("closed").failed();
        }
    }

    fn rest(breaker: &Breaker) {
        *breaker.state.lock().expect("not poisoned") = State::Open { until: Instant::now() };
    }

    #[test]
    fn half_of_twenty_failing_opens_it() {
        let breaker = Arc::new(Breaker::new("test".into()));
        fail(&breaker, 10);
        for _ in 0..9 {
            breaker.admit().expect("closed").succeeded();
        }
        breaker.admit().expect("still closed at nineteen").succeeded();
        assert!(breaker.admit().is_err());
    }

    #[test]
    fn fewer_failures_than_half_never_open_it() {
        let breaker = Arc::new(Breaker::new("test".into()));
        for _ in 0..100 {
            fail(&breaker, 1);
            breaker.admit().expect("closed").succeeded();
            breaker.admit().expect("closed").succeeded();
        }
        assert!(breaker.admit().is_ok());
    }

    #[test]
    fn one_probe_decides_after_the_rest() {
        let breaker = Arc::new(Breaker::new("test".into()));
        fail(&breaker, 20);
        rest(&breaker);
        let probe = breaker.admit().expect("the probe");
        assert!(breaker.admit().is_err(), "only one");
        probe.succeeded();
        assert!(breaker.admit().is_ok());
    }

    #[test]
    fn one_that_nobody_asks_any_more_does_not_look_open_for_ever() {
        let breaker = Arc::new(Breaker::new("test".into()));
        fail(&breaker, 20);
        rest(&breaker);
        assert!(breaker.is_open(), "the next request is the probe");
        let Some(long_ago) = Instant::now().checked_sub(WINDOW + OPEN) else { return };
        *breaker.state.lock().expect("not poisoned") = State::Open { until: long_ago };
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_probe_that_went_away_is_replaced() {
        let breaker = Arc::new(Breaker::new("test".into()));
        fail(&breaker, 20);
        rest(&breaker);
        drop(breaker.admit().expect("the probe"));
        assert!(breaker.admit().is_ok());
    }
}
