//! When being late is a service's fault.

use std::time::Duration;

use gateway::call::TRY_TIMEOUT;

/// What a service must have had before being late counts against it: the time of a try or its own
/// limit, less what the way here takes (a chain of calls keeps a little at each step).
pub(super) fn fair_time(limit: Duration) -> Duration {
    TRY_TIMEOUT.min(limit) * 3 / 4
}
