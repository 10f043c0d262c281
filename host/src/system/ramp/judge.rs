//! Whether a new build does well enough for its next share. The same for one host and for several whose counts are added.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::service::{ArmCounts, Ramp};
use manifest::RampSettings;

/// A build that nobody asks for so long in one step is taken back.
const STEP_MAX: Duration = Duration::from_secs(60 * 60);
/// A difference that nobody notices is none.
const LATENCY_FLOOR: Duration = Duration::from_millis(2);

/// What the manifest asks of a ramp, as whoever leads it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Per cent, rising, 1 to 99.
    pub steps: Vec<u8>,
    step_ms: u64,
    min_requests: NonZeroU32,
    /// Points, per cent.
    error_rate: u32,
    /// Per cent of the old build's mean.
    latency: u32,
}

impl From<&RampSettings> for Rules {
    fn from(settings: &RampSettings) -> Self {
        Self {
            steps: settings.steps.clone(),
            step_ms: u64::try_from(settings.step.as_millis()).unwrap_or(u64::MAX),
            min_requests: settings.min_requests,
            error_rate: settings.error_rate,
            latency: settings.latency,
        }
    }
}

impl Rules {
    /// How long a step lasts at least.
    pub fn step(&self) -> Duration {
        Duration::from_millis(self.step_ms)
    }

    fn min(&self) -> u64 {
        self.min_requests.get().into()
    }
}

/// How both builds do: over the window, and what the new one has answered in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    pub old: ArmCounts,
    pub new: ArmCounts,
    pub answered: u64,
}

impl Standing {
    pub fn of(ramp: &Ramp) -> Self {
        let (old, new) = ramp.counts();
        Self { old, new, answered: ramp.answered() }
    }

    /// Both hosts together.
    pub fn and(self, other: Self) -> Self {
        Self {
            old: self.old.and(other.old),
            new: self.new.and(other.new),
            answered: self.answered.saturating_add(other.answered),
        }
    }
}

/// A step that goes on.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    began: Instant,
    /// What the new build had answered.
    answered: u64,
}

impl Stage {
    pub fn begin(answered: u64) -> Self {
        Self { began: Instant::now(), answered }
    }

    /// Whether it has lasted, and the build has answered enough.
    ///
    /// # Errors
    /// Why the build is to be taken back.
    pub fn judge(&self, now: Standing, rules: &Rules) -> Result<bool, String> {
        verdict(now.old, now.new, rules)?;
        let (lasted, answered) = (self.began.elapsed(), now.answered.saturating_sub(self.answered));
        if answered >= rules.min() && now.new.requests >= rules.min() && lasted >= rules.step() {
            return Ok(true);
        }
        if lasted > rules.step().max(STEP_MAX) {
            return Err(format!("it answered {answered} requests in {lasted:?}, too few to judge"));
        }
        Ok(false)
    }
}

/// Whether the new build does well enough, over the window.
///
/// # Errors
/// The budget that it has used up.
fn verdict(old: ArmCounts, new: ArmCounts, rules: &Rules) -> Result<(), String> {
    let min = rules.min();
    if new.requests < min {
        return Ok(());
    }
    let rate = |counts: ArmCounts| counts.errors as f64 * 100.0 / counts.requests.max(1) as f64;
    let (was, is) = (rate(old), rate(new));
    if is > was + f64::from(rules.error_rate) {
        let (errors, requests, more) = (new.errors, new.requests, rules.error_rate);
        return Err(format!(
            "{errors} of its {requests} requests failed, {is:.1} % and {was:.1} % with the build before it; {more} points more are allowed"
        ));
    }
    if let (Some(was), Some(is)) = (old.mean().filter(|_| old.requests >= min), new.mean()) {
        let allowed = was.mul_f64(1.0 + f64::from(rules.latency) / 100.0) + LATENCY_FLOOR;
        if is > allowed {
            return Err(format!(
                "its answers took {is:.1?} on average, and {was:.1?} with the build before it; {allowed:.1?} are allowed"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::from(&RampSettings {
            steps: vec![5],
            step: Duration::from_secs(1),
            min_requests: NonZeroU32::new(50).unwrap(),
            error_rate: 2,
            latency: 50,
            window: Duration::from_secs(10),
        })
    }

    fn counts(requests: u64, errors: u64, mean_ms: u64) -> ArmCounts {
        ArmCounts { requests, errors, latency: Duration::from_millis(mean_ms * requests) }
    }

    #[test]
    fn a_build_is_taken_back_when_it_fails_or_dawdles_more_than_it_may() {
        for (old, new, well) in [
            (counts(1000, 0, 10), counts(49, 49, 1000), true),
            (counts(1000, 0, 10), counts(50, 0, 10), true),
            (counts(1000, 0, 10), counts(50, 1, 10), true),
            (counts(1000, 0, 10), counts(50, 2, 10), false),
            (counts(1000, 100, 10), counts(100, 12, 10), true),
            (counts(1000, 100, 10), counts(100, 13, 10), false),
            (counts(1000, 0, 10), counts(50, 0, 17), true),
            (counts(1000, 0, 10), counts(50, 0, 18), false),
            (counts(10, 0, 10), counts(50, 0, 18), true),
            (counts(0, 0, 0), counts(50, 0, 18), true),
        ] {
            assert_eq!(verdict(old, new, &rules()).is_ok(), well, "{old:?} {new:?}");
        }
    }

    #[test]
    fn hosts_that_have_too_few_requests_each_are_judged_together() {
        let stage = Stage { began: Instant::now() - Duration::from_secs(2), answered: 10 };
        let host = |requests: u64, errors: u64| Standing {
            old: counts(100, 0, 10),
            new: counts(requests, errors, 10),
            answered: requests,
        };
        assert_eq!(stage.judge(host(49, 9), &rules()), Ok(false), "one alone has too few");
        assert_eq!(stage.judge(host(30, 0).and(host(30, 0)), &rules()), Ok(true));
        assert!(stage.judge(host(30, 2).and(host(30, 0)), &rules()).is_err());
        assert!(stage.judge(host(50, 2), &rules()).is_err(), "what one of them would be blamed for alone …");
        assert_eq!(stage.judge(host(50, 2).and(host(60, 0)), &rules()), Ok(true), "… is little over all");
        let told = serde_json::to_value(rules()).unwrap();
        assert_eq!(serde_json::from_value::<Rules>(told).unwrap(), rules());
    }
}
