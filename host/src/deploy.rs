//! From a manifest to a generation: everything that runs together.
//!
//! All that can fail (read, compile, compare with grants, link, one trial instance) happens here,
//! before anything is served; a generation exists whole or not at all.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::call::Callee;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    backend::Backends,
    capability,
    component::{Artifacts, Component, ComponentError, Missing},
    engine::Engine,
    instance::{Blueprint, InstanceState},
    manifest::{Manifest, ServiceSettings},
    openapi,
    service::{Service, Version},
};

mod needs;

pub use needs::missing_needs;

/// The longest a compilation may take before the component is refused.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(30);

/// One deployed set of services.
pub struct Generation {
    pub services: BTreeMap<Arc<str>, Deployed>,
    pub openapi: serde_json::Value,
}

/// A service and how it came to run.
pub struct Deployed {
    pub service: Arc<Service>,
    pub settings: Arc<ServiceSettings>,
    pub start: Duration,
}

/// Why a service cannot be deployed. Whatever was running before is still running.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("cannot start service `{service}`")]
    Component {
        service: Arc<str>,
        #[source]
        source: ComponentError,
    },

    #[error("cannot start service `{service}`: {}", list(.missing))]
    Missing { service: Arc<str>, missing: Vec<Missing> },

    #[error("cannot start service `{service}`: its component needs more than {} grants; add to `services.{service}.permissions`:\n{}", .manifest.display(), .lines.join("\n"))]
    Needs { service: Arc<str>, manifest: PathBuf, lines: Vec<String> },

    #[error("cannot link service `{service}`; `archipel inspect` lists what its component imports")]
    Link {
        service: Arc<str>,
        #[source]
        source: anyhow::Error,
    },

    #[error("service `{service}` does not start: {reason}")]
    Trial { service: Arc<str>, reason: String },

    #[error("loading service `{service}` broke off")]
    Broken { service: Arc<str> },
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What a person may be told while components load.
pub trait Watch: Send + Sync + 'static {
    fn loading(&self, service: &str);
    fn loaded(&self, service: &str, cached: bool);
}

/// Prepares all services of a manifest, as many at once as there are cores.
///
/// # Errors
/// Every service that cannot be deployed, not the first only.
pub async fn prepare(
    manifest: &Manifest,
    engine: &Engine,
    backends: &Arc<Backends>,
    artifacts: &Arc<Artifacts>,
    watch: &Arc<dyn Watch>,
) -> Result<Generation, Vec<DeployError>> {
    let linker = Arc::new(capability::linker(&engine.wasm).expect("our own interfaces do not clash"));
    let slots = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
    let body_limit = manifest.gateway.body_limit_bytes;
    let mut loading = JoinSet::new();
    for settings in manifest.services.values() {
        let settings = Arc::new(settings.clone());
        let (engine, backends, artifacts) = (engine.clone(), backends.clone(), artifacts.clone());
        let (linker, slots, watch) = (linker.clone(), slots.clone(), watch.clone());
        loading.spawn(async move {
            let _slot = slots.acquire_owned().await;
            watch.loading(&settings.name);
            let began = Instant::now();
            let component = load(&settings, &engine, artifacts).await?;
            let cached = component.cached;
            let blueprint = Blueprint::new(engine, settings.clone(), backends, body_limit);
            let service = start(blueprint, component, &linker).await?;
            watch.loaded(&settings.name, cached);
            Ok(Deployed { service: Arc::new(service), settings, start: began.elapsed() })
        });
    }
    let mut services = BTreeMap::new();
    let mut problems = Vec::new();
    while let Some(joined) = loading.join_next().await {
        match joined {
            Ok(Ok(deployed)) => drop(services.insert(deployed.settings.name.clone(), deployed)),
            Ok(Err(problem)) => problems.push(problem),
            Err(_broken) => problems.push(DeployError::Broken { service: "unknown".into() }),
        }
    }
    match problems.is_empty() {
        true => {
            let callee = |(name, deployed): (&Arc<str>, &Deployed)| Callee::new(name.clone(), deployed.service.clone());
            backends.directory.replace(services.iter().map(callee));
            Ok(Generation { openapi: describe(manifest, &services), services })
        }
        false => Err(problems),
    }
}

async fn load(
    settings: &Arc<ServiceSettings>,
    engine: &Engine,
    artifacts: Arc<Artifacts>,
) -> Result<Component, DeployError> {
    let service = settings.name.clone();
    let failed = |source| DeployError::Component { service: service.clone(), source };
    let (of, engine) = (settings.clone(), engine.clone());
    let compiling = tokio::task::spawn_blocking(move || {
        let component =
            Component::load(of.name.clone(), &of.component, of.build.as_deref(), &engine.wasm, Some(&artifacts))?;
        component.check_handler(&of.component)?;
        Ok(component)
    });
    let component = match tokio::time::timeout(COMPILE_TIMEOUT, compiling).await {
        Ok(Ok(loaded)) => loaded.map_err(failed)?,
        Ok(Err(_broken)) => return Err(DeployError::Broken { service }),
        Err(_elapsed) => return Err(failed(ComponentError::CompileTimeout { path: settings.component.clone() })),
    };
    let missing = component.missing(&settings.grants);
    if !missing.is_empty() {
        return Err(DeployError::Missing { service, missing });
    }
    let lines = missing_needs(component.sections.permissions.as_deref(), &settings.grants);
    if !lines.is_empty() {
        return Err(DeployError::Needs { service, manifest: settings.grants.manifest().to_owned(), lines });
    }
    Ok(component)
}

async fn start(
    blueprint: Blueprint,
    component: Component,
    linker: &wasmtime::component::Linker<InstanceState>,
) -> Result<Service, DeployError> {
    let service = blueprint.settings.name.clone();
    let version = Version::new(blueprint, Arc::new(component), linker)
        .map_err(|error| DeployError::Link { service: service.clone(), source: error.into() })?;
    let version = Arc::new(version);
    version
        .try_start()
        .await
        .map_err(|failure| DeployError::Trial { service: service.clone(), reason: failure.to_string() })?;
    Ok(Service::new(service, version))
}

fn describe(manifest: &Manifest, services: &BTreeMap<Arc<str>, Deployed>) -> serde_json::Value {
    let versions: Vec<_> = services.values().map(|deployed| deployed.service.version()).collect();
    let parts: Vec<_> = versions
        .iter()
        .filter_map(|version| {
            let document = version.component.sections.openapi.as_deref()?;
            Some(openapi::Part { service: &version.component.service, document })
        })
        .collect();
    openapi::merge(&manifest.name, env!("CARGO_PKG_VERSION"), &parts)
}
