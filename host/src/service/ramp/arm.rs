//! How one of the two builds of a ramp does, over a window of time.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Parts of the window, each counted by itself.
const PARTS: u32 = 10;

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

impl Arm {
    pub(super) fn new(window: Duration) -> Self {
        Self { part: window / PARTS, parts: Mutex::default(), answered: AtomicU64::new(0) }
    }

    /// An answer's head is there, or there will be none.
    pub(in crate::service) fn answer(&self, latency: Duration, failed: bool) {
        self.answered.fetch_add(1, Relaxed);
        self.count(|counts| {
            counts.requests += 1;
            counts.errors += u64::from(failed);
            counts.latency += latency;
        });
    }

    /// A guest failed after its head.
    pub(in crate::service) fn broke_off(&self) {
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

    /// Since its beginning.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    pub(super) fn counts(&self) -> ArmCounts {
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
