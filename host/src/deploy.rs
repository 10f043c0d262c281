//! From a manifest to a deployment: everything that runs together.
//!
//! All that can fail (read, compile, compare with grants, link, one trial instance) happens here,
//! before anything is served; a deployment exists whole or not at all. How one build of it is
//! replaced while it runs is in `deploy/swap`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use gateway::call::Callee;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    component::{ComponentError, Missing},
    openapi,
    service::Service,
};
use backend::outbox::Publisher;
use grant::Grants;
use manifest::{Manifest, ServiceSettings};

mod accept;
mod apply;
mod consumers;
mod lane;
mod leaving;
mod loader;
mod ramp;
mod smoke;
mod swap;

pub use accept::{accepted, lacks, widened};
pub use apply::{Applied, ApplyError, Fate, Next};
pub use lane::Pending;
pub use loader::{Loader, Origin};
pub use swap::{Step, SwapError, SwapOptions, Swapped, Widen, Widened, Widening};

use consumers::Consumers;
use lane::Lane;
use leaving::Leaving;

/// All services that run together, and what it takes to replace their builds.
pub struct Deployment {
    pub system: String,
    pub loader: Arc<Loader>,
    services: ArcSwap<Services>,
    /// Services that an applied manifest removed, for those who still call them.
    leaving: Mutex<Vec<Leaving>>,
    manifest: ArcSwap<Applied>,
    openapi: ArcSwap<serde_json::Value>,
    /// Held while the document is made, so that an older one never follows a newer.
    describing: Mutex<()>,
    consumers: Consumers,
}

impl Deployment {
    fn new(system: String, loader: Arc<Loader>, services: Services) -> Self {
        let openapi = ArcSwap::from_pointee(describe(&system, &services));
        let (services, leaving, describing) = (ArcSwap::from_pointee(services), Mutex::default(), Mutex::default());
        let (manifest, consumers) = (ArcSwap::default(), Consumers::default());
        Self { system, services, loader, leaving, manifest, openapi, describing, consumers }
    }

    /// From now on the services that run are handed events and may publish as their settings say.
    pub fn take_part(&self) {
        let services = self.services();
        let each = || services.values().map(|deployed| (deployed.settings.clone(), deployed.service.clone()));
        let publisher = |settings: &ServiceSettings| {
            let busy_max = settings.limits.timeout.max(settings.events.timeout);
            (settings.name.clone(), Publisher { grants: settings.grants.clone(), busy_max })
        };
        let backends = self.loader.backends();
        backends.publishers.replace(each().map(|(settings, _)| publisher(&settings)));
        if let Some(events) = &backends.events {
            events.keep_counts(|name| services.contains_key(name));
        }
        self.consumers.replace(backends.events.as_ref(), each());
    }

    /// No service is handed an event any more; what is being handled ends within `drain`. Cancel safe.
    pub async fn stop_consuming(&self, drain: Duration) {
        self.consumers.stop(drain).await;
    }

    /// All services as they are now.
    pub fn services(&self) -> Arc<Services> {
        self.services.load_full()
    }

    /// The manifest that runs.
    pub fn manifest(&self) -> Arc<Applied> {
        self.manifest.load_full()
    }

    /// From now on this one runs.
    pub fn runs(&self, manifest: Applied) {
        self.manifest.store(Arc::new(manifest));
    }

    /// One document for the builds that are live now.
    pub fn openapi(&self) -> Arc<serde_json::Value> {
        self.openapi.load_full()
    }

    /// A build has changed, and with it perhaps what it says of itself.
    fn describe_anew(&self) {
        let _one_at_a_time = self.describing.lock().unwrap_or_else(PoisonError::into_inner);
        self.openapi.store(Arc::new(describe(&self.system, &self.services())));
    }
}

/// All services of a manifest by name.
pub type Services = BTreeMap<Arc<str>, Arc<Deployed>>;

/// A service and how it came to run; with other settings it is another one.
#[derive(Clone)]
pub struct Deployed {
    pub service: Arc<Service>,
    pub settings: Arc<ServiceSettings>,
    callee: Arc<Callee>,
    /// What the start of the host ran.
    pub origin: Origin,
    pub start: Duration,
    lane: Arc<Lane>,
}

impl Deployed {
    fn new(service: Service, settings: Arc<ServiceSettings>, origin: Origin, start: Duration) -> Self {
        let service = Arc::new(service);
        let callee = Arc::new(Callee::new(settings.name.clone(), service.clone()));
        Self { service, settings, callee, origin, start, lane: Arc::default() }
    }

    /// Swaps that are on their way.
    pub fn pending(&self) -> Pending {
        self.lane.pending()
    }
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

    #[error("cannot start service `{service}`: what its component says it needs cannot be read: {}", .problems.join("; "))]
    Unreadable { service: Arc<str>, problems: Vec<String> },

    #[error("cannot start service `{service}`: its component needs more than {}", more(.service, .grants, .lines, .beyond))]
    Needs {
        service: Arc<str>,
        grants: Arc<Grants>,
        lines: Vec<String>,
        /// Those of them that the operator's ceiling does not allow, whatever the manifest says.
        beyond: Vec<String>,
    },

    #[error("cannot link service `{service}`; `archipel inspect` lists what its component imports")]
    Link {
        service: Arc<str>,
        #[source]
        source: anyhow::Error,
    },

    #[error("cannot give service `{service}` its folders")]
    Folder {
        service: Arc<str>,
        #[source]
        source: backend::folder::FolderError,
    },

    #[error("service `{service}` does not start: {reason}")]
    Trial { service: Arc<str>, reason: String },

    #[error("the smoke request of service `{service}` failed: {reason}")]
    Smoke { service: Arc<str>, reason: String },

    #[error("cannot prepare the databases of service `{service}`")]
    Migrate {
        service: Arc<str>,
        #[source]
        source: backend::postgres::StartError,
    },

    #[error("cannot remember what service `{service}` runs; `host.data` must be a folder this user can write to")]
    History {
        service: Arc<str>,
        #[source]
        source: std::io::Error,
    },

    #[error("loading service `{service}` broke off")]
    Broken { service: Arc<str> },
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Whose word to change for these lines, and how.
fn more(service: &str, grants: &Grants, lines: &[String], beyond: &[String]) -> String {
    match grants.ceiling().filter(|_| !beyond.is_empty()) {
        Some(ceiling) => {
            let file = ceiling.file().display();
            format!(
                "the operator's ceiling {file} allows; to allow it, add to `[ceiling]` there:\n{}",
                beyond.join("\n")
            )
        }
        None => {
            let manifest = grants.manifest().display();
            format!("{manifest} grants; add to `services.{service}.permissions`:\n{}", lines.join("\n"))
        }
    }
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
    loader: Loader,
    watch: &Arc<dyn Watch>,
) -> Result<Deployment, Vec<DeployError>> {
    let loader = Arc::new(loader);
    let slots = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
    let mut loading = JoinSet::new();
    for settings in manifest.services.values() {
        let (settings, loader) = (Arc::new(settings.clone()), loader.clone());
        let (slots, watch) = (slots.clone(), watch.clone());
        loading.spawn(async move {
            let _slot = slots.acquire_owned().await;
            watch.loading(&settings.name);
            let began = Instant::now();
            let (version, origin) = loader.first(&settings).await?;
            watch.loaded(&settings.name, version.component.cached);
            let service = Service::new(settings.name.clone(), version);
            Ok(Deployed::new(service, settings, origin, began.elapsed()))
        });
    }
    let mut services = Services::new();
    let mut problems = Vec::new();
    while let Some(joined) = loading.join_next().await {
        match joined {
            Ok(Ok(deployed)) => _ = services.insert(deployed.settings.name.clone(), Arc::new(deployed)),
            Ok(Err(problem)) => problems.push(problem),
            Err(_broken) => problems.push(DeployError::Broken { service: "unknown".into() }),
        }
    }
    match problems.is_empty() {
        true => {
            loader.backends().directory.replace(services.values().map(|deployed| deployed.callee.clone()));
            Ok(Deployment::new(manifest.name.clone(), loader, services))
        }
        false => Err(problems),
    }
}

fn describe(system: &str, services: &Services) -> serde_json::Value {
    let versions: Vec<_> = services.values().map(|deployed| deployed.service.version()).collect();
    let parts: Vec<_> = versions
        .iter()
        .filter_map(|version| {
            let document = version.component.sections.openapi.as_deref()?;
            Some(openapi::Part { service: &version.component.service, document })
        })
        .collect();
    openapi::merge(system, env!("CARGO_PKG_VERSION"), &parts)
}
