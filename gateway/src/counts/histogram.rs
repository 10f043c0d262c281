//! How long things took, in a few steps.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The upper bounds of the steps; what took longer is in one more.
pub const BOUNDS_MICROS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
pub(super) const STEPS: usize = BOUNDS_MICROS.len() + 1;

/// Durations by steps, and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    steps: [AtomicU64; STEPS],
    nanos: AtomicU64,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Buckets {
    /// How many were no longer than each bound; the last one: all.
    pub up_to: [u64; STEPS],
    pub seconds: f64,
}

/// Where it is counted.
pub(super) fn step_of(duration: Duration) -> usize {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    BOUNDS_MICROS.partition_point(|bound| bound * 1_000 < nanos)
}

impl Histogram {
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.steps[step_of(duration)].fetch_add(1, Relaxed);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    pub fn read(&self) -> Buckets {
        let mut all = 0;
        let up_to = std::array::from_fn(|step| {
            all += self.steps[step].load(Relaxed);
            all
        });
        Buckets { up_to, seconds: self.nanos.load(Relaxed) as f64 / 1e9 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_step_and_what_is_longer_to_the_next() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(100));
        histogram.record(Duration::from_nanos(100_001));
        histogram.record(Duration::from_secs(10));
        histogram.record(Duration::from_secs(60));
        let Buckets { up_to, seconds } = histogram.read();
        assert_eq!(up_to[..3], [1, 2, 2]);
        assert_eq!(up_to[STEPS - 2..], [3, 4]);
        assert!((seconds - 70.000_200_001).abs() < 1e-6, "{seconds}");
    }
}
