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

use super::{
    DeployError, Deployed, Deployment,
    lane::Turn,
    loader::{entry, now},
    smoke::smoke,
};
use crate::{
    component::{Digest, Entry, Outcome},
    problem::chain,
    service::Version,
};

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
}

/// Where a swap stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is no component this host can run.
    Compile,
    /// It needs more than it was granted.
    Permissions,
    /// The migrations of its databases fail.
    Migrate,
    /// It does not start.
    Start,
    /// Its first answer was bad.
    Smoke,
    /// The host could not write down what it runs.
    History,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Permissions => "permissions",
            Self::Migrate => "migrate",
            Self::Start => "start",
            Self::Smoke => "smoke",
            Self::History => "history",
        }
    }
}

/// Why nothing was swapped. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("there is no service `{service}`; `archipel status` lists them")]
    NoService { service: String },

    #[error("service `{service}` has no version before {version} to go back to")]
    NoPrevious { service: Arc<str>, version: String },

    #[error("superseded by {version}, which waits in its place")]
    Superseded { version: String },

    #[error("the smoke request failed: {reason}")]
    Smoke { reason: String },

    #[error(transparent)]
    Deploy(#[from] DeployError),
}

impl SwapError {
    /// The step that failed, where one did.
    pub fn step(&self) -> Option<Step> {
        Some(match self {
            Self::NoService { .. } | Self::NoPrevious { .. } | Self::Superseded { .. } => return None,
            Self::Smoke { .. } | Self::Deploy(DeployError::Smoke { .. }) => Step::Smoke,
            Self::Deploy(DeployError::Missing { missing, .. })
                if missing.iter().all(|missing| missing.is_grantable()) =>
            {
                Step::Permissions
            }
            Self::Deploy(DeployError::Needs { .. }) => Step::Permissions,
            Self::Deploy(DeployError::Component { .. } | DeployError::Missing { .. } | DeployError::Link { .. }) => {
                Step::Compile
            }
            Self::Deploy(DeployError::Migrate { .. }) => Step::Migrate,
            Self::Deploy(DeployError::Trial { .. } | DeployError::Broken { .. }) => Step::Start,
            Self::Deploy(DeployError::History { .. }) => Step::History,
        })
    }
}

impl Deployment {
    /// Replaces the build of `service` by `wasm`; `by` is the name of the token that asks for it.
    /// Meant to run to its end in a task of its own: dropping it before the store changes nothing.
    pub async fn swap(&self, service: &str, wasm: Bytes, by: &str) -> Result<Swapped, SwapError> {
        let before = self.deployed(service)?;
        let digest = Digest::of(&wasm);
        let label = format!("{}+{}", before.settings.version, digest.short());
        let outcome = async {
            let (deployed, turn) = self.enter(&before, &label).await?;
            let began = Instant::now();
            let backends = self.loader.backends();
            let path = Path::new("the new build");
            let component = self.loader.component(&deployed.settings, path, wasm.clone()).await?;
            self.loader.migrate(&deployed.settings, &backends).await?;
            let version = self.loader.start(&deployed.settings, component, backends).await?;
            smoke(&version, &deployed.settings.smoke).await.map_err(|reason| SwapError::Smoke { reason })?;
            let noted = entry(&version, Outcome::Swapped, by, None);
            let advance = move |history: &mut crate::component::History| {
                history.advance(digest);
                history.note(noted);
            };
            self.loader.remember(&deployed.settings, Some(wasm), advance).await?;
            Ok(self.go_live(&deployed, version, turn, began))
        };
        let outcome = outcome.await;
        if let Err(error) = &outcome {
            self.refused(&before, label, digest, by, error).await;
        }
        outcome
    }

    /// Makes the build before the live one live again.
    pub async fn rollback(&self, service: &str, by: &str) -> Result<Swapped, SwapError> {
        let (deployed, turn) = self.enter(&*self.deployed(service)?, "a rollback").await?;
        let began = Instant::now();
        let live = || deployed.service.version().label.to_str().unwrap_or_default().to_owned();
        let Some(previous) = self.loader.histories.of(service).previous() else {
            return Err(SwapError::NoPrevious { service: deployed.settings.name.clone(), version: live() });
        };
        let kept = deployed.service.previous().filter(|version| version.component.digest == previous);
        let version = match kept {
            Some(version) => version,
            None => self.loader.again(&deployed.settings, previous).await?,
        };
        let noted = entry(&version, Outcome::RolledBack, by, None);
        let retreat = move |history: &mut crate::component::History| {
            history.retreat();
            history.note(noted);
        };
        self.loader.remember(&deployed.settings, None, retreat).await?;
        Ok(self.go_live(&deployed, version, turn, began))
    }

    fn deployed(&self, service: &str) -> Result<Arc<Deployed>, SwapError> {
        self.services().get(service).cloned().ok_or_else(|| SwapError::NoService { service: service.to_owned() })
    }

    /// Waits for the turn, and gives back the service as it is then: an applied manifest may have
    /// changed it meanwhile, or removed it.
    async fn enter(&self, before: &Deployed, version: &str) -> Result<(Arc<Deployed>, Turn), SwapError> {
        let turn = before.lane.enter(version).await.map_err(|version| SwapError::Superseded { version })?;
        let now = self.deployed(&before.settings.name)?;
        match Arc::ptr_eq(&now.lane, &before.lane) {
            true => Ok((now, turn)),
            false => Err(SwapError::NoService { service: before.settings.name.to_string() }),
        }
    }

    fn go_live(&self, deployed: &Deployed, version: Arc<Version>, turn: Turn, began: Instant) -> Swapped {
        let text = |version: &Version| version.label.to_str().unwrap_or_default().to_owned();
        let replaced = deployed.service.replace(version.clone());
        self.describe_anew();
        drop(turn);
        let swapped = Swapped {
            service: deployed.settings.name.clone(),
            version: text(&version),
            replaced: text(&replaced),
            cached: version.component.cached,
            took: began.elapsed(),
        };
        tracing::info!(service = %swapped.service, version = swapped.version, replaced = swapped.replaced, tookMs = swapped.took.as_millis() as u64, "a new build is live");
        swapped
    }

    /// Remembers a try that changed nothing; when even that fails, the log has it.
    async fn refused(&self, deployed: &Deployed, version: String, digest: Digest, by: &str, error: &SwapError) {
        let reason = chain(error);
        let service = &deployed.settings.name;
        tracing::warn!(%service, version, %reason, "a swap was refused; what ran before still runs");
        let outcome =
            if matches!(error, SwapError::Superseded { .. }) { Outcome::Superseded } else { Outcome::Refused };
        let entry = Entry { version, digest, at: now(), outcome, by: by.to_owned(), reason: Some(reason) };
        if let Err(error) = self.loader.remember(&deployed.settings, None, |history| history.note(entry)).await {
            tracing::warn!(%service, error = %chain(&error), "a refused swap could not be written down");
        }
    }
}
