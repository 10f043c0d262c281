//! Latencies in a histogram of fixed size: whole microseconds up to a tenth of a second, whole
//! milliseconds from there to a hundred seconds.

use std::time::Duration;

const FINE: usize = 100_000;
const COARSE: usize = 100_000;

/// How long requests took. What took longer than the last bucket is counted in it.
#[derive(Clone)]
pub(crate) struct Latencies {
    /// By microsecond.
    fine: Vec<u32>,
    /// By millisecond, of what is not in `fine`.
    coarse: Vec<u32>,
    total: u64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self { fine: vec![0; FINE], coarse: vec![0; COARSE], total: 0 }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let micros = usize::try_from(took.as_micros()).unwrap_or(usize::MAX);
        match self.fine.get_mut(micros) {
            Some(count) => *count += 1,
            None => self.coarse[(micros / 1000).min(COARSE - 1)] += 1,
        }
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let more = other.fine.iter().chain(&other.coarse);
        for (count, more) in self.fine.iter_mut().chain(&mut self.coarse).zip(more) {
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
        let fine = self.fine.iter().enumerate().map(|(micros, count)| (micros as u64, *count));
        let coarse = self.coarse.iter().enumerate().map(|(millis, count)| (millis as u64 * 1000, *count));
        let mut seen = 0;
        for (micros, count) in fine.chain(coarse) {
            seen += u64::from(count);
            if seen >= rank {
                return micros;
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
    fn beyond_a_tenth_of_a_second_milliseconds_are_told_apart() {
        let mut latencies = Latencies::new();
        for millis in [99, 100, 141] {
            latencies.record(Duration::from_micros(millis * 1000 + 7));
        }
        assert_eq!(latencies.quantile_us(0.1), 99_007);
        assert_eq!(latencies.quantile_us(0.5), 100_000);
        assert_eq!(latencies.quantile_us(1.0), 141_000);
    }

    #[test]
    fn what_is_off_the_scale_is_counted_at_its_end() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_secs(500));
        assert_eq!(latencies.quantile_us(0.5), (COARSE as u64 - 1) * 1000);
        assert_eq!(Latencies::new().quantile_us(0.5), 0);
    }

    #[test]
    fn what_two_connections_saw_is_one_picture() {
        let (mut one, mut other) = (Latencies::new(), Latencies::new());
        one.record(Duration::from_micros(5));
        other.record(Duration::from_secs(2));
        one.add(&other);
        assert_eq!((one.total(), one.quantile_us(0.5), one.quantile_us(1.0)), (2, 5, 2_000_000));
    }
}
