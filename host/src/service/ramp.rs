//! A new build that gets a share of a service's requests while the old one goes on.
//!
//! Decides which of the two answers a request, and counts how both do over a window of time. What
//! follows from that is `system`'s decision. The same trace always meets the same build while
//! the share stays or grows.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

mod arm;
mod end;
mod lead;

pub use arm::{Arm, ArmCounts};
use end::End;
pub use lead::{LEASE, Lead};

use super::{Breaker, Version, breaker::Admitted};

/// A build on its way to being live.
pub struct Ramp {
    pub version: Arc<Version>,
    /// Its own: however it fails, the old build goes on.
    pub(super) breaker: Arc<Breaker>,
    percent: AtomicU8,
    /// Of the hash of traces, new for each ramp: nobody outside can say which build a trace meets.
    key: RandomState,
    pub(super) old: Arc<Arm>,
    pub(super) new: Arc<Arm>,
    /// Of one whose steps are decided elsewhere.
    pub lead: Option<Lead>,
    end: End,
}

impl Ramp {
    /// Both are judged by what happens within `window`, and by `min` requests at least.
    pub fn new(version: Arc<Version>, percent: u8, window: Duration, min: u64) -> Self {
        let arm = || Arc::new(Arm::new(window, min));
        Self {
            breaker: Arc::new(Breaker::new(version.component.service.clone())),
            version,
            percent: AtomicU8::new(percent),
            key: RandomState::new(),
            old: arm(),
            new: arm(),
            lead: None,
            end: End::default(),
        }
    }

    /// The same, whose steps are told from outside.
    pub fn led(self) -> Self {
        Self { lead: Some(Lead::new(self.percent())), ..self }
    }

    pub fn percent(&self) -> u8 {
        self.percent.load(Relaxed)
    }

    pub fn grow(&self, percent: u8) {
        self.percent.store(percent, Relaxed);
    }

    /// How the old build and the new one do.
    pub fn counts(&self) -> (ArmCounts, ArmCounts) {
        (self.old.counts(), self.new.counts())
    }

    /// How many requests the new build has answered in all.
    pub fn answered(&self) -> u64 {
        self.new.answered()
    }

    /// Whether the new build answers this trace.
    pub(super) fn takes(&self, trace_id: u128) -> bool {
        place(&self.key, trace_id) < self.percent()
    }

    /// Whether the new build gets no requests for a moment, because most of them failed.
    pub fn is_resting(&self) -> bool {
        self.breaker.is_open()
    }

    /// Ends it, and says why to whoever leads it. False: somebody was first, and their word counts.
    pub fn end(&self, reason: String) -> bool {
        self.end.say(reason)
    }

    /// Why it ended, when it does. Cancel safe.
    pub async fn ended(&self) -> String {
        self.end.said().await
    }
}

/// Which version answers a request, and who is told how it did.
pub(super) struct Chosen {
    pub(super) version: Arc<Version>,
    pub(super) admitted: Admitted,
    /// While there is a ramp.
    pub(super) arm: Option<Arc<Arm>>,
}

/// A trace's place among a hundred. Clients choose their traces: without the key they cannot choose a place, and
/// one client alone cannot make a build look worse than it is.
fn place(key: &RandomState, trace_id: u128) -> u8 {
    let scattered = key.hash_one(trace_id) >> 32;
    u8::try_from((scattered * 100) >> 32).expect("below a hundred")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_traces_are_spread_evenly_and_a_growing_share_keeps_its_own() {
        for numbered in [|n: u128| n, |n: u128| n << 64, |n: u128| n * 1000] {
            let key = RandomState::new();
            let below = |percent: u8| (1..=10_000).filter(|n| place(&key, numbered(*n)) < percent).count();
            for percent in [1, 5, 25, 50, 99] {
                let expected = usize::from(percent) * 100;
                // Six times the deviation of as many throws.
                assert!(below(percent).abs_diff(expected) < 300, "{percent}: {}", below(percent));
            }
        }
        let key = RandomState::new();
        assert!((0..1000).all(|n| place(&key, n) < 100));
    }

    #[test]
    fn a_client_that_knows_what_its_traces_met_in_one_ramp_knows_nothing_of_the_next() {
        let (one, other) = (RandomState::new(), RandomState::new());
        let met: Vec<u128> = (1..=100_000).filter(|n| place(&one, *n) < 1).collect();
        let again = met.iter().filter(|n| place(&other, **n) < 1).count();
        assert!(met.len() > 500, "{} of 100 000 met it", met.len());
        assert!(again * 10 < met.len(), "{again} of {} met the next one too", met.len());
        assert!(met.iter().all(|n| place(&one, *n) < 1), "the same trace meets the same build");
    }
}
