//! Which traces are kept whatever happens in them.
//!
//! The decision follows from the trace's id alone, so that all hosts that are asked about one trace decide
//! alike.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A share of all traces, and whose word counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// From 0 to 1.
    pub ratio: f64,
    /// What a caller has decided holds for what it calls.
    pub by_parent: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ratio: 1.0, by_parent: true }
    }
}

/// The part of a trace's id that is random, by W3C Trace Context level 2.
const RANDOM_BITS: u32 = 56;
/// As many of them as a float holds exactly.
const EXACT_BITS: u32 = 53;

impl Sampling {
    /// `parent` is the caller's decision, if there is a caller.
    pub fn decides(self, trace_id: u128, parent: Option<bool>) -> bool {
        if let Some(sampled) = parent.filter(|_| self.by_parent) {
            return sampled;
        }
        let random = (trace_id & ((1 << RANDOM_BITS) - 1)) >> (RANDOM_BITS - EXACT_BITS);
        (random as f64) < self.ratio * (1_u64 << EXACT_BITS) as f64
    }
}

/// A [`Sampling`] that changes while requests run.
#[derive(Debug)]
pub(crate) struct AtomicSampling {
    ratio: AtomicU64,
    by_parent: AtomicBool,
}

impl AtomicSampling {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self { ratio: AtomicU64::new(sampling.ratio.to_bits()), by_parent: AtomicBool::new(sampling.by_parent) }
    }

    pub(crate) fn load(&self) -> Sampling {
        Sampling { ratio: f64::from_bits(self.ratio.load(Relaxed)), by_parent: self.by_parent.load(Relaxed) }
    }

    pub(crate) fn store(&self, sampling: Sampling) {
        self.ratio.store(sampling.ratio.to_bits(), Relaxed);
        self.by_parent.store(sampling.by_parent, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_traces_is_sampled_and_a_parents_word_goes_first() {
        let tenth = Sampling { ratio: 0.1, by_parent: true };
        let sampled = (0..10_000).filter(|_| tenth.decides(fastrand::u128(1..), None)).count();
        assert!((800..1200).contains(&sampled), "{sampled}");
        assert!(tenth.decides(u128::MAX, Some(true)));
        assert!(!tenth.decides(1 << 60, Some(false)));
        assert!(!Sampling { ratio: 0.0, by_parent: true }.decides(1 << 60, None));
        assert!(Sampling { ratio: 1.0, by_parent: false }.decides(u128::MAX, Some(false)));
    }
}
