//! Tells Consul which services are here, for as long as they are.
//!
//! Decides which: the components that routes lead to, as the manifest that runs now says. They are taken
//! back before anything is drained, so that nobody is sent to a host that goes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::{admin::Sites, health::Status, system::System};
use backend::upstream::{BEAT, Registrar};

/// What taking them back may take.
const LEAVING_MAX: Duration = Duration::from_secs(4);

pub(super) struct Announcing {
    ends: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Announcing {
    pub(super) fn start(system: Arc<System>, sites: Sites) -> Self {
        let (ends, ended) = watch::channel(false);
        Self { ends, task: tokio::spawn(announce(system, sites, ended)) }
    }

    /// Our services are here no more; takes four seconds at most.
    pub(super) async fn stop(mut self) {
        self.ends.send_replace(true);
        if timeout(LEAVING_MAX, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

async fn announce(system: Arc<System>, sites: Sites, mut ended: watch::Receiver<bool>) {
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
        registrar.beat(&here(&system).await, &sites.as_others_see(&manifest.name, agent)).await;
    }
    if let Some(mut registrar) = registrar {
        registrar.leave().await;
    }
}

/// The components that routes lead to, and whether each is well.
async fn here(system: &System) -> BTreeMap<Arc<str>, bool> {
    let now = system.current();
    let mut here = BTreeMap::new();
    for name in now.routed() {
        let health = system.health().service(&name).await;
        here.insert(name, health.is_some_and(|report| report.status < Status::Unhealthy));
    }
    here
}
