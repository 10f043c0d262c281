//! What a system stands on for as long as the host runs: its data folder, the engine, the histories.
//! Opened once, from the manifest of the start; no manifest that comes later changes it.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

use super::{Certificates, Descriptors, StartError};
use crate::{
    component::{Artifacts, Histories},
    deploy::{Bounds, Loader},
    engine::{Compilers, EngineSettings},
    health::{Checked, Health},
    telemetry,
};
use backend::{
    embedded::{self, DataFolder},
    http::Outbound,
};
use manifest::{Environment, Manifest, Oversight};
use otlp::Records;
use span::Recorder;

/// What a system is given from outside; read once.
#[derive(Clone)]
pub struct Surroundings {
    /// The manifest's file as the user wrote it: messages call it so.
    pub file: PathBuf,
    pub environment: Environment,
    /// What is laid over every manifest.
    pub oversight: Oversight,
    /// The folder under which compiled components are kept, and what private servers begin with, where the data of this
    /// system is thrown away with it.
    pub compiled: Option<PathBuf>,
    /// Log lines on their way to a collector.
    pub records: Arc<Records>,
}

/// All of it.
pub struct Ground {
    pub(super) given: Surroundings,
    /// Ours alone while we run.
    pub(super) data: DataFolder,
    pub descriptors: Descriptors,
    pub(super) certificates: Arc<Certificates>,
    pub(super) outbound: Outbound,
    /// What the engine was started with.
    pub(super) engine: EngineSettings,
    pub(super) loader: Arc<Loader>,
    pub(super) health: Arc<Health>,
    pub(super) recorder: Arc<Recorder>,
    /// What this host is called in traces, beside others of the same manifest.
    pub(super) instance: String,
}

impl Ground {
    pub fn open(manifest: &Manifest, given: Surroundings, certificates: Certificates) -> Result<Self, StartError> {
        let descriptors = Descriptors::raised();
        let outbound = Outbound::of(&given.environment)?;
        let data = DataFolder::open(&manifest.host.data)?;
        let histories = Histories::open(&manifest.host.data).map_err(StartError::Histories)?;
        let engine = engine_settings(manifest);
        let kept = given.compiled.as_ref().unwrap_or(&manifest.host.data);
        let artifacts = Artifacts::open(kept, manifest.host.artifacts_max_bytes)?;
        let compilers = Compilers::start().map_err(StartError::Compilers)?;
        let own = telemetry::own(&given.environment);
        // What happens before anything is sent waits for that.
        let (export, _told_later) = telemetry::Export::of(manifest, &given.environment, "");
        let recorder = Recorder::new(own, export.recording);
        let bounds = Bounds::of(manifest);
        let loader = Loader::new(engine, compilers, artifacts, histories, bounds, recorder.clone())?;
        let certificates = Arc::new(certificates);
        let (loader, health) = (Arc::new(loader), Arc::new(Health::new(Checked::default())));
        let instance = uuid::Uuid::new_v4().to_string();
        Ok(Self { given, data, descriptors, certificates, outbound, engine, loader, health, recorder, instance })
    }

    /// The folder that is ours alone.
    pub fn data(&self) -> &DataFolder {
        &self.data
    }

    /// What private servers are started with.
    pub(super) fn servers(&self) -> embedded::Environment {
        let passing = self.given.compiled.clone();
        embedded::Environment { passing, ..embedded::Environment::of(&self.given.environment) }
    }
}

/// Slots beyond this are not reserved: the address space of one is more than 4 GiB.
const INSTANCES_MAX: u32 = 2_000;

/// So many are reserved at least, so that an applied manifest may add services.
const INSTANCES_MIN: u32 = 512;

/// What a slot can hold at least, so that an applied manifest may raise `limits.memory`: address
/// space, and that of a slot is larger.
const INSTANCE_MEMORY_MIN_BYTES: u64 = 1 << 30;

/// How large the engine must be for a manifest.
pub(super) fn engine_settings(manifest: &Manifest) -> EngineSettings {
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
