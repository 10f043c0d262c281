//! A new build goes live by shares of the requests, and goes back by itself when it does worse than
//! the old one.
//!
//! The build has passed everything that a swap asks before it gets its first share. Which request
//! it gets is `service/ramp`'s decision. The history names the old build until the ramp is over, so
//! that a restart in the middle runs that. One that is led from outside, over several hosts, takes its steps from there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use span::Active;

mod judge;

pub use judge::{Rules, Stage, Standing};

use super::{SwapError, Swapped, System, swap::Sent};
use crate::{
    component::{Entry, Outcome, changes},
    deploy::{Deployed, Turn, entry},
    service::{ArmCounts, LEASE, Lead, Ramp, Version},
    telemetry::counts::RampDecision,
};
use document::problem::chain;

/// How often both builds are compared.
const LOOK: Duration = Duration::from_millis(50);
/// The share of a build that is live, per cent.
const ALL: u8 = 100;

/// A ramp and what it is about.
struct Climb {
    deployed: Arc<Deployed>,
    ramp: Arc<Ramp>,
    sent: Sent,
}

/// What is said of a ramp that is led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It goes on, with this share if one is named; a hundred: live.
    Share(Option<u8>),
    /// It is taken back, and why.
    Back(String),
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
        let ramp = Ramp::new(version, first, settings.window, min);
        let ramp = Arc::new(if sent.leads { ramp.led() } else { ramp });
        deployed.service.begin(ramp.clone());
        drop(turn);
        tokio::spawn(self.clone().climb(Climb { deployed: deployed.clone(), ramp, sent }));
        Ok(swapped)
    }

    /// What whoever leads a ramp says of it. Gives back the ramp.
    pub fn lead(&self, service: &str, version: &str, word: Word) -> Result<Arc<Ramp>, SwapError> {
        let deployed = self.deployed(service)?;
        let other = || SwapError::NotLed { service: deployed.settings.name.clone(), version: version.to_owned() };
        let ramp = deployed.service.ramp().filter(|ramp| ramp.version.text() == version).ok_or_else(other)?;
        match (word, &ramp.lead) {
            (Word::Share(percent), Some(lead)) => lead.hear(percent),
            (Word::Back(reason), Some(_)) if ramp.end(reason.clone()) => deployed.service.drop_ramp(&ramp),
            _ => return Err(other()),
        }
        Ok(ramp)
    }

    /// Leads a ramp to its end; the task belongs to the ramp and ends with it.
    async fn climb(self: Arc<Self>, climb: Climb) {
        let Climb { deployed, ramp, .. } = &climb;
        let settings = &deployed.settings.ramp;
        let service = &deployed.settings.name;
        let mut span = Active::alone(self.recorder(), || format!("ramp {service}").into());
        span.set("archipel.version", ramp.version.text().to_owned());
        let mut grow = |percent: u8| {
            ramp.grow(percent);
            deployed.service.counts().ramps.count(RampDecision::Step);
            span.event(|| format!("{percent} %"));
            tracing::info!(%service, version = ramp.version.text(), percent, "a ramp goes on");
        };
        let steps = async {
            match &ramp.lead {
                Some(lead) => led(ramp, lead, &mut grow).await,
                None => alone(ramp, &Rules::from(settings), &mut grow).await,
            }
        };
        let ended = tokio::select! {
            biased;
            reason = ramp.ended() => Some(reason),
            verdict = steps => verdict.err(),
        };
        if let Some(reason) = ended {
            span.set("archipel.reason", reason.clone());
            span.fail("reverted");
            return self.taken_back(&climb, &reason).await;
        }
        drop(span);
        self.arrive(climb).await;
    }

    /// All steps went well: the build goes live as any other does.
    async fn arrive(&self, climb: Climb) {
        let began = Instant::now();
        let Climb { deployed, ramp, sent: Sent { wasm, by, .. } } = &climb;
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

/// All steps, by what this host sees.
///
/// # Errors
/// Why it is to be taken back.
async fn alone(ramp: &Ramp, rules: &Rules, grow: &mut impl FnMut(u8)) -> Result<(), String> {
    for percent in &rules.steps {
        grow(*percent);
        step(ramp, rules).await?;
    }
    Ok(())
}

/// The shares that it is told from outside, until that is everything. What all hosts see together is judged there; only
/// a build that fails at most of its requests here goes back without being asked.
///
/// # Errors
/// Why it is to be taken back.
async fn led(ramp: &Ramp, lead: &Lead, grow: &mut impl FnMut(u8)) -> Result<(), String> {
    let (mut words, mut look) = (lead.words(), tokio::time::interval(LOOK));
    let mut share = 0;
    loop {
        let word = *words.borrow_and_update();
        if word.percent == ALL {
            return Ok(());
        }
        if word.percent != share {
            share = word.percent;
            grow(share);
        }
        resting(ramp)?;
        if word.is_over() {
            return Err(format!("whoever leads its ramp was not heard of for {LEASE:?}"));
        }
        tokio::select! {
            biased;
            _ = words.changed() => {} // the ramp has its other end
            _ = look.tick() => {}
        }
    }
}

/// Waits until the step has lasted and the build has answered enough.
///
/// # Errors
/// Why it is to be taken back.
async fn step(ramp: &Ramp, rules: &Rules) -> Result<(), String> {
    let stage = Stage::begin(ramp.answered());
    let mut look = tokio::time::interval(LOOK.min(rules.step()));
    loop {
        look.tick().await;
        resting(ramp)?;
        if stage.judge(Standing::of(ramp), rules)? {
            return Ok(());
        }
    }
}

/// # Errors
/// It fails so much that nobody asks it any more.
fn resting(ramp: &Ramp) -> Result<(), String> {
    if !ramp.is_resting() {
        return Ok(());
    }
    let (_, ArmCounts { errors, requests, .. }) = ramp.counts();
    Err(format!("most of its requests failed, {errors} of {requests}"))
}
