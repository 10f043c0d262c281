//! What runs, and how that changes while it runs.
//!
//! What is current is one value, [`Current`], which never changes: whatever changes makes another
//! one. A start, an applied manifest and a permission that is accepted each prepare it whole, where
//! things may fail, and then store it. A start is a manifest applied onto nothing (`next`, then
//! `commit`). Only the build of a service changes in place, in the one store of its `Service`
//! (`swap`, `ramp`). Sockets and signals are `serve`'s.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use gateway::{connection::KeepAlive, gateway::Gateway, listener::Admission};
use otlp::Records;
use span::Recorder;
use tokio::time::{Instant, timeout_at};

mod announced;
mod apply;
mod backends;
mod certificates;
mod change;
mod commit;
mod current;
mod descriptors;
mod document;
mod error;
mod explain;
mod exporting;
mod ground;
mod leaving;
mod limits;
mod next;
mod probes;
mod ramp;
mod refine;
mod refining;
mod routes;
mod siblings;
mod start;
mod swap;

pub use announced::{Announced, Asked};
pub use apply::Done;
pub use certificates::{Certificate, Certificates};
pub use current::{Applied, Current};
pub use descriptors::Descriptors;
pub use error::{ApplyError, NextError, StartError};
pub use explain::{Authentication, Explanation, explain};
pub use exporting::Exporting;
pub use ground::{Ground, Surroundings};
pub use ramp::{Rules, Stage, Standing, Word};
pub use routes::read_only;
pub use swap::{Step, SwapError, SwapOptions, Swapped};

use crate::{
    consumers::Consumers,
    deploy::{Loader, Services},
    health::Health,
};
use backend::{http::Outbound, outbox::Relays};
use leaving::Leaving;
use refining::Refining;

/// What private servers may take to stop when a start comes to nothing.
pub const BROKEN_OFF: Duration = Duration::from_secs(20);

/// How long the last spans and log lines may take at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Everything that runs together, and what it takes to change it.
pub struct System {
    ground: Ground,
    /// Sends what is told to where the manifest that runs says.
    exporting: Exporting,
    current: ArcSwap<Current>,
    pub gateway: Arc<Gateway>,
    /// How many connections the gateway's listeners let in.
    pub admission: Admission,
    /// Of the gateway's connections.
    pub keep_alive: KeepAlive,
    /// What other hosts are told of the services here.
    announced: Announced,
    /// Services that an applied manifest removed, for those who still call them.
    leaving: Leaving,
    consumers: Consumers,
    relays: Relays,
    refining: Refining,
    /// Held by whoever makes another [`Current`]: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl System {
    /// What runs now.
    pub fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// All services that are components, as they are now.
    pub fn services(&self) -> Arc<Services> {
        self.current.load().services.clone()
    }

    /// What other hosts are told of the services here.
    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    /// What makes builds ready, and counts them.
    pub fn loader(&self) -> &Loader {
        &self.ground.loader
    }

    /// Those that are shown to others, by our own listeners and to services elsewhere.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.ground.certificates.iter().chain(self.shown_elsewhere()).collect()
    }

    /// Follows the files of our own listeners' and tells of the ends of all. Cancel safe.
    pub async fn follow_certificates(&self) {
        self.ground.certificates.follow(|| self.shown_elsewhere()).await;
    }

    fn shown_elsewhere(&self) -> Vec<Certificate> {
        let now = self.current.load();
        let shown = now.remotes.iter().filter_map(|(name, of)| {
            let (file, not_after) = of.remote.upstream.certificate()?;
            let owner = format!("service {name}").into();
            Some(Certificate { owner, file: file.to_owned(), not_after: Some(not_after) })
        });
        shown.collect()
    }

    /// What requests do, while they do it.
    pub fn recorder(&self) -> &Arc<Recorder> {
        &self.ground.recorder
    }

    /// Log lines on their way to a collector.
    pub fn records(&self) -> &Arc<Records> {
        &self.ground.given.records
    }

    /// What goes to a collector, and where.
    pub fn exporting(&self) -> &Exporting {
        &self.exporting
    }

    /// The way to the outside.
    pub fn outbound(&self) -> &Outbound {
        &self.ground.outbound
    }

    pub fn health(&self) -> &Arc<Health> {
        &self.ground.health
    }

    /// What goes on beside requests: idle instances are dropped, services let go that nobody may call any
    /// more, and quickly made code is replaced by better.
    pub fn tend(self: &Arc<Self>) {
        self.services().values().for_each(|deployed| deployed.service.drop_idle());
        self.current().remotes.values().for_each(|elsewhere| elsewhere.remote.upstream.tend());
        self.leaving.part(&self.current());
        self.refine();
    }

    /// No service is handed an event any more; what is being handled ends within `drain`. Cancel safe.
    pub async fn stop_consuming(&self, drain: Duration) {
        self.consumers.stop(drain).await;
    }

    /// Stops what services reach, by `until` whatever that does. Requests in flight fail from now on.
    pub async fn stop(&self, until: Instant) {
        self.refining.stop();
        let (now, backends) = (Instant::now(), self.current().backends.clone());
        // Half of what is left: the servers stop after those who still write to them.
        let writers = now + until.saturating_duration_since(now) / 2;
        let leave = async {
            self.relays.stop().await;
            tokio::join!(self.exporting.stop(LAST_SPANS), backends::leave(&backends));
        };
        // They have bounds of their own; what is left undone then, another start or another host does.
        let _ = timeout_at(writers, leave).await;
        backends::stop(&backends, until).await;
    }
}
