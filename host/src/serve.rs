//! Starting and stopping, in order.
//!
//! Start: addresses, data folder, databases, engine, components, routes; only then is anything
//! accepted. Stop, the other way round: not ready, listeners, requests in flight, databases, the
//! admin listener last. Nothing else in the host knows this order.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::{
    limit::SharedLimit,
    listener::{self, Listeners},
    tls::Tls,
};
use tokio::task::JoinHandle;

use crate::{
    admin::Tokens,
    backend::{
        Backends,
        embedded::{self, DataFolder},
        events::Events,
        http::Outbound,
        identity::Identities,
        outbox::Relays,
        postgres::Databases,
        redis::{self, Stores},
    },
    component::{Artifacts, Histories},
    deploy::{self, Consumers, Deployment, Loader, Watch},
    engine::{Compilers, Engine, EngineSettings},
    health::Health,
    manifest::{Environment, Manifest, RedisPlace, ServiceSettings},
};

mod error;
mod explain;
mod front;
mod limits;
mod listening;
mod probes;
mod report;

pub use error::StartError;
pub use explain::{Authentication, Explanation, explain};
use limits::Limits;
use listening::Listening;
pub use report::Report;

/// Everything a start needs from outside; read once.
pub struct Surroundings {
    pub environment: Environment,
    pub watch: Arc<dyn Watch>,
    /// When the command was given.
    pub began: Instant,
}

/// The file of the admin API's own token, under `data`.
const ADMIN_TOKEN: &str = "admin-token";

/// A host that accepts requests.
pub struct Running {
    manifest: Manifest,
    backends: Arc<Backends>,
    deployment: Arc<Deployment>,
    admin_token: Option<PathBuf>,
    health: Arc<Health>,
    gateway: Listening,
    admin: Listening,
    housekeeping: JoinHandle<()>,
    consumers: Consumers,
    relays: Relays,
    began: Instant,
    /// Ours alone while we run.
    _data: DataFolder,
}

/// Starts everything `manifest` describes, or nothing.
pub async fn start(manifest: Manifest, surroundings: Surroundings) -> Result<Running, StartError> {
    let sockets = Sockets {
        gateway: listener::bind(&manifest.gateway.listen)?,
        admin: listener::bind(&[manifest.admin.listen])?,
        tls: front::tls(&manifest.gateway)?,
    };
    let roots = surroundings.environment.get("SSL_CERT_FILE").map(Path::new);
    let outbound = Outbound::new(roots)?;
    let data = DataFolder::open(&manifest.host.data)?;
    let backends = Arc::new(backends(&manifest, &data, &surroundings, outbound).await?);
    match start_services(manifest, surroundings, sockets, backends.clone(), data).await {
        Ok(running) => Ok(running),
        Err(error) => {
            stop_backends(&backends).await;
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
    let deployment = Arc::new(prepare(&manifest, &backends, &surroundings.watch).await?);
    let grants = |service: &ServiceSettings| (service.name.clone(), service.grants.clone());
    backends.publishers.replace(manifest.services.values().map(grants));
    let health = Arc::new(Health::new(
        probes::of(&manifest, &deployment, &backends.databases),
        probes::own(&manifest, &backends),
    ));
    let limits = limits(&manifest, &backends);
    let gateway = Arc::new(front::gateway(&manifest, &deployment, &health, &backends.identity, &limits)?);
    let admin_address = sockets.admin.addresses().next().expect("one address was bound");
    let admin_token = admin_address.ip().is_loopback().then(|| data.path().join(ADMIN_TOKEN));
    let local = admin_token.as_ref().map(|_| data.secret(ADMIN_TOKEN)).transpose().map_err(StartError::AdminToken)?;
    let tokens = Tokens::new(&manifest.admin, local.as_deref());
    let admin = Arc::new(front::admin(admin_address, &health, &deployment, tokens));
    Ok(Running {
        admin: listening::apart(sockets.admin, admin, front::admin_listening()).map_err(StartError::Thread)?,
        gateway: listening::here(sockets.gateway, gateway, front::listening(&manifest.gateway, sockets.tls)),
        housekeeping: tokio::spawn(housekeeping(deployment.clone())),
        consumers: consumers(&deployment, &backends),
        relays: Relays::start(backends.databases.outboxes(), backends.events.as_ref(), &backends.publishers),
        manifest,
        backends,
        deployment,
        admin_token,
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
        let drain = self.manifest.host.drain;
        let (stragglers, ()) = tokio::join!(self.gateway.stop(drain), self.consumers.stop(drain));
        self.housekeeping.abort();
        self.relays.stop().await;
        stop_backends(&self.backends).await;
        self.admin.stop(Duration::ZERO).await;
        stragglers
    }
}

/// Whatever is started before a failure is stopped.
async fn backends(
    manifest: &Manifest,
    data: &DataFolder,
    surroundings: &Surroundings,
    outbound: Outbound,
) -> Result<Backends, StartError> {
    let identity = Arc::new(Identities::open(&manifest.issuers, data.path())?);
    let variable = |name: &str| surroundings.environment.get(name);
    let environment = embedded::Environment {
        path: variable("PATH").map(Into::into),
        postgres: variable("ARCHIPEL_POSTGRES").map(PathBuf::from),
        redis: variable("ARCHIPEL_REDIS").map(PathBuf::from),
        runtime: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    let grants: Vec<_> = manifest.services.values().flat_map(|service| service.grants.databases()).collect();
    let progress = |progress: crate::backend::postgres::Progress<'_>| tracing::debug!(?progress, "preparing databases");
    let publishes = |service: &&ServiceSettings| !service.grants.publishes().is_empty();
    let publishers = manifest.services.values().filter(publishes).map(|service| service.name.clone()).collect();
    let databases = Databases::start(&manifest.databases, &grants, &publishers, data, &environment, &progress).await?;
    for warning in databases.warnings() {
        tracing::warn!("{warning}");
    }
    match Stores::start(&manifest.redis, data, &environment, events_are_embedded(manifest)).await {
        Ok(redis) => {
            let (databases, directory) = (Arc::new(databases), Arc::default());
            let events = events(manifest, &redis);
            Ok(Backends { databases, identity, redis, directory, outbound, events, publishers: Arc::default() })
        }
        Err(error) => {
            databases.stop().await;
            Err(error.into())
        }
    }
}

fn events(manifest: &Manifest, stores: &Stores) -> Option<Arc<Events>> {
    let settings = manifest.events.as_ref()?;
    let store = stores.get(&settings.redis)?.clone();
    let events = Arc::new(Events::new(store, &manifest.name, settings.clone()));
    events.start();
    Some(events)
}

/// Hands events to the services of a deployment that subscribe to any.
fn consumers(deployment: &Deployment, backends: &Backends) -> Consumers {
    let consumers = Consumers::new(backends.events.clone());
    let services = deployment.services.values();
    consumers.replace(services.map(|deployed| (deployed.settings.clone(), deployed.service.clone())));
    consumers
}

/// Events are promised to be kept, so the server that carries them writes each one down at once.
fn events_are_embedded(manifest: &Manifest) -> bool {
    let carries = manifest.events.as_ref().and_then(|events| manifest.redis.get(&events.redis));
    carries.is_some_and(|redis| matches!(redis.place, RedisPlace::Embedded))
}

async fn stop_backends(backends: &Backends) {
    if let Some(events) = &backends.events {
        events.stop().await;
    }
    tokio::join!(backends.databases.stop(), backends.redis.stop());
}

/// Where limits are counted, if not in memory.
fn limits(manifest: &Manifest, backends: &Backends) -> Limits {
    let store = manifest.gateway.limit_store.as_deref().and_then(|name| backends.redis.get(name));
    let shared = |store: &Arc<redis::Store>| -> Arc<dyn SharedLimit> {
        Arc::new(redis::Limits::new(store.clone(), manifest.name.clone()))
    };
    Limits::new(store.map(shared))
}

async fn prepare(
    manifest: &Manifest,
    backends: &Arc<Backends>,
    watch: &Arc<dyn Watch>,
) -> Result<Deployment, StartError> {
    let engine = Engine::new(engine_settings(manifest))?;
    let artifacts = Artifacts::open(&manifest.host.data, manifest.host.artifacts_max_bytes)?;
    let histories = Histories::open(&manifest.host.data).map_err(StartError::Histories)?;
    let compilers = Compilers::start().map_err(StartError::Compilers)?;
    let loader =
        Loader::new(engine, backends.clone(), compilers, artifacts, histories, manifest.gateway.body_limit_bytes);
    deploy::prepare(manifest, loader, watch).await.map_err(StartError::Deploy)
}

/// Slots beyond this are not reserved: the address space of one is more than 4 GiB.
const INSTANCES_MAX: u32 = 2_000;

fn engine_settings(manifest: &Manifest) -> EngineSettings {
    let limits = || manifest.services.values().map(|service| &service.limits);
    let requests = limits().map(|limits| limits.concurrency.get());
    let consumers = manifest.services.values().filter(|service| service.grants.subscription().is_some());
    let events = consumers.map(|service| service.events.concurrency.get());
    let concurrency: u32 = requests.chain(events).fold(0, u32::saturating_add);
    EngineSettings {
        instances_max: concurrency.clamp(64, INSTANCES_MAX),
        instance_memory_max_bytes: limits().map(|limits| limits.memory_bytes).max().unwrap_or(64 << 20),
        guest_memory_bytes: manifest.host.guest_memory_bytes,
        workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}

/// How often idle instances are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

async fn housekeeping(deployment: Arc<Deployment>) {
    let mut round = tokio::time::interval(HOUSEKEEPING);
    loop {
        round.tick().await;
        deployment.services.values().for_each(|deployed| deployed.service.drop_idle());
    }
}
