//! Latencies in a histogram of fixed size: whole microseconds up to a tenth of a second.

use std::time::Duration;

const BUCKETS: usize = 100_000;

/// How long requests took. What took longer than the last bucket is counted in it.
#[derive(Clone)]
pub(crate) struct Latencies {
    counts: Vec<u32>,
    total: u64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let micros = usize::try_from(took.as_micros()).unwrap_or(usize::MAX);
        self.counts[micros.min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency in microseconds that `share` (0 to 1) of all requests did not exceed; 0 when
    /// there were none.
    pub(crate) fn quantile_us(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (micros, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return micros as u64;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_latency_that_its_share_did_not_exceed() {
        let mut latencies = Latencies::new();
        for micros in 1..=100 {
            latencies.record(Duration::from_micros(micros));
        }
        assert_eq!(latencies.quantile_us(0.5), 50);
        assert_eq!(latencies.quantile_us(0.99), 99);
        assert_eq!(latencies.quantile_us(1.0), 100);
    }

    #[test]
    fn what_is_off_the_scale_is_counted_at_its_end() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_secs(5));
        assert_eq!(latencies.quantile_us(0.5), BUCKETS as u64 - 1);
        assert_eq!(Latencies::new().quantile_us(0.5), 0);
    }
}
