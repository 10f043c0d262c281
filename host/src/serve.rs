//! Starting and stopping, in order.
//!
//! Start: addresses, data folder, databases, engine, components, routes; only then is anything
//! accepted. Stop, the other way round: not ready, listeners, requests in flight, databases, the
//! admin listener last. Nothing else in the host knows this order.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use gateway::{
    listener::{self, Listeners},
    tls::Tls,
};
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    admin::Tokens,
    component::{Artifacts, Histories},
    deploy::{self, Applied, Deployment, Loader, Watch},
    engine::{Compilers, Engine, EngineSettings},
    health::Health,
    telemetry::Lost,
};
use backend::{
    Backends,
    embedded::{self, DataFolder},
    events::Events,
    http::Outbound,
    identity::Identities,
    keyvalue::KeyValues,
    outbox::Relays,
    postgres::Databases,
    redis::Stores,
};
use grant::Ceiling;
use manifest::{Environment, Manifest, RedisPlace, ServiceSettings};

mod apply;
mod change;
mod edit;
mod error;
mod explain;
mod front;
mod limits;
mod listening;
mod metrics;
mod probes;
mod report;

use apply::Applier;
pub use edit::Rebuilt;
pub use error::StartError;
pub use explain::{Authentication, Explanation, explain};
use listening::Listening;
use metrics::Metrics;
pub use report::Report;

/// Everything a start needs from outside; read once.
pub struct Surroundings {
    /// The manifest's file as the user wrote it, and the digest of what it said.
    pub file: PathBuf,
    pub digest: String,
    /// The operator's limit on what services may reach, for as long as the host runs.
    pub ceiling: Option<Arc<Ceiling>>,
    pub environment: Environment,
    pub watch: Arc<dyn Watch>,
    /// Log lines that nobody will read.
    pub lost: Lost,
    /// When the command was given.
    pub began: Instant,
}

/// The file of the admin API's own token, under `data`.
const ADMIN_TOKEN: &str = "admin-token";

/// A host that accepts requests.
pub struct Running {
    applier: Arc<Applier>,
    deployment: Arc<Deployment>,
    admin_token: Option<PathBuf>,
    health: Arc<Health>,
    gateway: Listening,
    admin: Listening,
    housekeeping: JoinHandle<()>,
    relays: Arc<Relays>,
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
    let histories = Histories::open(&manifest.host.data).map_err(StartError::Histories)?;
    let (manifest, gone) = deploy::accepted(manifest, &histories);
    tell_unrestricted(&manifest);
    let backends = Arc::new(backends(&manifest, &data, &surroundings, outbound).await?);
    match start_services(manifest, surroundings, sockets, (backends.clone(), histories), data).await {
        Ok(running) => {
            gone.settle(&running.deployment.loader.histories);
            Ok(running)
        }
        Err(error) => {
            stop_backends(&backends).await;
            Err(error)
        }
    }
}

/// As loud as the log can: on a terminal an error is red.
fn tell_unrestricted(manifest: &Manifest) {
    for service in manifest.services.values().filter(|service| service.grants.is_unrestricted()) {
        tracing::error!(service = %service.name, unrestricted = true, "a service may reach everything (`net = true`), this machine and its neighbours too; for development only");
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
    (backends, histories): (Arc<Backends>, Histories),
    data: DataFolder,
) -> Result<Running, StartError> {
    let engine = engine_settings(&manifest);
    let deployment = Arc::new(prepare(&manifest, engine, &backends, histories, &surroundings.watch).await?);
    let health = Arc::new(Health::new(
        probes::of(&manifest, &deployment.services(), &backends),
        probes::own(&manifest, &backends),
    ));
    let limits = limits::of(&manifest, &backends);
    let gateway = Arc::new(front::gateway(&manifest, &deployment, &health, &backends.identity, &limits)?);
    let admin_address = sockets.admin.addresses().next().expect("one address was bound");
    let admin_token = admin_address.ip().is_loopback().then(|| data.path().join(ADMIN_TOKEN));
    let local = admin_token.as_ref().map(|_| data.secret(ADMIN_TOKEN)).transpose().map_err(StartError::AdminToken)?;
    let tokens = Tokens::new(&manifest.admin, local.as_deref());
    deployment.runs(Applied {
        file: manifest.file.clone(),
        digest: surroundings.digest,
        at: format!("{:.3}", jiff::Timestamp::now()),
        by: "manifest".to_owned(),
        restart: Vec::new(),
    });
    let relays = Arc::<Relays>::default();
    carry(&backends, &relays);
    deployment.take_part();
    let listening = front::listening(&manifest.gateway, sockets.tls);
    let (connections, lost) = (listening.counts.clone(), surroundings.lost);
    let metrics = Arc::new(Metrics::new(gateway.clone(), connections, deployment.clone(), lost, Handle::current()));
    let applier = Arc::new(Applier {
        file: surroundings.file,
        environment: surroundings.environment,
        ceiling: surroundings.ceiling,
        manifest: ArcSwap::from_pointee(manifest),
        deployment: deployment.clone(),
        gateway: gateway.clone(),
        health: health.clone(),
        limits: ArcSwap::from_pointee(limits),
        admission: listening.admission.clone(),
        relays: relays.clone(),
        turn: Arc::default(),
        engine,
    });
    let admin = front::admin(admin_address, &health, &deployment, (applier.clone(), applier.clone()), metrics, tokens);
    let admin = Arc::new(admin);
    Ok(Running {
        admin: listening::apart(sockets.admin, admin, front::admin_listening()).map_err(StartError::Thread)?,
        gateway: listening::here(sockets.gateway, gateway, listening),
        housekeeping: tokio::spawn(housekeeping(deployment.clone())),
        relays,
        applier,
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
        let host = self.applier.manifest.load().host.clone();
        tokio::time::sleep(host.linger).await;
        let (stragglers, ()) = tokio::join!(self.gateway.stop(host.drain), self.deployment.stop_consuming(host.drain));
        self.housekeeping.abort();
        self.relays.stop().await;
        stop_backends(&self.deployment.loader.backends()).await;
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
    let progress = |progress: backend::postgres::Progress<'_>| tracing::debug!(?progress, "preparing databases");
    let publishers = publishers(manifest.services.values());
    let databases = Databases::start(&manifest.databases, &grants, &publishers, data, &environment, &progress).await?;
    for warning in databases.warnings() {
        tracing::warn!("{warning}");
    }
    match Stores::start(&manifest.redis, data, &environment, events_are_embedded(manifest)).await {
        Ok(redis) => {
            let (databases, redis, directory) = (Arc::new(databases), Arc::new(redis), Arc::default());
            let keyvalue = Arc::new(KeyValues::new(&manifest.name, &manifest.keyvalue, &redis));
            let events = events(manifest, &redis);
            let publishers = Arc::default();
            Ok(Backends { databases, identity, redis, keyvalue, directory, outbound, events, publishers })
        }
        Err(error) => {
            databases.stop().await;
            Err(error.into())
        }
    }
}

/// Who leaves events in the databases that they may write.
fn publishers<'a>(services: impl Iterator<Item = &'a ServiceSettings>) -> BTreeSet<Arc<str>> {
    services.filter(|service| !service.grants.publishes().is_empty()).map(|service| service.name.clone()).collect()
}

/// What carries events, not started.
fn events(manifest: &Manifest, stores: &Stores) -> Option<Arc<Events>> {
    let settings = manifest.events.as_ref()?;
    let store = stores.get(&settings.redis)?.clone();
    Some(Arc::new(Events::new(store, &manifest.name, settings.clone())))
}

/// What goes on beside requests: events are looked after, and carried on from databases.
fn carry(backends: &Backends, relays: &Relays) {
    if let Some(events) = &backends.events {
        events.start();
    }
    relays.replace(backends.databases.outboxes(), backends.events.as_ref(), &backends.publishers);
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

async fn prepare(
    manifest: &Manifest,
    engine: EngineSettings,
    backends: &Arc<Backends>,
    histories: Histories,
    watch: &Arc<dyn Watch>,
) -> Result<Deployment, StartError> {
    let engine = Engine::new(engine)?;
    let artifacts = Artifacts::open(&manifest.host.data, manifest.host.artifacts_max_bytes)?;
    let compilers = Compilers::start().map_err(StartError::Compilers)?;
    let bounds = (manifest.gateway.body_limit_bytes, manifest.host.drain);
    let loader = Loader::new(engine, backends.clone(), compilers, artifacts, histories, bounds);
    deploy::prepare(manifest, loader, watch).await.map_err(StartError::Deploy)
}

/// Slots beyond this are not reserved: the address space of one is more than 4 GiB.
const INSTANCES_MAX: u32 = 2_000;

/// So many are reserved at least, so that an applied manifest may add services.
const INSTANCES_MIN: u32 = 512;

/// What a slot can hold at least, so that an applied manifest may raise `limits.memory`: address
/// space, and that of a slot is larger.
const INSTANCE_MEMORY_MIN_BYTES: u64 = 1 << 30;

fn engine_settings(manifest: &Manifest) -> EngineSettings {
    let limits = || manifest.services.values().map(|service| &service.limits);
    let requests = limits().map(|limits| limits.concurrency.get());
    let consumers = manifest.services.values().filter(|service| service.grants.subscription().is_some());
    let events = consumers.map(|service| service.events.concurrency.get());
    let concurrency: u32 = requests.chain(events).fold(0, u32::saturating_add);
    EngineSettings {
        instances_max: concurrency.clamp(INSTANCES_MIN, INSTANCES_MAX),
        instance_memory_max_bytes: limits().map(|limits| limits.memory_bytes).fold(INSTANCE_MEMORY_MIN_BYTES, u64::max),
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
        deployment.services().values().for_each(|deployed| deployed.service.drop_idle());
        deployment.part();
    }
}
