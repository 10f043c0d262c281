//! Who makes better code for a service that runs: one task at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

/// The one that is at work, if one is.
#[derive(Default)]
pub(super) struct Refining(Mutex<Option<JoinHandle<()>>>);

impl Refining {
    /// Nothing is put in the place of anything any more.
    pub(super) fn stop(&self) {
        self.at_work().take().iter().for_each(JoinHandle::abort);
    }

    pub(super) fn at_work(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
