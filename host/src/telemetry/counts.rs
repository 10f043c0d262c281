//! What is counted of services while they run, by name: an applied manifest makes another service
//! of the same name, and that goes on counting.
//!
//! Counts are resolved when a build is made ready; a request only adds to them. Names that are shown
//! for them are in `metrics`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use gateway::{
    counts::{ByLabel, Counter, Histogram, Label},
    labels,
};
use grant::Permissions;

labels! {
    /// What kept a request or an event from its answer.
    pub enum Trouble {
        Trap = "trap",
        /// An error of the guest's own that nothing caught.
        Exception = "exception",
        Panic = "panic",
        Timeout = "timeout",
        Cpu = "cpu",
        /// It returned without an answer, or without the end of one.
        NoAnswer = "no_answer",
        /// Its build was replaced, and its time to end was over.
        Replaced = "replaced",
        /// Its client was slow or went away.
        Client = "client",
        /// It runs elsewhere, and none of its addresses could be reached.
        Unreachable = "unreachable",
        /// No instance could be made.
        NoRoom = "no_room",
        /// All places and the queue were full.
        Full = "full",
        /// The breaker was open.
        Resting = "resting",
    }
}

/// Which permission would have been needed: one of the room's, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionKey(usize);

impl PermissionKey {
    pub fn of<P: grant::Permission>() -> Self {
        let index = Permissions::KEYS.iter().position(|key| *key == P::KEY);
        Self(index.expect("the keys are those of all permissions"))
    }
}

impl Label for PermissionKey {
    const WORDS: &'static [&'static str] = Permissions::KEYS;

    fn index(self) -> usize {
        self.0
    }
}

labels! {
    /// Whose limit refused memory.
    pub enum MemoryLimit {
        Instance = "instance",
        Host = "host",
    }
}

labels! {
    /// How a swap ended.
    pub enum SwapOutcome {
        Live = "live",
        Refused = "refused",
        Superseded = "superseded",
        RolledBack = "rolled_back",
    }
}

labels! {
    /// What was decided about a ramp.
    pub enum RampDecision {
        Started = "started",
        Step = "step",
        Promoted = "promoted",
        Reverted = "reverted",
    }
}

labels! {
    /// What became of an event that was handed to a service.
    pub enum EventOutcome {
        Handled = "handled",
        Retried = "retried",
        Dead = "dead",
        Expired = "expired",
    }
}

labels! {
    /// What became of a manifest that was applied.
    pub enum ApplyOutcome {
        Applied = "applied",
        /// It has mistakes.
        Invalid = "invalid",
        /// It may not, it needs a restart, or another one is being applied.
        Refused = "refused",
        /// Something that it needs did not start.
        Failed = "failed",
    }
}

labels! {
    /// Whether a component had to be compiled.
    pub enum Cache {
        Hit = "hit",
        Miss = "miss",
    }
}

/// Of one service.
#[derive(Debug, Default)]
pub struct ServiceCounts {
    pub instances: Counter,
    pub troubles: ByLabel<Trouble>,
    pub denied: ByLabel<PermissionKey>,
    /// Growth of memory that was refused.
    pub memory_refused: ByLabel<MemoryLimit>,
    pub events: ByLabel<EventOutcome>,
    pub swaps: ByLabel<SwapOutcome>,
    /// From a swap's turn to its store.
    pub swap_duration: Histogram,
    pub ramps: ByLabel<RampDecision>,
    calls: Mutex<BTreeMap<Arc<str>, Arc<CallCounts>>>,
    memory_bytes: AtomicU64,
}

/// Of the calls from one service to another.
#[derive(Debug, Default)]
pub struct CallCounts {
    pub calls: Counter,
    /// Answers of 5xx, and calls that had none.
    pub errors: Counter,
}

impl ServiceCounts {
    /// For those who call `callee` often: resolved once.
    pub fn calls_to(&self, callee: &Arc<str>) -> Arc<CallCounts> {
        lock(&self.calls).entry(callee.clone()).or_default().clone()
    }

    pub fn calls(&self) -> Vec<(Arc<str>, Arc<CallCounts>)> {
        lock(&self.calls).iter().map(|(callee, counts)| (callee.clone(), counts.clone())).collect()
    }

    /// Linear memory and tables of all its instances.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Relaxed)
    }

    pub fn memory_taken(&self, bytes: u64) {
        self.memory_bytes.fetch_add(bytes, Relaxed);
    }

    pub fn memory_given_back(&self, bytes: u64) {
        self.memory_bytes.fetch_sub(bytes, Relaxed);
    }
}

/// Of all services, and of the host that loads them.
#[derive(Debug, Default)]
pub struct Counts {
    services: Mutex<BTreeMap<Arc<str>, Arc<ServiceCounts>>>,
    pub applied: ByLabel<ApplyOutcome>,
    pub compiled: ByLabel<Cache>,
}

impl Counts {
    pub fn service(&self, name: &Arc<str>) -> Arc<ServiceCounts> {
        lock(&self.services).entry(name.clone()).or_default().clone()
    }

    /// Forgets services that are not there any more.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.services).retain(|name, _| is_there(name));
    }
}

fn lock<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map of whole entries is valid whatever panicked.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_comes_again_goes_on_counting_and_one_that_is_gone_is_forgotten() {
        let counts = Counts::default();
        let (shop, gone) = (Arc::from("shop"), Arc::from("gone"));
        counts.service(&shop).instances.count();
        counts.service(&gone).instances.count();
        counts.keep(|name| name == "shop");
        assert_eq!(counts.service(&shop).instances.get(), 1);
        assert_eq!(counts.service(&gone).instances.get(), 0);
    }
}
