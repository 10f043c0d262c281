//! What became of a request's body.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::BodyError;

/// What became of a request's body: why it failed, if it did, and how much of it came. Shared
/// between the body and the gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fault(Option<Arc<Fate>>);

#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) failed: OnceLock<BodyError>,
    pub(super) bytes: AtomicU64,
}

impl Fault {
    pub(super) fn of(fate: Arc<Fate>) -> Self {
        Self(Some(fate))
    }

    pub(crate) fn get(&self) -> Option<&BodyError> {
        self.0.as_ref()?.failed.get()
    }

    /// Bytes that were read of it so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |fate| fate.bytes.load(Relaxed))
    }
}
