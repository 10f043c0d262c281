//! One service as a manifest wants it: which build it runs, and whether that starts.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::note::Note;
use crate::{
    component::{Digest, Entry, Outcome, Start},
    deploy::{DeployError, Deployed, Haste, Loader, Origin, entry, smoke},
    service::{Service, Version},
};
use backend::Backends;
use document::problem::chain;
use manifest::ServiceSettings;

/// What a person may be told while components load.
pub trait Watch: Send + Sync + 'static {
    fn loading(&self, service: &str);
    fn loaded(&self, service: &str, cached: bool);
}

/// What a manifest means for a service that ran before it, or for one that did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Kept,
    Changed,
    Added,
    Removed,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
        })
    }
}

/// One service that is wanted.
pub(super) struct Coming {
    pub(super) settings: Arc<ServiceSettings>,
    pub(super) before: Before,
    pub(super) touched: bool,
    pub(super) backends: Arc<Backends>,
    pub(super) by: Arc<str>,
    pub(super) watch: Option<Arc<dyn Watch>>,
}

/// What runs beside it.
pub(super) enum Before {
    /// The host starts.
    Nothing,
    Services {
        same_name: Option<Arc<Deployed>>,
    },
}

/// One service as it will be.
pub(super) struct Ready {
    pub(super) deployed: Arc<Deployed>,
    pub(super) fate: Fate,
    pub(super) note: Option<Note>,
}

/// A build of it: the one that a restart would run.
struct Chosen {
    /// What the manifest's file is.
    file: Digest,
    file_build: Bytes,
    /// That, or what was swapped in since it was loaded.
    live: Digest,
    origin: Origin,
}

impl Coming {
    pub(super) async fn prepare(self, loader: &Loader) -> Result<Ready, DeployError> {
        self.watch.iter().for_each(|watch| watch.loading(&self.settings.name));
        let began = Instant::now();
        let chosen = self.chosen(loader).await?;
        if let Some(old) = self.unchanged(&chosen) {
            return Ok(Ready { deployed: old.clone(), fate: Fate::Kept, note: None });
        }
        let (version, origin, note) = match chosen.origin {
            Origin::Manifest => self.of_file(chosen, loader).await?,
            Origin::Swap => self.of_swap(chosen, loader).await?,
        };
        self.watch.iter().for_each(|watch| watch.loaded(&self.settings.name, version.component.cached));
        Ok(self.ready(version, origin, note, began.elapsed()))
    }

    async fn chosen(&self, loader: &Loader) -> Result<Chosen, DeployError> {
        let file_build = loader.read(&self.settings).await?;
        let file = Digest::of(&file_build);
        let (live, origin) = match loader.histories.of(&self.settings.name).start(file) {
            Start::Swapped(digest) => (digest, Origin::Swap),
            Start::Manifest => (file, Origin::Manifest),
        };
        Ok(Chosen { file, file_build, live, origin })
    }

    fn same_name(&self) -> Option<&Arc<Deployed>> {
        match &self.before {
            Before::Nothing => None,
            Before::Services { same_name } => same_name.as_ref(),
        }
    }

    /// What runs, where that is what is wanted.
    fn unchanged(&self, chosen: &Chosen) -> Option<&Arc<Deployed>> {
        let is_same = |old: &&Arc<Deployed>| {
            !self.touched && *old.settings == *self.settings && old.service.version().component.digest == chosen.live
        };
        self.same_name().filter(is_same)
    }

    async fn of_file(&self, chosen: Chosen, loader: &Loader) -> Result<Built, DeployError> {
        let version = self.version(loader, &self.settings.component, chosen.file_build.clone()).await?;
        let entry = self.entry(&version, &chosen, loader);
        let (settings, build) = (self.settings.clone(), Some(chosen.file_build));
        let note = Note { settings, build, file: chosen.file, live: chosen.live, entry };
        Ok((version, Origin::Manifest, Some(note)))
    }

    /// At a start, a swapped build that does not start gives way to the file this time; the next start
    /// tries it again, so nothing is written down.
    async fn of_swap(&self, chosen: Chosen, loader: &Loader) -> Result<Built, DeployError> {
        let kept = async {
            let build = loader.kept(&self.settings, chosen.live).await?;
            self.version(loader, Path::new("the kept build"), build).await
        };
        match (kept.await, &self.before) {
            (Ok(version), _) => {
                // The history names both builds already.
                let entry = self.entry(&version, &chosen, loader);
                let (settings, build) = (self.settings.clone(), None);
                let note = Note { settings, build, file: chosen.file, live: chosen.live, entry };
                Ok((version, Origin::Swap, Some(note).filter(|note| note.entry.is_some())))
            }
            (Err(error), Before::Services { .. }) => Err(error),
            (Err(error), Before::Nothing) => {
                let (service, build, error) = (&self.settings.name, chosen.live.short(), chain(&error));
                tracing::error!(%service, build, %error, "the build that was swapped in last does not start; running the manifest's file until the next start");
                let version = self.version(loader, &self.settings.component, chosen.file_build).await?;
                Ok((version, Origin::Manifest, None))
            }
        }
    }

    /// Beside what runs, its databases are migrated first and it is asked once; a start has migrated all
    /// of them already, and nobody it could call runs yet.
    async fn version(&self, loader: &Loader, path: &Path, build: Bytes) -> Result<Arc<Version>, DeployError> {
        let settings = &self.settings;
        // What runs already goes on until the new build has its best code.
        let haste = if self.same_name().is_some() { Haste::Best } else { Haste::Soon };
        let component = loader.component(settings, path, build, haste).await?;
        if let Before::Nothing = self.before {
            return loader.start(settings, component, self.backends.clone()).await;
        }
        loader.migrate(settings, &self.backends).await?;
        let version = loader.start(settings, component, self.backends.clone()).await?;
        let smoked = smoke(&version, &settings.smoke).await;
        smoked.map_err(|reason| DeployError::Smoke { service: settings.name.clone(), reason })?;
        Ok(version)
    }

    /// What the history says of it: nothing where that would say the same again.
    fn entry(&self, version: &Version, chosen: &Chosen, loader: &Loader) -> Option<Entry> {
        let (outcome, is_news) = match &self.before {
            Before::Nothing => {
                let history = loader.histories.of(&self.settings.name);
                let is_known = history.file == Some(chosen.file) && history.live() == Some(chosen.live);
                (Outcome::Started, !is_known)
            }
            Before::Services { same_name } => {
                let running = same_name.as_ref().map(|old| old.service.version());
                (Outcome::Applied, running.is_none_or(|running| running.label != version.label))
            }
        };
        is_news.then(|| entry(version, outcome, &self.by, None))
    }

    fn ready(self, version: Arc<Version>, origin: Origin, note: Option<Note>, took: Duration) -> Ready {
        let (fate, service, lane) = match self.same_name() {
            Some(old) => (Fate::Changed, old.service.successor(version), old.lane.clone()),
            None => (Fate::Added, Service::new(self.settings.name.clone(), version), Arc::default()),
        };
        let deployed = Deployed { lane, ..Deployed::new(service, self.settings, origin, took) };
        Ready { deployed: Arc::new(deployed), fate, note }
    }
}

/// A version, where its build came from, and what is to be written down of it.
type Built = (Arc<Version>, Origin, Option<Note>);
