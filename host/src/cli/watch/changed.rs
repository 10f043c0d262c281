//! What has changed in the sources of a manifest since somebody last looked.
//!
//! Decides whose change it is (`component/sources` knows whose source is where) and when something has
//! been quiet for long enough to be looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::component::{Ignored, Sources, changed_at, way_to};
use manifest::{Manifest, ServiceSettings};

/// Editors write several files for one save.
const QUIET: Duration = Duration::from_millis(150);
/// Somebody who never stops typing gets a build all the same.
const QUIET_MAX: Duration = Duration::from_secs(3);
/// Of one service, until it is looked at.
const PATHS_MAX: usize = 1000;

#[derive(Default)]
pub(super) struct Changed {
    what: Mutex<What>,
    told: Notify,
}

#[derive(Default)]
pub(super) struct What {
    pub(super) manifest: bool,
    pub(super) services: BTreeMap<Arc<str>, Paths>,
}

/// Paths that have changed, and when.
pub(super) type Paths = BTreeMap<PathBuf, SystemTime>;

impl What {
    fn add(&mut self, service: &Arc<str>, path: &Path, at: SystemTime) {
        let paths = self.services.entry(service.clone()).or_default();
        // Past the bound it may have been anything.
        let path = if paths.len() < PATHS_MAX { path } else { Path::new("") };
        let last = paths.entry(path.to_owned()).or_insert(at);
        *last = at.max(*last);
    }
}

/// Whose source is where.
struct Plan {
    /// Its files, and the links that lead to them.
    manifest: BTreeSet<PathBuf>,
    /// Folders of migrations, which run when the manifest is applied.
    migrations: BTreeSet<PathBuf>,
    services: Vec<(Arc<str>, Sources)>,
    /// What is nobody's although it is there.
    ignored: Ignored,
}

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The manifest, its migrations, and the sources of services.
    Sources,
    /// The manifest and its migrations.
    Manifest,
}

impl Plan {
    fn of(manifest: &Manifest, scope: Scope) -> Self {
        let is_built = |settings: &&ServiceSettings| scope == Scope::Sources && settings.build.is_some();
        let built = manifest.services.values().filter(is_built);
        let services = built.map(|settings| (settings.name.clone(), Sources::of(&settings.component))).collect();
        let files = manifest.files.iter().flat_map(|file| way_to(file)).collect();
        let migrations = manifest.databases.values().filter_map(|settings| settings.migrations.clone());
        Self { manifest: files, migrations: migrations.collect(), services, ignored: Ignored::of(manifest) }
    }

    /// Whether the manifest is to be applied anew after a change of `path`.
    fn is_applied(&self, path: &Path) -> bool {
        let is_migration = || {
            let is_sql = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
            is_sql && path.parent().is_some_and(|folder| self.migrations.contains(folder))
        };
        self.manifest.contains(path) || is_migration()
    }

    /// Folders to watch: those themselves, and those with all that is in them.
    fn folders(&self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let (mut alone, mut deep) = (BTreeSet::new(), BTreeSet::new());
        alone.extend(self.manifest.iter().filter_map(|file| file.parent().map(Path::to_owned)));
        alone.extend(self.migrations.iter().cloned());
        for (_, sources) in &self.services {
            let (root, folders) = sources.folders();
            alone.insert(root);
            deep.extend(folders.into_iter().filter(|folder| !self.ignored.has(folder, sources.root())));
        }
        (alone, deep)
    }
}

impl Changed {
    /// Notes every change of what is in `scope` of `manifest`, as long as the watcher lives.
    pub(super) fn follow(self: &Arc<Self>, manifest: &Manifest, scope: Scope) -> anyhow::Result<RecommendedWatcher> {
        let plan = Plan::of(manifest, scope);
        let (alone, deep) = plan.folders();
        let changed = self.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) if event.kind.is_access() => {}
            // More happened than could be told.
            Ok(event) if event.need_rescan() => changed.note_all(&plan),
            Ok(event) => event.paths.iter().for_each(|path| changed.note(&plan, path)),
            // It may have been anything.
            Err(_lost) => changed.note_all(&plan),
        })
        .context("this system does not say when files change")?;
        let folders = alone.iter().map(|folder| (folder, RecursiveMode::NonRecursive));
        for (folder, mode) in folders.chain(deep.iter().map(|folder| (folder, RecursiveMode::Recursive))) {
            if let Err(error) = watcher.watch(folder, mode) {
                tracing::warn!(folder = %folder.display(), %error, "a folder cannot be watched");
            }
        }
        Ok(watcher)
    }

    /// What has changed, to be looked at now.
    pub(super) fn take(&self) -> What {
        std::mem::take(&mut *self.what())
    }

    fn what(&self) -> MutexGuard<'_, What> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, plan: &Plan, path: &Path) {
        let sources: Vec<Sources> = plan.services.iter().map(|(_, sources)| sources.clone()).collect();
        let mut what = self.what();
        what.manifest |= plan.is_applied(path);
        if !plan.manifest.contains(path) {
            let concerned = plan.services.iter().filter(|(_, of)| of.concern(path, &sources));
            let concerned = concerned.filter(|(_, of)| !plan.ignored.has(path, of.root()));
            let at = changed_at(path);
            concerned.for_each(|(name, _)| what.add(name, path, at));
        }
        if what.manifest || !what.services.is_empty() {
            self.told.notify_one();
        }
    }

    fn note_all(&self, plan: &Plan) {
        let mut what = self.what();
        what.manifest = true;
        plan.services.iter().for_each(|(name, _)| what.add(name, Path::new(""), SystemTime::now()));
        self.told.notify_one();
    }

    /// Waits for a change, and then until nothing more happens for a moment. Cancel safe.
    pub(super) async fn quiet(&self) {
        self.told.notified().await;
        let more = async { while tokio::time::timeout(QUIET, self.told.notified()).await.is_ok() {} };
        // Whoever never stops is not waited for.
        let _ = tokio::time::timeout(QUIET_MAX, more).await;
    }
}
