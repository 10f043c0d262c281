//! Services change with their manifest while they run: all of them, or none.
//!
//! What can fail comes first, as for a swap: each service that is new or other gets its version,
//! which is started and asked once, beside what runs. Then the histories on disk, then the stores.
//! A service whose settings and file are the same is not touched at all. Start at
//! [`Deployment::next`].

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

mod outcome;

pub use outcome::{Applied, ApplyError, Fate};

use super::{DeployError, Deployed, Deployment, Origin, Services, lane::Turn, loader::entry, smoke::smoke};
use crate::{
    component::{Digest, Entry, History, Outcome, Start},
    service::{Service, Version},
};
use backend::Backends;
use document::problem::chain;
use manifest::{Manifest, ServiceSettings};

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
        let mut build = (file, Origin::Manifest);
        if let Start::Swapped(digest) = history.start(file) {
            build = (digest, Origin::Swap);
        }
        let (live, origin) = build;
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
        let gone = before.values().filter(|old| !now.contains_key(&old.settings.name));
        self.loader.reach(backends);
        self.take_part();
        self.leave(gone, drain);
        before.values().filter(changed).for_each(|old| old.service.retire());
        self.describe_anew();
    }
}
