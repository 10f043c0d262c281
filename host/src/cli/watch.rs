//! `archipel run --watch`: what is edited is built and swapped in, for development.
//!
//! Decides when a service is built: when something in its source has changed and has then been quiet
//! for a moment. Builds run one after the other, so that they do not fight for the machine. A build
//! that fails is shown and changes nothing. The manifest itself is applied when it changes, or when one of
//! its migrations does.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use notify::RecommendedWatcher;

mod build;
mod changed;
mod following;
mod say;

use build::build;
use changed::{Changed, Paths, Scope, What};
pub(super) use following::Following;
use say::say;

use crate::{
    component::Sources,
    serve::{Rebuilt, Running},
};
use document::problem::chain;
use manifest::{Manifest, ServiceSettings};

/// So many builds in a row for nothing are enough: their files may have another name each time, or be an
/// editor's too.
const IDLE_MAX: u32 = 3;
/// What is written this soon after a build may be what somebody has to say about it, such as a log that a
/// program keeps of us.
const ECHO: Duration = Duration::from_secs(1);

/// What is watched, and what has changed; as long as this lives.
pub(super) struct Watching {
    changed: Arc<Changed>,
    watcher: RecommendedWatcher,
    last: HashMap<Arc<str>, Last>,
    /// What the file says, where that does not run; its sources are watched, too.
    refused: Option<Manifest>,
    tries: Tries,
}

/// At what the file names and does not run yet.
struct Tries {
    /// When the builds of the last one ended.
    ended: SystemTime,
    /// In a row, each for a change so soon after the one before that its builds may have made it.
    echoes: u32,
}

impl Tries {
    /// Whether a change at `at` is worth another one.
    fn again(&mut self, at: SystemTime) -> bool {
        self.echoes = if at <= self.ended + ECHO { self.echoes + 1 } else { 0 };
        self.echoes <= IDLE_MAX
    }
}

/// How a service was last built.
struct Last {
    ended: SystemTime,
    /// What had changed during the build before it, if that was why it began and it made nothing new.
    /// Whatever changed then and during this one too is written by builds.
    before: BTreeSet<PathBuf>,
    /// What has ever changed while it was not built: builds may write that too, and so does an editor.
    edited: BTreeSet<PathBuf>,
    /// Builds in a row, up to this one, that began because of the one before and made nothing new.
    idle: u32,
}

impl Watching {
    /// Sees every change from now on.
    pub(super) fn start(running: &Running) -> anyhow::Result<Self> {
        let changed = Arc::new(Changed::default());
        let watcher = changed.follow(&running.manifest(), Scope::Sources)?;
        Ok(Self {
            watcher,
            changed,
            last: HashMap::new(),
            refused: None,
            tries: Tries { ended: SystemTime::UNIX_EPOCH, echoes: 0 },
        })
    }

    /// Builds what changes, until it is dropped.
    pub(super) async fn run(mut self, running: &Running) -> anyhow::Result<()> {
        loop {
            self.changed.quiet().await;
            let What { manifest, services } = self.changed.take();
            // What does not run yet may now.
            let coming = services.iter().filter(|(name, _)| !running.manifest().services.contains_key(*name));
            let latest = coming.flat_map(|(_, paths)| paths.values().copied()).max();
            if manifest || latest.is_some_and(|at| self.tries.again(at)) {
                self.apply(running).await;
            }
            // Folders may have come.
            let refused = self.refused.take();
            self.follow(refused.as_ref().unwrap_or(&running.manifest()));
            self.refused = refused;
            for (name, changed) in services {
                if let Some(settings) = running.manifest().services.get(&name).cloned() {
                    self.rebuild(running, &settings, changed).await;
                }
            }
        }
    }

    /// Sees the changes of all that `manifest` names; those of before are seen until then.
    fn follow(&mut self, manifest: &Manifest) {
        match self.changed.follow(manifest, Scope::Sources) {
            Ok(watcher) => self.watcher = watcher,
            Err(error) => say(&format!("{error:#}; only folders that were there are watched")),
        }
    }

    /// Makes the file the running manifest; what it names and was never built is built before.
    async fn apply(&mut self, running: &Running) {
        let wanted = running.read_file().await;
        if let Some(wanted) = &wanted {
            self.follow(wanted); // whoever mends what does not build may be quick
        }
        for settings in wanted.iter().flat_map(|wanted| wanted.services.values()) {
            if !settings.component.is_file()
                && let Err(output) = build(settings, folder(&running.manifest())).await
            {
                say(&format!("{output}\n{}: the build failed", settings.name));
            }
        }
        self.tries.ended = SystemTime::now();
        self.refused = match running.apply_file().await {
            Ok(text) => {
                say(&text);
                None
            }
            Err(error) => {
                say(&chain(&error));
                wanted
            }
        };
    }

    /// A build that writes among its source is seen as a change of that. It may have hidden one of an editor's,
    /// so another build follows; when that makes nothing new, what both have written is known.
    async fn rebuild(&mut self, running: &Running, settings: &ServiceSettings, changed: Paths) {
        let mixed = Sources::of(&settings.component).mixed;
        let last = self.last.get(&settings.name).filter(|_| mixed);
        let is_known = |last: &Last, path: &PathBuf, at: SystemTime| match at <= last.ended {
            true => last.idle >= IDLE_MAX || (last.before.contains(path) && !last.edited.contains(path)),
            false => last.idle >= IDLE_MAX && last.before.contains(path),
        };
        let echo = last.is_some_and(|last| changed.values().all(|at| *at <= last.ended + ECHO));
        if echo && last.is_some_and(|last| changed.iter().all(|(path, at)| is_known(last, path, *at))) {
            return;
        }
        let mut edited = last.map(|last| last.edited.clone()).unwrap_or_default();
        let by_hand = changed.iter().filter(|(_, at)| last.is_none_or(|last| **at > last.ended));
        edited.extend(by_hand.map(|(path, _)| path.clone()));
        let last_idle = last.map_or(0, |last| last.idle);
        let built = built(running, settings).await;
        let ended = SystemTime::now();
        let live = built && went_live(running, &settings.name).await;
        let idle = if echo && !live { last_idle + 1 } else { 0 };
        let before = if idle > 0 { changed.into_keys().collect() } else { BTreeSet::new() };
        self.last.insert(settings.name.clone(), Last { ended, before, edited, idle });
    }
}

async fn built(running: &Running, settings: &ServiceSettings) -> bool {
    let built = build(settings, folder(&running.manifest())).await;
    if let Err(output) = &built {
        failed(settings, output);
    }
    built.is_ok()
}

/// Whether what was built is another component than the one that ran, and runs.
async fn went_live(running: &Running, name: &str) -> bool {
    match running.rebuilt(name).await {
        Ok(Rebuilt::Same) => say(&format!("{name}: built, and the component is the same")),
        Ok(Rebuilt::Live { version, took }) => {
            say(&format!("{name}: {version} is live after {} ms", took.as_millis()));
            return true;
        }
        Err(error) => say(&format!("{name}: built, and not swapped in: {}", chain(&error))),
    }
    false
}

/// Builds all components before a start, each command once: sources may have changed while nobody watched. One that fails
/// leaves the component of the build before it, if there is one.
pub(super) async fn build_first(manifest: &Manifest) -> anyhow::Result<()> {
    for settings in commands(manifest) {
        match build(settings, folder(manifest)).await {
            Err(output) if settings.component.is_file() => failed(settings, &output),
            built => built.map_err(|output| broken(settings, &output))?,
        }
    }
    Ok(())
}

/// The same, for whoever wants what the sources are now and nothing else.
pub(super) async fn build_all(manifest: &Manifest) -> anyhow::Result<()> {
    for settings in commands(manifest) {
        build(settings, folder(manifest)).await.map_err(|output| broken(settings, &output))?;
    }
    Ok(())
}

/// One service for each command.
fn commands(manifest: &Manifest) -> impl Iterator<Item = &ServiceSettings> {
    let mut commands = BTreeSet::new();
    manifest.services.values().filter(move |settings| commands.insert(&settings.build))
}

fn folder(manifest: &Manifest) -> &Path {
    manifest.file.parent().unwrap_or(Path::new("."))
}

fn failed(settings: &ServiceSettings, output: &str) {
    say(&format!("{output}\n{}: the build failed; the one before it goes on", settings.name));
}

fn broken(settings: &ServiceSettings, output: &str) -> anyhow::Error {
    anyhow::anyhow!("{output}\nthe build of service `{}` failed", settings.name)
}
