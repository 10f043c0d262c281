//! `archipel run --watch`: what is edited is built and swapped in, for development.
//!
//! Decides when a service is built: when something in its source has changed (`component/sources`
//! says whose that is) and has then been quiet for a moment. Builds run one after the other, so that
//! they do not fight for the machine. A build that fails is shown and changes nothing. The manifest
//! itself is applied when it changes.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{io::AsyncReadExt, process::Command, sync::Notify};

use crate::{
    component::Sources,
    manifest::{Manifest, ServiceSettings},
    problem::chain,
    serve::{Rebuilt, Running},
};

/// Editors write several files for one save.
const QUIET: Duration = Duration::from_millis(150);
/// Somebody who never stops typing gets a build all the same.
const QUIET_MAX: Duration = Duration::from_secs(3);
const BUILD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Of what a failed build said, its end.
const OUTPUT_MAX_BYTES: usize = 64 << 10;

/// What has changed since it was last looked at.
#[derive(Default)]
struct Changed {
    what: Mutex<What>,
    told: Notify,
}

#[derive(Default)]
struct What {
    manifest: bool,
    services: BTreeSet<Arc<str>>,
}

/// Whose source is where.
struct Plan {
    manifest: BTreeSet<PathBuf>,
    services: Vec<(Arc<str>, Sources)>,
}

/// What is watched, and what has changed; as long as this lives.
pub(super) struct Watching {
    changed: Arc<Changed>,
    watcher: RecommendedWatcher,
}

impl Watching {
    /// Sees every change from now on.
    pub(super) fn start(running: &Running) -> anyhow::Result<Self> {
        let changed = Arc::new(Changed::default());
        Ok(Self { watcher: follow(&running.manifest(), &changed)?, changed })
    }

    /// Builds what changes, until it is dropped.
    pub(super) async fn run(mut self, running: &Running) -> anyhow::Result<()> {
        loop {
            self.changed.quiet().await;
            let What { manifest, services } = std::mem::take(&mut *self.changed.what());
            if manifest {
                match running.apply_file().await {
                    Ok(text) => say(&text),
                    Err(error) => say(&chain(&error)),
                }
                self.watcher = follow(&running.manifest(), &self.changed)?;
            }
            for name in services {
                let settings = running.manifest().services.get(&name).cloned();
                if let Some(settings) = settings {
                    rebuild(running, &settings).await;
                }
            }
        }
    }
}

async fn rebuild(running: &Running, settings: &ServiceSettings) {
    let name = &settings.name;
    let folder = running.manifest().file.parent().map(Path::to_owned).unwrap_or_default();
    if let Err(output) = build(settings, &folder).await {
        return say(&format!("{output}\n{name}: the build failed; the one before it goes on"));
    }
    match running.rebuilt(name).await {
        Ok(Rebuilt::Same) => say(&format!("{name}: built, and the component is the same")),
        Ok(Rebuilt::Live { version, took }) => say(&format!("{name}: {version} is live after {} ms", took.as_millis())),
        Err(error) => say(&format!("{name}: built, and not swapped in: {}", chain(&error))),
    }
}

/// Builds the components that are not there yet, before a start.
pub(super) async fn build_missing(manifest: &Manifest) -> anyhow::Result<()> {
    let folder = manifest.file.parent().unwrap_or(Path::new("."));
    for settings in manifest.services.values().filter(|settings| !settings.component.is_file()) {
        if let Err(output) = build(settings, folder).await {
            anyhow::bail!("{output}\nthe build of service `{}` failed", settings.name);
        }
    }
    Ok(())
}

/// Runs the service's `build` in the manifest's folder.
///
/// # Errors
/// What it said, when it failed.
async fn build(settings: &ServiceSettings, folder: &Path) -> Result<(), String> {
    let Some(command) = &settings.build else { return Ok(()) };
    say(&format!("{}: {command}", settings.name));
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("exec 2>&1\n{command}")).current_dir(folder).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if std::io::stderr().is_terminal() {
        shell.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = shell.spawn().map_err(|error| format!("cannot run `{command}`: {error}"))?;
    let said = child.stdout.take();
    let ending = async { tokio::join!(child.wait(), last_of(said)) };
    match tokio::time::timeout(BUILD_TIMEOUT, ending).await {
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), output)) => Err(format!("{output}\n`{command}` ended with {status}")),
        Ok((Err(error), output)) => Err(format!("{output}\n`{command}`: {error}")),
        Err(_elapsed) => Err(format!("`{command}` did not end within {BUILD_TIMEOUT:?}")),
    }
}

/// The end of what a command says, until it stops.
async fn last_of(said: Option<impl AsyncReadExt + Unpin>) -> String {
    let Some(mut said) = said else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 8 << 10]);
    while let Ok(read) = said.read(&mut piece).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&piece[..read]);
        let excess = kept.len().saturating_sub(OUTPUT_MAX_BYTES);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).trim_end().to_owned()
}

/// For the person who edits; standard output is the host's log.
fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Watches the sources of a manifest, as long as the watcher lives.
fn follow(manifest: &Manifest, changed: &Arc<Changed>) -> anyhow::Result<RecommendedWatcher> {
    let built = manifest.services.values().filter(|settings| settings.build.is_some());
    let services = built.map(|settings| (settings.name.clone(), Sources::of(&settings.component))).collect();
    let plan = Plan { manifest: manifest.files.clone(), services };
    let (mut alone, mut deep) = (BTreeSet::new(), BTreeSet::new());
    alone.extend(plan.manifest.iter().filter_map(|file| file.parent().map(Path::to_owned)));
    for (_, sources) in &plan.services {
        let (root, folders) = sources.folders();
        alone.insert(root);
        deep.extend(folders);
    }
    let changed = changed.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        Ok(event) if event.kind.is_access() => {}
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

impl Changed {
    fn what(&self) -> std::sync::MutexGuard<'_, What> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, plan: &Plan, path: &Path) {
        let sources: Vec<Sources> = plan.services.iter().map(|(_, sources)| sources.clone()).collect();
        let mut what = self.what();
        if plan.manifest.contains(path) {
            what.manifest = true;
        } else {
            let concerned = plan.services.iter().filter(|(_, of)| of.concern(path, &sources));
            what.services.extend(concerned.map(|(name, _)| name.clone()));
        }
        if what.manifest || !what.services.is_empty() {
            self.told.notify_one();
        }
    }

    fn note_all(&self, plan: &Plan) {
        let mut what = self.what();
        what.manifest = true;
        what.services.extend(plan.services.iter().map(|(name, _)| name.clone()));
        self.told.notify_one();
    }

    /// Waits for a change, and then until nothing more happens for a moment. Cancel safe.
    async fn quiet(&self) {
        self.told.notified().await;
        let more = async { while tokio::time::timeout(QUIET, self.told.notified()).await.is_ok() {} };
        // Whoever never stops is not waited for.
        let _ = tokio::time::timeout(QUIET_MAX, more).await;
    }
}
