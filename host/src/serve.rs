//! Starting and stopping, in order.
//!
//! Start: addresses, data folder, databases, engine, components, routes; only then is anything
//! accepted. Stop, the other way round: not ready, listeners, requests in flight, databases, the
//! admin listener last. Nothing else in the host knows this order.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{
    listener::{self, Listeners},
    tls::Tls,
};
use tokio::task::JoinHandle;

use crate::{
    backend::{
        Backends,
        embedded::{self, DataFolder},
        identity::Identities,
        postgres::Databases,
    },
    component::Artifacts,
    deploy::{self, Generation, Watch},
    engine::{Engine, EngineSettings},
    health::Health,
    manifest::{Environment, Manifest},
};

mod error;
mod front;
mod listening;
mod probes;
mod report;

pub use error::StartError;
use listening::Listening;
pub use report::Report;

/// Everything a start needs from outside; read once.
pub struct Surroundings {
    pub environment: Environment,
    pub watch: Arc<dyn Watch>,
    /// When the command was given.
    pub began: Instant,
}

/// A host that accepts requests.
pub struct Running {
    manifest: Manifest,
    backends: Arc<Backends>,
    generation: Arc<Generation>,
    health: Arc<Health>,
    gateway: Listening,
    admin: Listening,
    housekeeping: JoinHandle<()>,
    began: Instant,
    /// Ours alone while we run.
    _data: DataFolder,
}

/// Starts everything `manifest` describes, or nothing.
pub async fn start(manifest: Manifest, surroundings: Surroundings) -> Result<Running, StartError> {
    let sockets = Sockets {
        gateway: listener::bind(&manifest.gateway.listen)?,
        admin: listener::bind(&[manifest.admin_listen])?,
        tls: front::tls(&manifest.gateway)?,
    };
    let data = DataFolder::open(&manifest.host.data)?;
    let identity = Arc::new(Identities::open(&manifest.issuers, data.path())?);
    let databases = Arc::new(databases(&manifest, &data, &surroundings).await?);
    let backends = Arc::new(Backends { databases, identity });
    match start_services(manifest, surroundings, sockets, backends.clone(), data).await {
        Ok(running) => Ok(running),
        Err(error) => {
            backends.databases.stop().await;
            Err(error)
        }
    }
}

/// What is bound before anything is started: an address in use is found out at once.
struct Sockets {
    gateway: Listeners,
    admin: Listeners,
    tls: Option<Tls>,
}

async fn start_services(
    manifest: Manifest,
    surroundings: Surroundings,
    sockets: Sockets,
    backends: Arc<Backends>,
    data: DataFolder,
) -> Result<Running, StartError> {
    let generation = Arc::new(prepare(&manifest, &backends, &surroundings.watch).await?);
    let health = Arc::new(Health::new(probes::of(&manifest, &generation, &backends.databases)));
    let gateway = Arc::new(front::gateway(&manifest, &generation, &health, &backends.identity)?);
    let admin_address = sockets.admin.addresses().next().expect("one address was bound");
    let admin = Arc::new(front::admin(admin_address, &health));
    Ok(Running {
        admin: listening::apart(sockets.admin, admin, front::admin_listening()).map_err(StartError::Thread)?,
        gateway: listening::here(sockets.gateway, gateway, front::listening(&manifest.gateway, sockets.tls)),
        housekeeping: tokio::spawn(housekeeping(generation.clone())),
        manifest,
        backends,
        generation,
        health,
        began: surroundings.began,
        _data: data,
    })
}

impl Running {
    /// Stops everything in order; returns how many connections had to be cut.
    pub async fn stop(self) -> usize {
        self.health.start_draining();
        tokio::time::sleep(self.manifest.host.linger).await;
        let stragglers = self.gateway.stop(self.manifest.host.drain).await;
        self.housekeeping.abort();
        self.backends.databases.stop().await;
        self.admin.stop(Duration::ZERO).await;
        stragglers
    }
}

async fn databases(
    manifest: &Manifest,
    data: &DataFolder,
    surroundings: &Surroundings,
) -> Result<Databases, StartError> {
    let variable = |name: &str| surroundings.environment.get(name);
    let environment = embedded::Environment {
        path: variable("PATH").map(Into::into),
        postgres: variable("ARCHIPEL_POSTGRES").map(PathBuf::from),
        runtime: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    let grants: Vec<_> = manifest.services.values().flat_map(|service| service.grants.databases()).collect();
    let progress = |progress: crate::backend::postgres::Progress<'_>| tracing::debug!(?progress, "preparing databases");
    let databases = Databases::start(&manifest.databases, &grants, data, &environment, &progress).await?;
    for warning in databases.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(databases)
}

async fn prepare(
    manifest: &Manifest,
    backends: &Arc<Backends>,
    watch: &Arc<dyn Watch>,
) -> Result<Generation, StartError> {
    let engine = Engine::new(engine_settings(manifest))?;
    let artifacts = Arc::new(Artifacts::open(&manifest.host.data, manifest.host.artifacts_max_bytes)?);
    let generation = deploy::prepare(manifest, &engine, backends, &artifacts, watch).await;
    generation.map_err(StartError::Deploy)
}

/// Slots beyond this are not reserved: the address space of one is more than 4 GiB.
const INSTANCES_MAX: u32 = 2_000;

fn engine_settings(manifest: &Manifest) -> EngineSettings {
    let limits = || manifest.services.values().map(|service| &service.limits);
    let concurrency: u32 = limits().map(|limits| limits.concurrency.get()).fold(0, u32::saturating_add);
    EngineSettings {
        instances_max: concurrency.clamp(64, INSTANCES_MAX),
        instance_memory_max_bytes: limits().map(|limits| limits.memory_bytes).max().unwrap_or(64 << 20),
        guest_memory_bytes: manifest.host.guest_memory_bytes,
        workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}

/// How often idle instances are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

async fn housekeeping(generation: Arc<Generation>) {
    let mut round = tokio::time::interval(HOUSEKEEPING);
    loop {
        round.tick().await;
        generation.services.values().for_each(|deployed| deployed.service.drop_idle());
    }
}
