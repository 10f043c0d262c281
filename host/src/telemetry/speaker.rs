//! On behalf of which service a line is told: what waits to be written is shared out by it.

use std::sync::Arc;

tokio::task_local! {
    static SPEAKER: Arc<str>;
}

/// Runs `tell`, whose lines are the service's.
pub fn speaking<T>(service: &Arc<str>, tell: impl FnOnce() -> T) -> T {
    SPEAKER.sync_scope(service.clone(), tell)
}

/// Whose line is being told on this thread; none: the host's own.
pub(super) fn speaker() -> Option<Arc<str>> {
    SPEAKER.try_with(Arc::clone).ok()
}
