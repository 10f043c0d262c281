//! How one of the two builds of a ramp does, over a window of time that never holds too few requests to
//! judge by.

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
/// Parts that are kept beyond the window for want of requests; the oldest are counted together then.
const PARTS_MAX: usize = 1000;

/// How one of the two builds does.
#[derive(Debug)]
pub struct Arm {
    part: Duration,
    /// What is older than the window stays while the rest has fewer requests.
    min: u64,
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

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
            latency: self.latency + other.latency,
        }
    }
}

impl Arm {
    pub(super) fn new(window: Duration, min: u64) -> Self {
        Self { part: window / PARTS, min, parts: Mutex::default(), answered: AtomicU64::new(0) }
    }

    /// An answer's head is there, or there will be none.
    pub(in crate::service) fn answer(&self, latency: Duration, failed: bool) {
        self.answer_at(Instant::now(), latency, failed);
    }

    fn answer_at(&self, now: Instant, latency: Duration, failed: bool) {
        self.count(now, |counts| {
            counts.requests += 1;
            counts.errors += u64::from(failed);
            counts.latency += latency;
        });
        self.answered.fetch_add(1, Relaxed);
    }

    /// A guest failed after its head.
    pub(in crate::service) fn broke_off(&self) {
        self.count(Instant::now(), |counts| counts.errors += 1);
    }

    fn count(&self, now: Instant, count: impl FnOnce(&mut ArmCounts)) {
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
        self.counts_at(Instant::now())
    }

    fn counts_at(&self, now: Instant) -> ArmCounts {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget(&mut parts, now);
        parts.iter().fold(ArmCounts::default(), |sum, part| sum.and(part.counts))
    }

    /// What is older than the window goes, once there are requests enough without it.
    fn forget(&self, parts: &mut VecDeque<Part>, now: Instant) {
        let is_old = |first: &Part| now.saturating_duration_since(first.since) > self.part * PARTS;
        while parts.front().is_some_and(is_old) && requests(parts.iter().skip(1)) >= self.min {
            parts.pop_front();
        }
        if parts.len() > PARTS_MAX
            && let Some(oldest) = parts.pop_front()
            && let Some(next) = parts.front_mut()
        {
            next.counts = next.counts.and(oldest.counts);
        }
    }
}

fn requests<'a>(parts: impl Iterator<Item = &'a Part>) -> u64 {
    parts.map(|part| part.counts.requests).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let arm = Arm::new(Duration::from_secs(10), 0);
        arm.answer(Duration::from_millis(4), false);
        arm.answer(Duration::from_millis(2), true);
        arm.broke_off();
        let counts = arm.counts();
        assert_eq!((counts.requests, counts.errors, counts.mean()), (2, 2, Some(Duration::from_millis(3))));
        arm.forget(&mut arm.parts.lock().unwrap(), Instant::now() + Duration::from_secs(11));
        assert_eq!(arm.counts(), ArmCounts::default());
        assert_eq!(arm.counts().mean(), None);
    }

    #[test]
    fn slow_traffic_is_judged_by_as_many_requests_as_it_takes() {
        let (arm, began) = (Arm::new(Duration::from_secs(10), 50), Instant::now());
        let at = |second: u64| began + Duration::from_secs(second);
        for second in 0..60 {
            arm.answer_at(at(second), Duration::from_millis(1), second >= 30);
        }
        let counts = arm.counts_at(at(60));
        assert_eq!((counts.requests, counts.errors), (50, 30), "five times what lies inside the window");
        assert_eq!(arm.counts_at(at(600)).requests, 50, "nobody asks: what there is stays");
        for _ in 0..100 {
            arm.answer_at(at(601), Duration::from_millis(1), false);
        }
        assert_eq!((arm.counts_at(at(601)).requests, arm.counts_at(at(601)).errors), (100, 0), "the window is enough");
        let many = Arm::new(Duration::from_secs(10), u64::MAX);
        (0..3000).for_each(|second| many.answer_at(at(second), Duration::ZERO, false));
        assert_eq!((many.counts_at(at(3000)).requests, many.parts.lock().unwrap().len()), (3000, PARTS_MAX));
    }
}
