//! Instances that wait for their next request.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::{engine::GiveUp, instance::Instance};
use manifest::Reuse;

/// The idle instances of one version; empty for ever where instances are not reused.
pub(super) struct Warm {
    reuse: Reuse,
    idle: Mutex<Vec<Idle>>,
    /// Another version is live: what comes back is dropped.
    retired: AtomicBool,
}

struct Idle {
    instance: Instance,
    since: Instant,
}

/// More than this is never kept: a burst is over before it is needed again.
const IDLE_MAX: usize = 64;

impl Warm {
    pub(super) fn new(reuse: Reuse) -> Self {
        Self { reuse, idle: Mutex::default(), retired: AtomicBool::new(false) }
    }

    /// The most recently used one: its memory is the likeliest to be in the cache.
    pub(super) fn take(&self) -> Option<Instance> {
        if self.reuse == Reuse::Fresh {
            return None;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().map(|idle| idle.instance)
    }

    /// Keeps an instance that may serve again; drops it otherwise.
    pub(super) fn keep(&self, instance: Instance) {
        let Reuse::Warm { requests_max, .. } = self.reuse else { return };
        if instance.served >= requests_max.get() || !instance.tidy {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: whoever retires it empties it after.
        if idle.len() < IDLE_MAX && !self.retired.load(Relaxed) {
            idle.push(Idle { instance, since: Instant::now() });
        }
    }

    /// Keeps nothing from now on, or keeps again.
    pub(super) fn retire(&self, retired: bool) {
        self.retired.store(retired, Relaxed);
        if retired {
            self.give_up();
        }
    }

    pub(super) fn count(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn drop_idle(&self) {
        let Reuse::Warm { idle_max, .. } = self.reuse else { return };
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let expired = idle.partition_point(|idle| now.saturating_duration_since(idle.since) >= idle_max);
        let expired: Vec<Idle> = idle.drain(..expired).collect();
        drop(idle);
        drop(expired);
    }
}

impl GiveUp for Warm {
    fn give_up(&self) -> bool {
        let given = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        !given.is_empty()
    }
}
