//! Tells Consul which services are here, for as long as they are.
//!
//! Decides which: the components that routes lead to, as the manifest that runs now says. They are taken
//! back before anything is drained, so that nobody is sent to a host that goes; one that an applied manifest
//! removes is taken back before that runs (`system`'s `Announced`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::{
    admin::Sites,
    health::Status,
    system::{Asked, Current, System},
};
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
    let mut asked = system.announced().asked();
    let mut round = interval(BEAT);
    loop {
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => break,
            _ = asked.changed() => {} // `system` has its other end
            _ = round.tick() => {}
        }
        let asked = asked.borrow_and_update().clone();
        let now = system.current();
        let wanted = now.manifest.consul.as_ref().filter(|agent| agent.register);
        if registrar.as_ref().map(Registrar::settings) != wanted {
            if let Some(mut before) = registrar.take() {
                before.leave().await;
            }
            registrar = wanted.map(|agent| Registrar::new(agent, system.outbound()));
        }
        if let (Some(agent), Some(registrar)) = (wanted, &mut registrar) {
            let here = here(&system, &now, &asked).await;
            registrar.beat(&here, &sites.as_others_see(&now.manifest.name, agent)).await;
        }
        system.announced().told(&asked);
    }
    if let Some(mut registrar) = registrar {
        registrar.leave().await;
    }
}

/// What Consul is told of, and whether each is well.
async fn here(system: &System, now: &Current, asked: &Asked) -> BTreeMap<Arc<str>, bool> {
    let mut here = BTreeMap::new();
    for name in now.announced().into_iter().filter(|name| !asked.is_going(name)) {
        let health = system.health().service(&name).await;
        here.insert(name, health.is_some_and(|report| report.status < Status::Unhealthy));
    }
    here
}
