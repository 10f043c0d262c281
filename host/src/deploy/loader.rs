//! From bytes to a version that could go live: compiled, compared with its grants, linked, started
//! once. The same for a start of the host and for a swap; nothing here makes anything live.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::oneshot;
use wasmtime::component::Linker;

use super::DeployError;
use crate::{
    capability,
    component::{self, Artifacts, Component, ComponentError, Digest, Entry, Histories, Outcome, Start},
    engine::{Compilers, Engine, GuestMemory},
    instance::{Blueprint, InstanceState},
    service::{DrainLimit, Version},
    telemetry::counts::{Cache, Counts},
};
use backend::{
    Backends,
    events::Events,
    folder::{self, OpenFolder},
};
use manifest::ServiceSettings;

/// The longest a compilation may take before the component is refused.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest it may wait for those before it.
const COMPILE_WAIT: Duration = Duration::from_secs(5 * 60);

/// Which build a start of the host ran.
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

/// What every build needs to become a version.
pub struct Loader {
    engine: Engine,
    linker: Linker<InstanceState>,
    /// What new builds reach.
    backends: ArcSwap<Backends>,
    pub artifacts: Arc<Artifacts>,
    compilers: Arc<Compilers>,
    /// Of the bodies of calls, in both directions.
    body_limit_bytes: Arc<AtomicU64>,
    drain: DrainLimit,
    pub histories: Arc<Histories>,
    pub counts: Arc<Counts>,
}

impl Loader {
    pub fn new(
        engine: Engine,
        backends: Arc<Backends>,
        compilers: Compilers,
        artifacts: Artifacts,
        histories: Histories,
        (body_limit_bytes, drain): (u64, Duration),
    ) -> Self {
        let linker = crate::capability::linker(&engine.wasm).expect("our own interfaces do not clash");
        let (compilers, artifacts, histories) = (Arc::new(compilers), Arc::new(artifacts), Arc::new(histories));
        let (backends, body_limit_bytes) = (ArcSwap::new(backends), Arc::new(AtomicU64::new(body_limit_bytes)));
        Self {
            engine,
            linker,
            backends,
            artifacts,
            compilers,
            body_limit_bytes,
            drain: DrainLimit::new(drain),
            histories,
            counts: Arc::default(),
        }
    }

    /// The version that a start of the host runs: the manifest's file, or what was swapped in since
    /// that file was loaded. A swapped build that does not start gives way to the file this time; the
    /// next start tries it again.
    pub async fn first(&self, settings: &Arc<ServiceSettings>) -> Result<(Arc<Version>, Origin), DeployError> {
        let wasm = self.read(settings).await?;
        let file = Digest::of(&wasm);
        if let Start::Swapped(digest) = self.histories.of(&settings.name).start(file) {
            match self.again(settings, digest).await {
                Ok(version) => return Ok((version, Origin::Swap)),
                Err(error) => {
                    let error = document::problem::chain(&error);
                    tracing::error!(service = %settings.name, build = digest.short(), %error, "the build that was swapped in last does not start; running the manifest's file until the next start");
                    let version = self.version(settings, &settings.component, wasm).await?;
                    return Ok((version, Origin::Manifest));
                }
            }
        }
        let version = self.version(settings, &settings.component, wasm.clone()).await?;
        let entry = entry(&version, Outcome::Started, "manifest", None);
        self.remember(settings, Some(wasm), move |history| {
            if history.file != Some(file) || history.live() != Some(file) {
                history.note(entry);
            }
            history.file = Some(file);
            history.advance(file);
        })
        .await?;
        Ok((version, Origin::Manifest))
    }

    /// The memory that all instances share.
    pub fn guest_memory(&self) -> &GuestMemory {
        &self.engine.memory
    }

    /// What new builds reach now.
    pub fn backends(&self) -> Arc<Backends> {
        self.backends.load_full()
    }

    /// What builds reach from now on; those that run keep what they have.
    pub(super) fn reach(&self, backends: Arc<Backends>) {
        self.backends.store(backends);
    }

    /// The largest body of a call, for all builds at once.
    pub fn bound_bodies(&self, body_limit_bytes: u64) {
        self.body_limit_bytes.store(body_limit_bytes, Relaxed);
    }

    /// How long requests of a build may go on after it was replaced, for those that are from now on.
    pub fn limit_drain(&self, drain: Duration) {
        self.drain.set(drain);
    }

    /// What carries events, if anything does.
    pub fn events(&self) -> Option<Arc<Events>> {
        self.backends.load().events.clone()
    }

    /// A build that ran before.
    pub async fn again(&self, settings: &Arc<ServiceSettings>, digest: Digest) -> Result<Arc<Version>, DeployError> {
        let wasm = self.kept(settings, digest).await?;
        self.version(settings, Path::new("the kept build"), wasm).await
    }

    /// A build that was sent or loaded before.
    pub(super) async fn kept(&self, settings: &ServiceSettings, digest: Digest) -> Result<Bytes, DeployError> {
        let histories = self.histories.clone();
        let found = tokio::task::spawn_blocking(move || histories.build(&digest)).await;
        let gone = || {
            let source = std::io::Error::other(format!("the build {} is gone or damaged", digest.short()));
            DeployError::History { service: settings.name.clone(), source }
        };
        Ok(found.ok().flatten().ok_or_else(gone)?.into())
    }

    /// Everything that can be found out about a build before it takes a request. `path` is what
    /// messages call it.
    async fn version(
        &self,
        settings: &Arc<ServiceSettings>,
        path: &Path,
        wasm: Bytes,
    ) -> Result<Arc<Version>, DeployError> {
        let component = self.component(settings, path, wasm).await?;
        self.start(settings, component, self.backends()).await
    }

    /// Compiled, and nothing in it needs more than the manifest grants.
    pub(super) async fn component(
        &self,
        settings: &ServiceSettings,
        path: &Path,
        wasm: Bytes,
    ) -> Result<Component, DeployError> {
        let component = self.compile(&settings.name, path, wasm).await?;
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
        let service = || settings.name.clone();
        let (limit, counts) = (self.body_limit_bytes.clone(), self.counts.service(&settings.name));
        let folders = self.folders(settings).await?;
        let blueprint = Blueprint::new(self.engine.clone(), settings.clone(), backends, limit, counts, folders);
        let linker = capability::with_empty(&self.linker, component.unknown_types());
        let version =
            linker.and_then(|linker| Version::new(blueprint, Arc::new(component), self.drain.clone(), &linker));
        let version = version.map_err(|error| DeployError::Link { service: service(), source: error.into() })?;
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
            let migrated = backends.databases.migrate(&granted.get().database).await;
            migrated.map_err(|source| DeployError::Migrate { service: settings.name.clone(), source })?;
        }
        Ok(())
    }

    /// The manifest's file.
    pub(super) async fn read(&self, settings: &Arc<ServiceSettings>) -> Result<Bytes, DeployError> {
        let of = settings.clone();
        let reading = tokio::task::spawn_blocking(move || component::read(&of.component, of.build.as_deref()));
        match reading.await {
            Ok(read) => read
                .map(Bytes::from)
                .map_err(|source| DeployError::Component { service: settings.name.clone(), source }),
            Err(_broken) => Err(DeployError::Broken { service: settings.name.clone() }),
        }
    }

    pub(super) async fn compile(&self, service: &Arc<str>, path: &Path, wasm: Bytes) -> Result<Component, DeployError> {
        let failed = |source| DeployError::Component { service: service.clone(), source };
        let (of, at, engine, artifacts) =
            (service.clone(), path.to_owned(), self.engine.clone(), self.artifacts.clone());
        let compilers = self.compilers.clone();
        let (begin, begun) = oneshot::channel();
        let compiling = tokio::task::spawn_blocking(move || {
            let compile = || {
                // Nobody may wait for it any more.
                let _ = begin.send(());
                Component::from_bytes(of, &at, &wasm, &engine.wasm, Some(&artifacts))
            };
            let component = compilers.run(compile)?;
            component.check_handler(&at)?;
            Ok(component)
        });
        // Its time begins with its turn.
        let compiled = async {
            let _begun_or_broken = tokio::time::timeout(COMPILE_WAIT, begun).await;
            tokio::time::timeout(COMPILE_TIMEOUT, compiling).await
        };
        match compiled.await {
            Ok(Ok(loaded)) => {
                let loaded = loaded.map_err(failed)?;
                self.counts.compiled.count(if loaded.cached { Cache::Hit } else { Cache::Miss });
                Ok(loaded)
            }
            Ok(Err(_broken)) => Err(DeployError::Broken { service: service.clone() }),
            Err(_elapsed) => Err(failed(ComponentError::CompileTimeout { path: path.to_owned() })),
        }
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
pub(super) fn permitted(component: &Component, settings: &ServiceSettings) -> Result<(), DeployError> {
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
pub(super) fn entry(version: &Version, outcome: Outcome, by: &str, reason: Option<String>) -> Entry {
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
pub(super) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
