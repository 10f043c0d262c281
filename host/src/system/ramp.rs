//! A new build goes live by shares of the requests, and goes back by itself when it does worse than
//! the old one.
//!
//! The build has passed everything that a swap asks before it gets its first share. Which request
//! it gets is `service/ramp`'s decision. The history names the old build until the ramp is over, so
//! that a restart in the middle runs that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use span::Active;

use super::{SwapError, Swapped, System, swap::Sent};
use crate::{
    component::{Entry, Outcome, changes},
    deploy::{Deployed, Turn, entry},
    service::{ArmCounts, Ramp, Version},
    telemetry::counts::RampDecision,
};
use document::problem::chain;
use manifest::RampSettings;

/// How often both builds are compared.
const LOOK: Duration = Duration::from_millis(50);
/// A build that nobody asks for so long in one step is taken back.
const STEP_MAX: Duration = Duration::from_secs(60 * 60);

/// A ramp and what it is about.
struct Climb {
    deployed: Arc<Deployed>,
    ramp: Arc<Ramp>,
    sent: Sent,
}

impl System {
    /// Gives `version` its first share, and whoever leads it further the rest.
    pub(super) async fn set_out(
        self: &Arc<Self>,
        deployed: &Arc<Deployed>,
        version: Arc<Version>,
        sent: Sent,
        turn: Turn,
        began: Instant,
    ) -> Result<Swapped, SwapError> {
        let settings = &deployed.settings.ramp;
        let noted = entry(&version, Outcome::Ramping, &sent.by, None);
        self.loader().remember(&deployed.settings, None, |history| history.note(noted)).await?;
        let swapped = Swapped {
            service: deployed.settings.name.clone(),
            version: version.text().to_owned(),
            replaced: deployed.service.version().text().to_owned(),
            cached: version.component.cached,
            took: began.elapsed(),
            changes: changes(&deployed.service.version().component.words(), &version.component.words()),
            accepted: Vec::new(),
            steps: settings.steps.clone(),
        };
        let (first, min) = (settings.steps.first().copied().unwrap_or(1), u64::from(settings.min_requests.get()));
        let ramp = Arc::new(Ramp::new(version, first, settings.window, min));
        deployed.service.begin(ramp.clone());
        drop(turn);
        tokio::spawn(self.clone().climb(Climb { deployed: deployed.clone(), ramp, sent }));
        Ok(swapped)
    }

    /// Leads a ramp to its end; the task belongs to the ramp and ends with it.
    async fn climb(self: Arc<Self>, climb: Climb) {
        let Climb { deployed, ramp, .. } = &climb;
        let settings = &deployed.settings.ramp;
        let service = &deployed.settings.name;
        let mut span = Active::alone(self.recorder(), || format!("ramp {service}").into());
        span.set("archipel.version", ramp.version.text().to_owned());
        for percent in &settings.steps {
            ramp.grow(*percent);
            deployed.service.counts().ramps.count(RampDecision::Step);
            span.event(|| format!("{percent} %"));
            tracing::info!(%service, version = ramp.version.text(), percent, "a ramp goes on");
            let ended = tokio::select! {
                biased;
                reason = ramp.ended() => Some(reason),
                verdict = step(ramp, settings) => verdict.err(),
            };
            if let Some(reason) = ended {
                span.set("archipel.reason", reason.clone());
                span.fail("reverted");
                return self.taken_back(&climb, &reason).await;
            }
        }
        drop(span);
        self.arrive(climb).await;
    }

    /// All steps went well: the build goes live as any other does.
    async fn arrive(&self, climb: Climb) {
        let began = Instant::now();
        let Climb { deployed, ramp, sent: Sent { wasm, by } } = &climb;
        let turn = deployed.lane.turn(ramp.version.text()).await;
        // From here on a rollback waits for the turn, and rolls this build back.
        if !ramp.end("it goes live".to_owned()) {
            drop(turn);
            let reason = ramp.ended().await;
            return self.taken_back(&climb, &reason).await;
        }
        let (version, digest) = (ramp.version.clone(), ramp.version.component.digest);
        let noted = entry(&version, Outcome::Swapped, by, Some("after its ramp".to_owned()));
        let advance = move |history: &mut crate::component::History| history.advance(digest);
        if let Err(error) = self.loader().remember(&deployed.settings, Some(wasm.clone()), advance).await {
            self.taken_back(&climb, &chain(&error)).await;
            return drop(turn);
        }
        self.go_live(deployed, version, &turn, began);
        deployed.service.counts().ramps.count(RampDecision::Promoted);
        // Only now: who waits for this word may rely on the build being live.
        self.note_end(deployed, noted).await;
        drop(turn);
    }

    async fn taken_back(&self, climb: &Climb, reason: &str) {
        let Climb { deployed, ramp, sent: Sent { by, .. } } = climb;
        ramp.end(reason.to_owned());
        deployed.service.drop_ramp(ramp);
        deployed.service.counts().ramps.count(RampDecision::Reverted);
        let (service, version) = (&deployed.settings.name, ramp.version.text());
        tracing::warn!(%service, version, reason, "a ramp was taken back; the build before it answers all requests");
        self.note_end(deployed, entry(&ramp.version, Outcome::Reverted, by, Some(reason.to_owned()))).await;
    }

    async fn note_end(&self, deployed: &Deployed, end: Entry) {
        if let Err(error) = self.loader().remember(&deployed.settings, None, |history| history.note(end)).await {
            let service = &deployed.settings.name;
            tracing::warn!(%service, error = %chain(&error), "the end of a ramp could not be written down");
        }
    }
}

/// Waits until the step has lasted and the build has answered enough.
///
/// # Errors
/// Why it is to be taken back.
async fn step(ramp: &Ramp, settings: &RampSettings) -> Result<(), String> {
    let began = Instant::now();
    let before = ramp.answered();
    let mut look = tokio::time::interval(LOOK.min(settings.step));
    loop {
        look.tick().await;
        let (now, (old, new)) = (ramp.answered(), ramp.counts());
        if ramp.is_resting() {
            let (errors, requests) = (new.errors, new.requests);
            return Err(format!("most of its requests failed, {errors} of {requests}"));
        }
        verdict(old, new, settings)?;
        let min = u64::from(settings.min_requests.get());
        if now - before >= min && new.requests >= min && began.elapsed() >= settings.step {
            return Ok(());
        }
        if began.elapsed() > settings.step.max(STEP_MAX) {
            return Err(format!("it answered {} requests in {:?}, too few to judge", now - before, began.elapsed()));
        }
    }
}

/// Whether the new build does well enough, over the window.
///
/// # Errors
/// The budget that it has used up.
fn verdict(old: ArmCounts, new: ArmCounts, settings: &RampSettings) -> Result<(), String> {
    let min = u64::from(settings.min_requests.get());
    if new.requests < min {
        return Ok(());
    }
    let rate = |counts: ArmCounts| counts.errors as f64 * 100.0 / counts.requests.max(1) as f64;
    let (was, is) = (rate(old), rate(new));
    if is > was + f64::from(settings.error_rate) {
        let (errors, requests, more) = (new.errors, new.requests, settings.error_rate);
        return Err(format!(
            "{errors} of its {requests} requests failed, {is:.1} % and {was:.1} % with the build before it; {more} points more are allowed"
        ));
    }
    if let (Some(was), Some(is)) = (old.mean().filter(|_| old.requests >= min), new.mean()) {
        let allowed = was.mul_f64(1.0 + f64::from(settings.latency) / 100.0) + LATENCY_FLOOR;
        if is > allowed {
            return Err(format!(
                "its answers took {is:.1?} on average, and {was:.1?} with the build before it; {allowed:.1?} are allowed"
            ));
        }
    }
    Ok(())
}

/// A difference that nobody notices is none.
const LATENCY_FLOOR: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn settings() -> RampSettings {
        RampSettings {
            steps: vec![5],
            step: Duration::from_secs(1),
            min_requests: NonZeroU32::new(50).unwrap(),
            error_rate: 2,
            latency: 50,
            window: Duration::from_secs(10),
        }
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
            assert_eq!(verdict(old, new, &settings()).is_ok(), well, "{old:?} {new:?}");
        }
    }
}
