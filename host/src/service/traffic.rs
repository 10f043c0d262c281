//! What a service has answered so far: counts and latencies, for `status` and for metrics.
//!
//! Latency is from entering the service to the answer's head, in steps of a factor of two.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use gateway::counts::Histogram;

/// Up to 2^39 µs, six days.
const STEPS: usize = 40;

#[derive(Debug)]
pub struct Traffic {
    requests: AtomicU64,
    errors: AtomicU64,
    pub duration: Histogram,
    latencies: [AtomicU64; STEPS],
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    /// Answers of 5xx, and requests without an answer.
    pub errors: u64,
    /// The bound below which half of the latencies lie; none before the first request.
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            duration: Histogram::default(),
            latencies: [const { AtomicU64::new(0) }; STEPS],
        }
    }
}

impl Traffic {
    pub(super) fn record(&self, latency: Duration, failed: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.errors.fetch_add(u64::from(failed), Relaxed);
        self.duration.record(latency);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let step = (u64::BITS - micros.leading_zeros()) as usize; // the bits it needs
        self.latencies[step.min(STEPS - 1)].fetch_add(1, Relaxed);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    pub fn counts(&self) -> Counts {
        let steps: Vec<u64> = self.latencies.iter().map(|count| count.load(Relaxed)).collect();
        Counts {
            requests: self.requests.load(Relaxed),
            errors: self.errors.load(Relaxed),
            p50: bound(&steps, 50),
            p99: bound(&steps, 99),
        }
    }
}

/// The upper bound of the step in which this per cent of all lie.
fn bound(steps: &[u64], percent: u64) -> Option<Duration> {
    let all: u64 = steps.iter().sum();
    let wanted = (all * percent).div_ceil(100);
    let mut seen = 0;
    let step = steps.iter().position(|count| {
        seen += count;
        seen >= wanted && wanted > 0
    })?;
    Some(Duration::from_micros(1 << step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_upper_bounds_within_a_factor_of_two() {
        let traffic = Traffic::default();
        assert_eq!(traffic.counts(), Counts { requests: 0, errors: 0, p50: None, p99: None });
        (1..=98).for_each(|_| traffic.record(Duration::from_micros(100), false));
        traffic.record(Duration::from_millis(5), true);
        traffic.record(Duration::from_secs(1_000_000_000), true);
        let counts = traffic.counts();
        assert_eq!((counts.requests, counts.errors), (100, 2));
        assert_eq!((counts.p50, counts.p99), (Some(Duration::from_micros(128)), Some(Duration::from_micros(8192))));
    }
}
