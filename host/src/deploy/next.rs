//! The services of a manifest, ready to run: all of them, or none.
//!
//! Each service that is new or other gets its version, which is started and, beside others that
//! run, asked once. A service whose settings and file are the same is not touched at all. Then the
//! histories on disk. A start is the same with nothing before it. Start at [`Plan::services`].

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

mod coming;
mod note;

pub use coming::{Fate, Watch};

use super::{DeployError, Loader, Services};
use crate::component::History;
use backend::Backends;
use coming::{Before, Coming, Ready};
use document::problem::chain;
use manifest::{Manifest, ServiceSettings};
use note::Note;

/// Which services are wanted, beside which.
pub struct Plan<'a> {
    pub manifest: &'a Manifest,
    /// What runs; none: the host starts.
    pub before: Option<&'a Services>,
    /// What new versions reach.
    pub backends: &'a Arc<Backends>,
    /// Whose surroundings change although their own settings do not.
    pub touched: &'a (dyn Fn(&ServiceSettings) -> bool + Sync),
    /// Who wants it, for the histories.
    pub by: &'a Arc<str>,
    pub watch: Option<&'a Arc<dyn Watch>>,
}

/// Services that could run; dropping them changes nothing.
pub struct Next {
    pub services: Services,
    pub fates: BTreeMap<Arc<str>, Fate>,
    notes: Vec<Note>,
}

impl Plan<'_> {
    /// Prepares the services, as many at once as there are cores.
    ///
    /// # Errors
    /// Every service that cannot run so, not the first only.
    pub async fn services(&self, loader: &Arc<Loader>) -> Result<Next, Vec<DeployError>> {
        let slots = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let mut coming = JoinSet::new();
        for settings in self.manifest.services.values() {
            let (service, loader, slots) = (self.coming(settings), loader.clone(), slots.clone());
            coming.spawn(async move {
                let _slot = slots.acquire_owned().await;
                service.prepare(&loader).await
            });
        }
        let mut next = Next { services: Services::new(), fates: BTreeMap::new(), notes: Vec::new() };
        let mut problems = Vec::new();
        while let Some(joined) = coming.join_next().await {
            match joined {
                Ok(Ok(ready)) => next.take(ready),
                Ok(Err(problem)) => problems.push(problem),
                Err(_broken) => problems.push(DeployError::Broken { service: "unknown".into() }),
            }
        }
        let before = self.before.into_iter().flat_map(Services::keys);
        let gone = before.filter(|name| !self.manifest.services.contains_key(*name));
        next.fates.extend(gone.map(|name| (name.clone(), Fate::Removed)));
        if problems.is_empty() { Ok(next) } else { Err(problems) }
    }

    fn coming(&self, settings: &ServiceSettings) -> Coming {
        Coming {
            settings: Arc::new(settings.clone()),
            before: match self.before {
                None => Before::Nothing,
                Some(services) => Before::Services { same_name: services.get(&settings.name).cloned() },
            },
            touched: (self.touched)(settings),
            backends: self.backends.clone(),
            by: self.by.clone(),
            watch: self.watch.cloned(),
        }
    }
}

impl Next {
    fn take(&mut self, ready: Ready) {
        let name = ready.deployed.settings.name.clone();
        self.fates.insert(name.clone(), ready.fate);
        self.services.insert(name, ready.deployed);
        self.notes.extend(ready.note);
    }

    /// Writes the builds down, before they go live; all of them, or it is as before.
    pub async fn write_down(&self, loader: &Loader) -> Result<(), DeployError> {
        let mut written: Vec<(&Note, History)> = Vec::new();
        for note in &self.notes {
            let before = loader.histories.of(&note.settings.name);
            let (file, live, entry) = (note.file, note.live, note.entry.clone());
            let change = move |history: &mut History| {
                history.file = Some(file);
                history.advance(live);
                entry.into_iter().for_each(|entry| history.note(entry));
            };
            if let Err(error) = loader.remember(&note.settings, note.build.clone(), change).await {
                for (note, before) in written {
                    let undone = loader.remember(&note.settings, None, move |history| *history = before).await;
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
}
