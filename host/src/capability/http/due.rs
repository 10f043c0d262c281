//! When the head of a guest's own answer must be there, for the calls that it makes until then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

/// Shared by the guest's run, which knows when the head is set, and by its requests.
#[derive(Debug, Clone)]
pub struct HeadDue {
    by: Instant,
    is_met: Arc<AtomicBool>,
}

impl HeadDue {
    pub fn new(by: Instant) -> Self {
        Self { by, is_met: Arc::default() }
    }

    /// The head is set.
    pub fn meet(&self) {
        self.is_met.store(true, Relaxed);
    }

    /// `None` once the head is set.
    pub(super) fn by(&self) -> Option<Instant> {
        (!self.is_met.load(Relaxed)).then_some(self.by)
    }
}
