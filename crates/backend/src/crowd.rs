//! Those who waited in vain for a place that others had: how many, and whether it was just now.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway::counts::Counter;

/// How long one of them says that there are too few places.
const NOW: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Crowd {
    count: Counter,
    last: Mutex<Option<Instant>>,
}

impl Crowd {
    pub(crate) fn refused(&self) {
        self.count.count();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// From the start on.
    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    /// Within the last 5 s.
    pub(crate) fn is_now(&self) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < NOW)
    }
}
