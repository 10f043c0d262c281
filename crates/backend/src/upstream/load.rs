//! How many requests are in one address, their answers included.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

/// A request in an address, until it is dropped with its answer.
pub(super) struct Load(InFlight);

impl InFlight {
    pub(super) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(super) fn enter(&self) -> Load {
        self.0.fetch_add(1, Relaxed);
        Load(self.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
