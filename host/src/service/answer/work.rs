//! What a request holds while its guest is at work.

use std::sync::Arc;

use crate::service::{Version, breaker::Admitted, gate::Permit, run::GuestRun};

/// A guest at work, and what its request holds while it is.
pub(in crate::service) struct Work {
    pub(in crate::service) run: GuestRun,
    pub(in crate::service) version: Arc<Version>,
    pub(in crate::service) permit: Permit,
    pub(in crate::service) admitted: Admitted,
    /// The request was a HEAD: whatever body there is, is not sent.
    pub(in crate::service) head_only: bool,
}
