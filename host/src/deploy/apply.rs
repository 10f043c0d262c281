//! Services change with their manifest while they run: all of them, or none.
//!
//! What can fail comes first, as for a swap: each service that is new or other gets its version,
//! which is started and asked once, beside what runs. Then the histories on disk, then the stores.
//! A service whose settings and file are the same is not touched at all. Start at
//! [`Deployment::next`].

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gateway::call::Callee;

use super::{DeployError, Deployed, Deployment, Origin, Services, lane::Turn, loader::entry, smoke::smoke};
use crate::{
    backend::Backends,
    component::{Digest, Entry, History, Outcome, Start},
    manifest::{Manifest, ServiceSettings},
    problem::{Problems, chain},
    service::{Service, Version},
};

/// The manifest that runs, for `status`.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Applied {
    pub file: PathBuf,
    /// Of the text that runs; the file may say something else by now.
    pub digest: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The name of the token that applied it; `manifest` since a start.
    pub by: String,
    /// Keys of it that take effect with a restart only.
    pub restart: Vec<String>,
}

/// What an applied manifest means for a service.
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

/// Why a manifest was not applied. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("another manifest is being applied; try again when it is done")]
    Busy,
    #[error("the manifest is not right; nothing was changed:\n{0}")]
    Wrong(Problems),
    #[error("a running host does not take this from a manifest that is sent to it; nothing was changed:\n{}", .0.join("\n"))]
    Refused(Vec<String>),
    #[error("{0}; nothing was changed")]
    NeedsRestart(String),
    #[error("nothing was changed: {0}")]
    Backend(String),
    #[error("nothing was changed:\n{}", .0.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n"))]
    Services(Vec<DeployError>),
}

/// A service that is not in the manifest any more, until its last callers are done.
pub(super) struct Leaving {
    callee: Arc<Callee>,
    until: Instant,
}

/// What will run, ready to; dropping it changes nothing.
pub struct Next {
    services: Services,
    fates: BTreeMap<Arc<str>, Fate>,
    notes: Vec<Note>,
    backends: Arc<Backends>,
    /// Nothing is swapped until it is live, or dropped.
    _turns: Turns,
}

impl Next {
    pub fn services(&self) -> &Services {
        &self.services
    }

    pub fn fates(&self) -> &BTreeMap<Arc<str>, Fate> {
        &self.fates
    }
}

/// The right to change all services.
pub struct Turns {
    _held: Vec<Turn>,
}

/// What is written down of a service before it goes live.
struct Note {
    settings: Arc<ServiceSettings>,
    build: Option<Bytes>,
    file: Digest,
    live: Digest,
    entry: Option<Entry>,
}

impl Deployment {
    /// Waits until nothing is being swapped, and keeps it so.
    pub async fn turns(&self) -> Turns {
        let mut turns = Vec::new();
        for deployed in self.services().values() {
            turns.push(deployed.lane.turn("an applied manifest").await);
        }
        Turns { _held: turns }
    }

    /// Prepares the services of `manifest`. `touched` says whose surroundings change although their
    /// own settings do not.
    ///
    /// # Errors
    /// Every service that cannot run so.
    pub async fn next(
        &self,
        manifest: &Manifest,
        turns: Turns,
        backends: Arc<Backends>,
        touched: &(dyn Fn(&ServiceSettings) -> bool + Sync),
        by: &str,
    ) -> Result<Next, Vec<DeployError>> {
        let now = self.services();
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let mut each = Vec::new();
        for settings in manifest.services.values() {
            each.push(self.following(now.get(&settings.name), settings, &backends, touched(settings), by));
        }
        let each: Vec<_> = stream::iter(each).buffer_unordered(at_once).collect().await;
        let mut next =
            Next { services: Services::new(), fates: BTreeMap::new(), notes: Vec::new(), backends, _turns: turns };
        let mut problems = Vec::new();
        for following in each {
            match following {
                Ok((deployed, fate, note)) => {
                    next.fates.insert(deployed.settings.name.clone(), fate);
                    next.services.insert(deployed.settings.name.clone(), deployed);
                    next.notes.extend(note);
                }
                Err(problem) => problems.push(problem),
            }
        }
        let gone = now.keys().filter(|name| !manifest.services.contains_key(*name));
        next.fates.extend(gone.map(|name| (name.clone(), Fate::Removed)));
        if problems.is_empty() { Ok(next) } else { Err(problems) }
    }

    /// One service as it will be. The build is the one that a restart would run: the manifest's
    /// file if it is another than was last loaded, else what is live.
    async fn following(
        &self,
        old: Option<&Arc<Deployed>>,
        settings: &ServiceSettings,
        backends: &Arc<Backends>,
        touched: bool,
        by: &str,
    ) -> Result<(Arc<Deployed>, Fate, Option<Note>), DeployError> {
        let began = Instant::now();
        let settings = Arc::new(settings.clone());
        let file_build = self.loader.read(&settings).await?;
        let file = Digest::of(&file_build);
        let history = self.loader.histories.of(&settings.name);
        let (live, origin) = match history.start(file) {
            Start::File => (file, Origin::Manifest),
            Start::Swapped(digest) => (digest, Origin::Swap),
        };
        let running = old.map(|old| old.service.version());
        let same_build = running.as_ref().is_some_and(|version| version.component.digest == live);
        if let Some(old) = old.filter(|old| same_build && !touched && *old.settings == *settings) {
            return Ok((old.clone(), Fate::Kept, None));
        }
        let build = match live == file {
            true => file_build,
            false => self.loader.kept(&settings, live).await?,
        };
        let version = self.started(&settings, build.clone(), backends).await?;
        let relabelled = running.is_none_or(|running| running.label != version.label);
        let entry = relabelled.then(|| entry(&version, Outcome::Applied, by, None));
        let note = Note { settings: settings.clone(), build: (live == file).then_some(build), file, live, entry };
        let service = match old {
            Some(old) => old.service.successor(version),
            None => Service::new(settings.name.clone(), version),
        };
        let deployed = Deployed::new(service, settings, origin, began.elapsed());
        let fate = if old.is_some() { Fate::Changed } else { Fate::Added };
        let lane = old.map(|old| old.lane.clone()).unwrap_or_default();
        Ok((Arc::new(Deployed { lane, ..deployed }), fate, Some(note)))
    }

    async fn started(
        &self,
        settings: &Arc<ServiceSettings>,
        build: Bytes,
        backends: &Arc<Backends>,
    ) -> Result<Arc<Version>, DeployError> {
        let component = self.loader.component(settings, &settings.component, build).await?;
        self.loader.migrate(settings, backends).await?;
        let version = self.loader.start(settings, component, backends.clone()).await?;
        let smoked = smoke(&version, &settings.smoke).await;
        smoked.map_err(|reason| DeployError::Smoke { service: settings.name.clone(), reason })?;
        Ok(version)
    }

    /// Writes the builds of `next` down, before they go live; all of them, or it is as before.
    pub async fn write_down(&self, next: &Next) -> Result<(), DeployError> {
        let mut written: Vec<(&Note, History)> = Vec::new();
        for note in &next.notes {
            let before = self.loader.histories.of(&note.settings.name);
            let (file, live, entry) = (note.file, note.live, note.entry.clone());
            let change = move |history: &mut History| {
                history.file = Some(file);
                history.advance(live);
                entry.into_iter().for_each(|entry| history.note(entry));
            };
            if let Err(error) = self.loader.remember(&note.settings, note.build.clone(), change).await {
                for (note, before) in written {
                    let undone = self.loader.remember(&note.settings, None, move |history| *history = before).await;
                    if let Err(error) = undone {
                        tracing::error!(service = %note.settings.name, error = %chain(&error), "a history names a build that did not go live");
                    }
                }
                return Err(error);
            }
            written.push((note, before));
        }
        Ok(())
    }

    /// Makes `next` what runs. Requests in flight finish where they are; services that are gone can
    /// be called by those for `drain`.
    pub fn go_over(&self, next: Next, drain: Duration) {
        let Next { services, backends, _turns, .. } = next;
        let before = self.services.swap(Arc::new(services));
        let now = self.services();
        let changed = |old: &&Arc<Deployed>| now.get(&old.settings.name).is_none_or(|new| !Arc::ptr_eq(new, old));
        let until = Instant::now() + drain;
        let gone = before.values().filter(|old| !now.contains_key(&old.settings.name));
        self.leaving().extend(gone.map(|old| Leaving { callee: old.callee.clone(), until }));
        self.loader.reach(backends);
        self.direct();
        before.values().filter(changed).for_each(|old| old.service.retire());
        self.describe_anew();
    }

    /// Lets those go whose time to be called is over.
    pub fn part(&self) {
        let mut leaving = self.leaving();
        if leaving.iter().any(|leaving| leaving.until <= Instant::now()) {
            leaving.retain(|leaving| leaving.until > Instant::now());
            drop(leaving);
            self.direct();
        }
    }

    /// Tells callers where services are now.
    fn direct(&self) {
        let leaving = self.leaving();
        let old = leaving.iter().map(|leaving| leaving.callee.clone());
        let services = self.services();
        // Later ones win: a service that is back is the new one.
        let all = old.chain(services.values().map(|deployed| deployed.callee.clone()));
        self.loader.backends().directory.replace(all);
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, Vec<Leaving>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
