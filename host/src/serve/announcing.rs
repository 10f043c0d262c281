//! Tells Consul which services are here, for as long as they are.
//!
//! Decides which: the components that routes lead to, as the manifest that runs now says. They are taken
//! back before anything is drained, so that nobody is sent to a host that goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::{health::Status, system::System};
use backend::upstream::{BEAT, Registrar};

/// What taking them back may take.
const LEAVING_MAX: Duration = Duration::from_secs(4);

pub(super) struct Announcing {
    ends: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Announcing {
    /// `gateway`: where its first listener is.
    pub(super) fn start(system: Arc<System>, gateway: SocketAddr) -> Self {
        let (ends, ended) = watch::channel(false);
        Self { ends, task: tokio::spawn(announce(system, gateway, ended)) }
    }

    /// Our services are here no more; takes four seconds at most.
    pub(super) async fn stop(mut self) {
        self.ends.send_replace(true);
        if timeout(LEAVING_MAX, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

async fn announce(system: Arc<System>, gateway: SocketAddr, mut ended: watch::Receiver<bool>) {
    let mut registrar: Option<Registrar> = None;
    let mut round = interval(BEAT);
    loop {
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => break,
            _ = round.tick() => {}
        }
        let manifest = system.current().manifest.clone();
        let wanted = manifest.consul.as_ref().filter(|agent| agent.register);
        if registrar.as_ref().map(Registrar::settings) != wanted {
            if let Some(mut before) = registrar.take() {
                before.leave().await;
            }
            registrar = wanted.map(|agent| Registrar::new(agent, system.outbound()));
        }
        let (Some(agent), Some(registrar)) = (wanted, &mut registrar) else { continue };
        let services = here(&system).await;
        match &agent.address {
            Some((host, port)) => registrar.beat(&services, (host, *port)).await,
            None => registrar.beat(&services, (&gateway.ip().to_string(), gateway.port())).await,
        }
    }
    if let Some(mut registrar) = registrar {
        registrar.leave().await;
    }
}

/// The components that routes lead to, and whether each is well.
async fn here(system: &System) -> BTreeMap<Arc<str>, bool> {
    let now = system.current();
    let routed: BTreeSet<&Arc<str>> = now.manifest.routes.iter().flat_map(|route| route.target.services()).collect();
    let mut here = BTreeMap::new();
    for name in routed.into_iter().filter(|name| now.services.contains_key(*name)) {
        let health = system.health().service(name).await;
        here.insert(name.clone(), health.is_some_and(|report| report.status < Status::Unhealthy));
    }
    here
}
