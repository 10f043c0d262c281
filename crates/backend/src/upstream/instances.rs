//! What somebody who knows where a service is says of it.

use std::time::Duration;

use grant::net::Target;

/// Who is well, what to ask with the next time, and when.
pub(super) struct Instances {
    pub(super) index: u64,
    pub(super) addresses: Vec<Target>,
    pub(super) again: Duration,
    /// Why some that should be among them are not.
    pub(super) left_out: Option<String>,
}
