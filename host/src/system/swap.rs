//! A new build goes live while the host runs.
//!
//! Everything that can fail comes first: compile, compare with grants, migrate, link, one trial instance, one
//! smoke request, the history on disk. Then one store. A step that fails changes nothing.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use span::Active;

mod error;
mod fitting;

use super::System;
use crate::{
    component::{Accepted, Changes, Digest, Entry, Outcome, changes},
    deploy::{Deployed, Turn, entry, now, permitted, smoke},
    service::Version,
    telemetry::counts::{RampDecision, SwapOutcome},
};
use document::problem::chain;
pub use error::{Step, SwapError};
pub use fitting::SwapOptions;

/// A build that went live.
#[derive(Debug, Clone)]
pub struct Swapped {
    pub service: Arc<str>,
    pub version: String,
    /// What was live before.
    pub replaced: String,
    /// Its compiled form was there already.
    pub cached: bool,
    /// From the turn to the store.
    pub took: Duration,
    /// What it imports and needs, against what was live before.
    pub changes: Changes,
    /// Permissions that came with it, as the manifest would write them.
    pub accepted: Vec<String>,
    /// The shares it gets before it is live, in per cent; none: it is live.
    pub steps: Vec<u8>,
}

/// A build that was sent, and who sent it.
pub(super) struct Sent {
    pub(super) wasm: Bytes,
    pub(super) by: Arc<str>,
    /// They also lead its ramp.
    pub(super) leads: bool,
}

impl System {
    /// Replaces the build of `service` by `wasm`; `by` is the name of the token that asks for it.
    /// Meant to run to its end in a task of its own: dropping it before the store changes nothing.
    pub async fn swap(
        self: &Arc<Self>,
        service: &str,
        wasm: Bytes,
        by: &Arc<str>,
        options: SwapOptions,
    ) -> Result<Swapped, SwapError> {
        let before = self.deployed(service)?;
        let digest = Digest::of(&wasm);
        let label = format!("{}+{}", before.settings.version, digest.short());
        let mut span = Active::alone(self.recorder(), || format!("swap {service}").into());
        span.set("archipel.version", label.clone());
        span.set("archipel.by", by.clone());
        let outcome = async {
            let (deployed, turn) = self.enter(&before, &label).await?;
            let began = Instant::now();
            let path = Path::new("the new build");
            let component = self.loader().compile(&deployed.settings.name, path, wasm.clone(), options.haste()).await?;
            let fitting = self.fitting(&deployed.settings, &component, options).await?;
            let fitting::Fitting { settings, backends, accepted, .. } = &fitting;
            self.loader().migrate(settings, backends).await?;
            let version = self.loader().start(settings, component, backends.clone()).await?;
            smoke(&version, &settings.smoke).await.map_err(|reason| SwapError::Smoke { reason })?;
            if options.ramp {
                let sent = Sent { wasm, by: by.clone(), leads: options.led };
                return self.set_out(&deployed, version, sent, turn, began).await;
            }
            let noted = entry(&version, Outcome::Swapped, by, None);
            let new: Vec<_> =
                accepted.iter().map(|line| Accepted { line: line.clone(), by: by.to_string(), at: now() }).collect();
            let advance = move |history: &mut crate::component::History| {
                history.advance(digest);
                history.note(noted);
                history.accepted.extend(new);
            };
            self.loader().remember(settings, Some(wasm), advance).await?;
            if !accepted.is_empty() {
                self.settle(&deployed, settings, backends);
                tracing::warn!(service = %settings.name, by = &**by, permissions = accepted.join("; "), "permissions beyond the manifest were accepted");
            }
            Ok(Swapped { accepted: accepted.clone(), ..self.go_live(&deployed, version, &turn, began) })
        };
        let outcome = outcome.await;
        let counts = before.service.counts();
        match &outcome {
            Ok(swapped) if swapped.steps.is_empty() => {
                counts.swaps.count(SwapOutcome::Live);
                counts.swap_duration.record(swapped.took);
            }
            Ok(_ramp_began) => counts.ramps.count(RampDecision::Started),
            Err(error) => {
                span.set("archipel.reason", chain(error));
                span.fail(error.step().map_or("refused", Step::as_str));
                self.refused(&before, label, digest, by, error).await;
            }
        }
        outcome
    }

    /// The same with the manifest's file of the component, for somebody who edits it; none: it is what runs.
    pub async fn swap_file(self: &Arc<Self>, service: &str, by: &Arc<str>) -> Result<Option<Swapped>, SwapError> {
        let deployed = self.deployed(service)?;
        let wasm = self.loader().read(&deployed.settings).await?;
        if deployed.service.version().component.digest == Digest::of(&wasm) {
            return Ok(None);
        }
        let options = SwapOptions { soon: true, ..SwapOptions::default() };
        self.swap(service, wasm, by, options).await.map(Some)
    }

    /// Makes the build before the live one live again; while there is a ramp, ends that instead.
    pub async fn rollback(&self, service: &str, by: &str) -> Result<Swapped, SwapError> {
        let began = Instant::now();
        let before = self.deployed(service)?;
        if let Some(ramp) = before.service.end_ramp(&format!("rolled back by {by}")) {
            return Ok(Swapped {
                service: before.settings.name.clone(),
                version: before.service.version().text().to_owned(),
                replaced: ramp.version.text().to_owned(),
                cached: true,
                took: began.elapsed(),
                changes: changes(&ramp.version.component.words(), &before.service.version().component.words()),
                accepted: Vec::new(),
                steps: Vec::new(),
            });
        }
        let mut span = Active::alone(self.recorder(), || format!("rollback {service}").into());
        span.set("archipel.by", by.to_owned());
        let (deployed, turn) = self.enter(&before, "a rollback").await?;
        let began = Instant::now();
        let live = || deployed.service.version().text().to_owned();
        let Some(previous) = self.loader().histories.of(service).previous() else {
            return Err(SwapError::NoPrevious { service: deployed.settings.name.clone(), version: live() });
        };
        let kept = deployed.service.previous().filter(|version| version.component.digest == previous);
        let version = match kept {
            Some(version) => {
                permitted(&version.component, &deployed.settings)?;
                version
            }
            None => self.loader().again(&deployed.settings, previous, self.current().backends.clone()).await?,
        };
        let noted = entry(&version, Outcome::RolledBack, by, None);
        let retreat = move |history: &mut crate::component::History| {
            history.retreat();
            history.note(noted);
        };
        self.loader().remember(&deployed.settings, None, retreat).await?;
        let swapped = self.go_live(&deployed, version, &turn, began);
        drop(turn);
        span.set("archipel.version", swapped.version.clone());
        deployed.service.counts().swaps.count(SwapOutcome::RolledBack);
        deployed.service.counts().swap_duration.record(swapped.took);
        Ok(swapped)
    }

    pub(super) fn deployed(&self, service: &str) -> Result<Arc<Deployed>, SwapError> {
        self.services().get(service).cloned().ok_or_else(|| self.no_component(service))
    }

    /// Why a service has no builds: it runs elsewhere, or nowhere.
    pub fn no_component(&self, service: &str) -> SwapError {
        match self.current().remotes.get(service) {
            Some(of) => {
                SwapError::Elsewhere { service: of.settings.name.clone(), places: of.settings.places().join(", ") }
            }
            None => SwapError::NoService { service: service.to_owned() },
        }
    }

    /// Waits for the turn, and gives back the service as it is then: an applied manifest may have
    /// changed it meanwhile, or removed it.
    pub(super) async fn enter(&self, before: &Deployed, version: &str) -> Result<(Arc<Deployed>, Turn), SwapError> {
        let turn = before.lane.enter(version).await.map_err(|version| SwapError::Superseded { version })?;
        let now = self.deployed(&before.settings.name)?;
        match Arc::ptr_eq(&now.lane, &before.lane) {
            true => Ok((now, turn)),
            false => Err(SwapError::NoService { service: before.settings.name.to_string() }),
        }
    }

    /// Holding the turn is what allows it.
    pub(super) fn go_live(&self, deployed: &Deployed, version: Arc<Version>, _turn: &Turn, began: Instant) -> Swapped {
        let replaced = deployed.service.replace(version.clone());
        let now = self.current();
        now.document.merge_anew(&now.services);
        let swapped = Swapped {
            service: deployed.settings.name.clone(),
            version: version.text().to_owned(),
            replaced: replaced.text().to_owned(),
            cached: version.component.cached,
            took: began.elapsed(),
            changes: changes(&replaced.component.words(), &version.component.words()),
            accepted: Vec::new(),
            steps: Vec::new(),
        };
        tracing::info!(service = %swapped.service, version = swapped.version, replaced = swapped.replaced, tookMs = swapped.took.as_millis() as u64, "a new build is live");
        swapped
    }

    /// Remembers a try that changed nothing; when even that fails, the log has it.
    async fn refused(&self, deployed: &Deployed, version: String, digest: Digest, by: &str, error: &SwapError) {
        let reason = chain(error);
        let service = &deployed.settings.name;
        tracing::warn!(%service, version, %reason, "a swap was refused; what ran before still runs");
        let (outcome, counted) = match error {
            SwapError::Superseded { .. } => (Outcome::Superseded, SwapOutcome::Superseded),
            _ => (Outcome::Refused, SwapOutcome::Refused),
        };
        deployed.service.counts().swaps.count(counted);
        let entry = Entry { version, digest, at: now(), outcome, by: by.to_owned(), reason: Some(reason) };
        if let Err(error) = self.loader().remember(&deployed.settings, None, |history| history.note(entry)).await {
            tracing::warn!(%service, error = %chain(&error), "a refused swap could not be written down");
        }
    }
}
