//! How long connections may be idle between two requests, which may change while they are open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Shared by all connections of a listener and whoever keeps a clone.
#[derive(Debug, Clone)]
pub struct KeepAlive(Arc<AtomicU64>);

impl KeepAlive {
    pub fn new(idle_max: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(millis(idle_max))))
    }

    /// Holds for a connection from its next look: at the latest when the time is over that held when it became
    /// idle.
    pub fn set(&self, idle_max: Duration) {
        self.0.store(millis(idle_max), Relaxed);
    }

    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::new(Duration::from_secs(60))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
