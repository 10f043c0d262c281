//! A new build that gets a share of a service's requests while the old one goes on.
//!
//! Decides which of the two answers a request, and counts how both do over a window of time. What
//! follows from that is `system`'s decision. The same trace always meets the same build while
//! the share stays or grows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

mod arm;
mod end;

pub use arm::{Arm, ArmCounts};
use end::End;

use super::{Breaker, Version, breaker::Admitted};

/// A build on its way to being live.
pub struct Ramp {
    pub version: Arc<Version>,
    /// Its own: however it fails, the old build goes on.
    pub(super) breaker: Arc<Breaker>,
    percent: AtomicU8,
    pub(super) old: Arc<Arm>,
    pub(super) new: Arc<Arm>,
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
            old: arm(),
            new: arm(),
            end: End::default(),
        }
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
        place(trace_id) < self.percent()
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

/// A trace's place among a hundred. Traces of clients may be numbered: the multiplication
/// scatters them.
fn place(trace_id: u128) -> u8 {
    let folded = (trace_id ^ (trace_id >> 64)) as u64;
    let scattered = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    u8::try_from((scattered * 100) >> 32).expect("below a hundred")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_traces_are_spread_evenly_and_a_growing_share_keeps_its_own() {
        for numbered in [|n: u128| n, |n: u128| n << 64, |n: u128| n * 1000] {
            let below = |percent: u8| (1..=10_000).filter(|n| place(numbered(*n)) < percent).count();
            for percent in [1, 5, 25, 50, 99] {
                let expected = usize::from(percent) * 100;
                assert!(below(percent).abs_diff(expected) < 200, "{percent}: {}", below(percent));
            }
        }
        assert!((0..1000).all(|n| place(n) < 100));
    }
}
