//! From bytes to a version that could go live: compiled, compared with its grants, linked, started
//! once. The same for a start of the host, an applied manifest and a swap; nothing here makes anything live.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use span::{Active, Recorder, Source};
use wasmtime::component::Linker;

use super::DeployError;
use crate::{
    capability::files::Folders,
    component::{self, Artifacts, Compiler, Component, ComponentError, Digest, Entry, Histories, Outcome, Workshop},
    engine::{Compilers, Engine, EngineError, EngineSettings, GuestMemory, Quick},
    instance::{Blueprint, InstanceState},
    service::{DrainLimit, Version},
    telemetry::counts::{Cache, Counts},
};
use backend::{
    Backends,
    folder::{self, OpenFolder},
};
use manifest::{Manifest, ServiceSettings};

/// What a compilation may use of every core before the component is refused, and the longest that it may take on a
/// machine that is busy with something else.
const COMPILE_CPU_MAX: Duration = Duration::from_secs(60);
const COMPILE_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest it may wait for those before it.
const COMPILE_WAIT: Duration = Duration::from_secs(5 * 60);

/// Which build a service began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The file that the manifest names.
    Manifest,
    /// The build that was swapped in last, before the restart.
    Swap,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Swap => "swap",
        })
    }
}

/// Which code will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// Nothing else answers meanwhile, or somebody waits for it: quickly made code, where there is no other yet.
    Soon,
    /// Only the full compilation's: what runs goes on meanwhile.
    Best,
}

/// What every build needs to become a version, but for what it reaches.
pub struct Loader {
    engine: Engine,
    quick: Arc<Quick>,
    /// `host.quick_compiler`.
    quickly: AtomicBool,
    linker: Linker<InstanceState>,
    artifacts: Arc<Artifacts>,
    compilers: Arc<Compilers>,
    /// Of the bodies of calls, in both directions.
    body_limit_bytes: Arc<AtomicU64>,
    drain: DrainLimit,
    pub histories: Arc<Histories>,
    pub counts: Arc<Counts>,
    /// Where migrations are told.
    recorder: Arc<Recorder>,
}

/// Limits that are the same for all builds at once, and change while they run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest body of a call.
    pub body_limit_bytes: u64,
    pub drain: Duration,
    pub artifacts_max_bytes: u64,
    pub quick_compiler: bool,
}

impl Bounds {
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            body_limit_bytes: manifest.gateway.body_limit_bytes,
            drain: manifest.host.drain,
            artifacts_max_bytes: manifest.host.artifacts_max_bytes,
            quick_compiler: manifest.host.quick_compiler,
        }
    }
}

impl Loader {
    /// # Errors
    /// Where there cannot be an engine of that size.
    pub fn new(
        engine: EngineSettings,
        compilers: Compilers,
        artifacts: Artifacts,
        histories: Histories,
        bounds: Bounds,
        recorder: Arc<Recorder>,
    ) -> Result<Self, EngineError> {
        let (quick, quickly) = (Arc::new(Quick::new(engine)), AtomicBool::new(bounds.quick_compiler));
        let engine = Engine::new(engine)?;
        let linker = crate::capability::linker(&engine.wasm).expect("our own interfaces do not clash");
        let (compilers, artifacts, histories) = (Arc::new(compilers), Arc::new(artifacts), Arc::new(histories));
        let body_limit_bytes = Arc::new(AtomicU64::new(bounds.body_limit_bytes));
        let (drain, counts) = (DrainLimit::new(bounds.drain), Arc::default());
        Ok(Self {
            engine,
            quick,
            quickly,
            linker,
            artifacts,
            compilers,
            body_limit_bytes,
            drain,
            histories,
            counts,
            recorder,
        })
    }

    /// The memory that all instances share.
    pub fn guest_memory(&self) -> &GuestMemory {
        &self.engine.memory
    }

    /// What all builds go by from now on, those that run too; how long requests of a build may go on after
    /// it was replaced, only those that are replaced from now on.
    pub fn go_by(&self, bounds: Bounds) {
        self.body_limit_bytes.store(bounds.body_limit_bytes, Relaxed);
        self.drain.set(bounds.drain);
        self.artifacts.bound(bounds.artifacts_max_bytes);
        self.quickly.store(bounds.quick_compiler, Relaxed);
    }

    /// A build that ran before.
    pub async fn again(
        &self,
        settings: &Arc<ServiceSettings>,
        digest: Digest,
        backends: Arc<Backends>,
    ) -> Result<Arc<Version>, DeployError> {
        let wasm = self.kept(settings, digest).await?;
        let component = self.component(settings, Path::new("the kept build"), wasm, Haste::Soon).await?;
        self.start(settings, component, backends).await
    }

    /// A build that was sent or loaded before.
    pub async fn kept(&self, settings: &ServiceSettings, digest: Digest) -> Result<Bytes, DeployError> {
        let histories = self.histories.clone();
        let found = tokio::task::spawn_blocking(move || histories.build(&digest)).await;
        let gone = || {
            let source = std::io::Error::other(format!("the build {} is gone or damaged", digest.short()));
            DeployError::History { service: settings.name.clone(), source }
        };
        Ok(found.ok().flatten().ok_or_else(gone)?.into())
    }

    /// Compiled, and nothing in it needs more than the manifest grants. `path` is what messages call it.
    pub(super) async fn component(
        &self,
        settings: &ServiceSettings,
        path: &Path,
        wasm: Bytes,
        haste: Haste,
    ) -> Result<Component, DeployError> {
        let component = self.compile(&settings.name, path, wasm, haste).await?;
        permitted(&component, settings)?;
        Ok(component)
    }

    /// Linked, and started once within its limits.
    pub async fn start(
        &self,
        settings: &Arc<ServiceSettings>,
        component: Component,
        backends: Arc<Backends>,
    ) -> Result<Arc<Version>, DeployError> {
        self.ready(settings, component, backends, None).await
    }

    /// The same build as `before` on other code, with its settings, to take its place.
    pub async fn start_instead(&self, before: &Version, component: Component) -> Result<Arc<Version>, DeployError> {
        self.ready(before.settings(), component, before.backends().clone(), Some(before)).await
    }

    async fn ready(
        &self,
        settings: &Arc<ServiceSettings>,
        component: Component,
        backends: Arc<Backends>,
        before: Option<&Version>,
    ) -> Result<Arc<Version>, DeployError> {
        let service = || settings.name.clone();
        let (limit, counts) = (self.body_limit_bytes.clone(), self.counts.service(&settings.name));
        let folders = Folders::new(settings.grants.clone(), self.folders(settings).await?, component.opens_files);
        let label = format!("{}+{}", settings.version, component.digest.short());
        let own = (Source::new(settings.name.clone(), label), Arc::new(folders), component.lines.clone());
        let engine = self.engine.of(component.compiled.engine());
        let failed = |error: wasmtime::Error| DeployError::Link { service: service(), source: error.into() };
        // Few components need one of their own, and only for a while.
        let other = (component.compiler == Compiler::Winch).then(|| crate::capability::linker(&engine.wasm));
        let other = other.transpose().map_err(failed)?;
        let linker = other.as_ref().unwrap_or(&self.linker);
        let blueprint = Blueprint::new(engine, settings.clone(), backends, limit, counts, own);
        let component = Arc::new(component);
        let linked = Version::new(blueprint, component.clone(), self.drain.clone(), linker);
        let mut version = linked.map_err(|error| match component.outdated(&settings.component, &error) {
            Some(source) => DeployError::Component { service: service(), source },
            None => failed(error),
        })?;
        before.into_iter().for_each(|before| version.follow(before));
        let version = Arc::new(version);
        let started = version.try_start().await;
        started.map_err(|failure| DeployError::Trial { service: service(), reason: failure.to_string() })?;
        Ok(version)
    }

    /// The folders that a build sees, held from now on.
    async fn folders(&self, settings: &Arc<ServiceSettings>) -> Result<Vec<OpenFolder>, DeployError> {
        let of = settings.clone();
        let open = move || of.grants.folders().map(|granted| folder::open(&granted)).collect::<Result<Vec<_>, _>>();
        match tokio::task::spawn_blocking(open).await {
            Ok(opened) => opened.map_err(|source| DeployError::Folder { service: settings.name.clone(), source }),
            Err(_broken) => Err(DeployError::Broken { service: settings.name.clone() }),
        }
    }

    /// Brings the databases of a service to what its new build expects, as their owners.
    pub async fn migrate(&self, settings: &ServiceSettings, backends: &Backends) -> Result<(), DeployError> {
        for granted in settings.grants.databases() {
            let database = &granted.get().database;
            let mut span = Active::alone(&self.recorder, || format!("migrate {database}").into());
            let migrated = backends.databases.migrate(database).await;
            let migrated = migrated.map_err(|source| {
                span.fail("migration");
                DeployError::Migrate { service: settings.name.clone(), source }
            });
            span.set("archipel.files", migrated?);
        }
        Ok(())
    }

    /// The manifest's file.
    pub async fn read(&self, settings: &Arc<ServiceSettings>) -> Result<Bytes, DeployError> {
        let of = settings.clone();
        let reading = tokio::task::spawn_blocking(move || component::read(&of.component, of.build.as_deref()));
        match reading.await {
            Ok(read) => read
                .map(Bytes::from)
                .map_err(|source| DeployError::Component { service: settings.name.clone(), source }),
            Err(_broken) => Err(DeployError::Broken { service: settings.name.clone() }),
        }
    }

    /// Reads, checks and compiles `wasm`, on the threads for that, within the time for that.
    pub async fn compile(
        &self,
        service: &Arc<str>,
        path: &Path,
        wasm: Bytes,
        haste: Haste,
    ) -> Result<Component, DeployError> {
        let failed = |source| DeployError::Component { service: service.clone(), source };
        let (of, at, engine, artifacts) =
            (service.clone(), path.to_owned(), self.engine.clone(), self.artifacts.clone());
        let quick = (haste == Haste::Soon && self.quickly.load(Relaxed)).then(|| self.quick.clone());
        let turn = Arc::new(self.compilers.turn());
        let at_work = turn.clone();
        let mut compiling = tokio::task::spawn_blocking(move || {
            let (quick, artifacts) = (quick.as_deref(), Some(&*artifacts));
            let workshop = Workshop { full: &engine.wasm, quick, artifacts, turn: Some(&at_work) };
            let component = Component::from_bytes(of, &at, &wasm, &workshop)?;
            component.check_handler(&at)?;
            Ok(component)
        });
        // Its time begins with its turn.
        let compiled = async {
            tokio::select! {
                biased;
                done = &mut compiling => return Some(done),
                _begun_or_late = tokio::time::timeout(COMPILE_WAIT, turn.begun()) => {}
            }
            turn.within(compiling, COMPILE_CPU_MAX, COMPILE_MAX).await
        };
        match compiled.await {
            Some(Ok(loaded)) => {
                let loaded = loaded.map_err(failed)?;
                self.counts.compiled.count(if loaded.cached { Cache::Hit } else { Cache::Miss });
                Ok(loaded)
            }
            Some(Err(_broken)) => Err(DeployError::Broken { service: service.clone() }),
            None => Err(failed(ComponentError::CompileTimeout { path: path.to_owned() })),
        }
    }

    /// Quickly made code that the full compilation's has taken the place of is kept no longer.
    pub async fn forget_quick(&self, before: Arc<Version>) {
        let artifacts = self.artifacts.clone();
        let forgetting = move || {
            let component = &before.component;
            artifacts.forget(component.compiled.engine(), &component.digest);
        };
        // A panic in it has been logged.
        let _ = tokio::task::spawn_blocking(forgetting).await;
    }

    /// Changes a service's history, on disk before anything else.
    pub async fn remember(
        &self,
        settings: &ServiceSettings,
        build: Option<Bytes>,
        change: impl FnOnce(&mut component::History) + Send + 'static,
    ) -> Result<(), DeployError> {
        let service = settings.name.clone();
        let (histories, of) = (self.histories.clone(), service.clone());
        let writing = tokio::task::spawn_blocking(move || histories.change(&of, build.as_deref(), change));
        match writing.await {
            Ok(written) => written.map_err(|source| DeployError::History { service, source }),
            Err(_broken) => Err(DeployError::Broken { service }),
        }
    }
}

/// Compares a component with what its manifest grants: its imports, then its own word.
pub fn permitted(component: &Component, settings: &ServiceSettings) -> Result<(), DeployError> {
    let service = settings.name.clone();
    let missing = component.missing(&settings.grants);
    if !missing.is_empty() {
        return Err(DeployError::Missing { service, missing });
    }
    let needs = component.needs().map_err(|problems| DeployError::Unreadable { service: service.clone(), problems })?;
    let lacking = settings.grants.lacking(&needs);
    let lines = lacking.lines();
    match lines.is_empty() {
        true => Ok(()),
        false => {
            let beyond = settings.grants.beyond_ceiling(&lacking).lines();
            Err(DeployError::Needs { service, grants: settings.grants.clone(), lines, beyond })
        }
    }
}

/// What a history says of `version`.
pub fn entry(version: &Version, outcome: Outcome, by: &str, reason: Option<String>) -> Entry {
    Entry {
        version: version.label.to_str().unwrap_or_default().to_owned(),
        digest: version.component.digest,
        at: now(),
        outcome,
        by: by.to_owned(),
        reason,
    }
}

/// RFC 3339, UTC, milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
