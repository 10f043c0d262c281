//! What runs, and how that changes while it runs.
//!
//! What is current is one value, [`Current`], which never changes: whatever changes makes another
//! one. A start, an applied manifest and a permission that is accepted each prepare it whole, where
//! things may fail, and then store it. A start is a manifest applied onto nothing (`next`, then
//! `commit`). Only the build of a service changes in place, in the one store of its `Service`
//! (`swap`, `ramp`). Sockets and signals are `serve`'s.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use gateway::{gateway::Gateway, listener::Admission};

mod apply;
mod backends;
mod change;
mod commit;
mod document;
mod error;
mod explain;
mod ground;
mod leaving;
mod limits;
mod next;
mod probes;
mod ramp;
mod routes;
mod swap;

pub use apply::Done;
pub use error::{ApplyError, NextError, StartError};
pub use explain::{Authentication, Explanation, explain};
pub use ground::{Ground, Surroundings};
pub use swap::{Step, SwapError, SwapOptions, Swapped};

use self::document::Document;
use crate::{
    consumers::Consumers,
    deploy::{Loader, Services, Watch},
    health::Health,
};
use backend::{Backends, outbox::Relays};
use leaving::Leaving;
use limits::Limits;
use manifest::Manifest;
use next::Wanted;

/// Everything that runs together, and what it takes to change it.
pub struct System {
    ground: Ground,
    current: ArcSwap<Current>,
    pub gateway: Arc<Gateway>,
    /// How many connections the gateway's listeners let in.
    pub admission: Admission,
    /// Services that an applied manifest removed, for those who still call them.
    leaving: Mutex<Vec<Leaving>>,
    consumers: Consumers,
    relays: Relays,
    /// Held by whoever makes another [`Current`]: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What runs at one moment.
#[derive(Clone)]
pub struct Current {
    pub manifest: Arc<Manifest>,
    pub applied: Arc<Applied>,
    pub services: Arc<Services>,
    /// What new builds reach; those that run keep what they have.
    pub backends: Arc<Backends>,
    limits: Arc<Limits>,
    document: Arc<Document>,
}

/// Where the manifest that runs came from, for `status`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Applied {
    pub file: std::path::PathBuf,
    /// Of the text that runs; the file may say something else by now.
    pub digest: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// The name of the token that applied it; `manifest` since a start.
    pub by: String,
    /// Keys of it that take effect with a restart only.
    pub restart: Vec<String>,
}

/// Who wants what a start runs, in histories and in `status`.
const MANIFEST: &str = "manifest";

impl System {
    /// Everything that `manifest` describes, or nothing: what was started for it is stopped again.
    pub async fn start(
        ground: Ground,
        manifest: Manifest,
        digest: String,
        watch: &Arc<dyn Watch>,
    ) -> Result<Arc<Self>, NextError> {
        let wanted = Wanted { manifest, digest, by: MANIFEST.into() };
        let prepared = next::next(&ground, None, wanted, Some(watch)).await?;
        // From here on nothing can fail.
        let (system, gone) = Self::begin(ground, prepared);
        system.forget(gone).await;
        Ok(Arc::new(system))
    }

    /// What runs now.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// All services as they are now.
    pub fn services(&self) -> Arc<Services> {
        self.current.load().services.clone()
    }

    /// What makes builds ready, and counts them.
    pub fn loader(&self) -> &Loader {
        &self.ground.loader
    }

    pub fn health(&self) -> &Arc<Health> {
        &self.ground.health
    }

    /// What goes on beside requests: idle instances are dropped, and services let go that nobody may
    /// call any more.
    pub fn tend(&self) {
        self.services().values().for_each(|deployed| deployed.service.drop_idle());
        self.part();
    }

    /// No service is handed an event any more; what is being handled ends within `drain`. Cancel safe.
    pub async fn stop_consuming(&self, drain: Duration) {
        self.consumers.stop(drain).await;
    }

    /// Stops what services reach. Requests in flight fail from now on.
    pub async fn stop(&self) {
        self.relays.stop().await;
        backends::stop(&self.current().backends).await;
    }
}
