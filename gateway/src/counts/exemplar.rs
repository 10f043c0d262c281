//! One request for each step of a histogram, by its trace: what leads from a slow quantile to what was slow.
//!
//! Only requests whose trace is kept are noted, and one a second: whoever looks finds it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::histogram::{STEPS, step_of};

/// How long one stands at least: newer ones tell no more.
const STANDS: Duration = Duration::from_secs(1);

/// One request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    pub trace_id: u128,
    pub took: Duration,
    /// When it had ended.
    pub at: SystemTime,
}

/// The latest of each step, about.
#[derive(Debug, Default)]
pub struct Exemplars([Mutex<Option<(Instant, Exemplar)>>; STEPS]);

impl Exemplars {
    /// Nobody waits: when another one is noted at the same moment, this one is not.
    pub(super) fn note(&self, trace_id: u128, took: Duration, now: Instant) {
        let Ok(mut slot) = self.0[step_of(took)].try_lock() else { return };
        if slot.is_none_or(|(noted, _)| now.saturating_duration_since(noted) >= STANDS) {
            *slot = Some((now, Exemplar { trace_id, took, at: SystemTime::now() }));
        }
    }

    /// In the order of the steps.
    pub fn read(&self) -> [Option<Exemplar>; STEPS] {
        std::array::from_fn(|step| {
            let slot = self.0[step].lock().unwrap_or_else(PoisonError::into_inner);
            slot.map(|(_, exemplar)| exemplar)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_one_for_a_second_and_the_next_after_it() {
        let (exemplars, now) = (Exemplars::default(), Instant::now());
        let (quick, slow) = (Duration::from_micros(50), Duration::from_secs(60));
        exemplars.note(1, quick, now);
        exemplars.note(2, quick, now + Duration::from_millis(900));
        exemplars.note(3, slow, now);
        let ids = || exemplars.read().map(|exemplar| exemplar.map(|exemplar| exemplar.trace_id));
        assert_eq!((ids()[0], ids()[1], ids()[STEPS - 1]), (Some(1), None, Some(3)));
        exemplars.note(4, quick, now + STANDS);
        assert_eq!(ids()[0], Some(4));
    }
}
