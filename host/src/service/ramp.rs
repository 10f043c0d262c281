//! A new build that gets a share of a service's requests while the old one goes on.
//!
//! Decides which of the two answers a request, and counts how both do over a window of time. What
//! follows from that is `deploy`'s decision. The same trace always meets the same build while
//! the share stays or grows.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Breaker, Version};

/// Parts of the window, each counted by itself.
const PARTS: u32 = 10;

/// A build on its way to being live.
pub struct Ramp {
    pub version: Arc<Version>,
    /// Its own: however it fails, the old build goes on.
    pub(super) breaker: Arc<Breaker>,
    percent: AtomicU8,
    pub(super) old: Arc<Arm>,
    pub(super) new: Arc<Arm>,
    ended: OnceLock<String>,
    told: Notify,
}

/// How one of the two builds does.
#[derive(Debug)]
pub struct Arm {
    part: Duration,
    parts: Mutex<VecDeque<Part>>,
    /// Since its beginning.
    answered: AtomicU64,
}

#[derive(Debug)]
struct Part {
    since: Instant,
    counts: ArmCounts,
}

/// The same over the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArmCounts {
    pub requests: u64,
    /// Answers of 5xx, and failures of the guest, also after its answer began.
    pub errors: u64,
    /// To the heads of all answers together.
    pub latency: Duration,
}

impl ArmCounts {
    /// To the head of an answer; none without requests.
    pub fn mean(self) -> Option<Duration> {
        u32::try_from(self.requests).ok().filter(|count| *count > 0).map(|count| self.latency / count)
    }
}

impl Ramp {
    pub fn new(version: Arc<Version>, percent: u8, window: Duration) -> Self {
        let arm = || Arc::new(Arm::new(window));
        Self {
            breaker: Arc::new(Breaker::new(version.component.service.clone())),
            version,
            percent: AtomicU8::new(percent),
            old: arm(),
            new: arm(),
            ended: OnceLock::new(),
            told: Notify::new(),
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
        self.new.answered.load(Relaxed)
    }

    /// Whether the new build answers this trace.
    pub(super) fn takes(&self, trace_id: u128) -> bool {
        place(trace_id) < self.percent()
    }

    /// Says why it ended, to whoever leads it; only the first word counts.
    pub(super) fn end(&self, reason: String) {
        // Somebody was first.
        let _ = self.ended.set(reason);
        self.told.notify_one();
    }

    /// Why it ended, when it does. Cancel safe.
    pub async fn ended(&self) -> String {
        loop {
            if let Some(reason) = self.ended.get() {
                return reason.clone();
            }
            self.told.notified().await;
        }
    }
}

/// A trace's place among a hundred. Traces of clients may be numbered: the multiplication
/// scatters them.
fn place(trace_id: u128) -> u8 {
    let folded = (trace_id ^ (trace_id >> 64)) as u64;
    let scattered = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    u8::try_from(scattered * 100 >> 32).expect("below a hundred")
}

impl Arm {
    fn new(window: Duration) -> Self {
        Self { part: window / PARTS, parts: Mutex::default(), answered: AtomicU64::new(0) }
    }

    /// An answer's head is there, or there will be none.
    pub(super) fn answer(&self, latency: Duration, failed: bool) {
        self.answered.fetch_add(1, Relaxed);
        self.count(|counts| {
            counts.requests += 1;
            counts.errors += u64::from(failed);
            counts.latency += latency;
        });
    }

    /// A guest failed after its head.
    pub(super) fn broke_off(&self) {
        self.count(|counts| counts.errors += 1);
    }

    fn count(&self, count: impl FnOnce(&mut ArmCounts)) {
        let now = Instant::now();
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.back().is_none_or(|last| now - last.since >= self.part) {
            parts.push_back(Part { since: now, counts: ArmCounts::default() });
        }
        if let Some(last) = parts.back_mut() {
            count(&mut last.counts);
        }
        self.forget(&mut parts, now);
    }

    fn counts(&self) -> ArmCounts {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget(&mut parts, Instant::now());
        parts.iter().fold(ArmCounts::default(), |sum, part| ArmCounts {
            requests: sum.requests + part.counts.requests,
            errors: sum.errors + part.counts.errors,
            latency: sum.latency + part.counts.latency,
        })
    }

    fn forget(&self, parts: &mut VecDeque<Part>, now: Instant) {
        while parts.front().is_some_and(|first| now - first.since > self.part * PARTS) {
            parts.pop_front();
        }
    }
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

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let arm = Arm::new(Duration::from_secs(10));
        arm.answer(Duration::from_millis(4), false);
        arm.answer(Duration::from_millis(2), true);
        arm.broke_off();
        let counts = arm.counts();
        assert_eq!((counts.requests, counts.errors, counts.mean()), (2, 2, Some(Duration::from_millis(3))));
        arm.forget(&mut arm.parts.lock().unwrap(), Instant::now() + Duration::from_secs(11));
        assert_eq!(arm.counts(), ArmCounts::default());
        assert_eq!(arm.counts().mean(), None);
    }
}
