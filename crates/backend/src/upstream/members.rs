//! The addresses of one service elsewhere, as they are now.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::endpoint::Endpoint;

/// Replaced as a whole; requests in flight keep theirs.
pub(super) struct Members(ArcSwap<Vec<Arc<Endpoint>>>);

impl Members {
    pub(super) fn new(all: Vec<Arc<Endpoint>>) -> Self {
        Self(ArcSwap::from_pointee(all))
    }

    pub(super) fn all(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.0.load_full()
    }
}
