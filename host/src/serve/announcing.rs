//! Tells Consul which services are here, for as long as they are.
//!
//! Decides which: the components that routes lead to, as the manifest that runs now says. They are taken
//! back before anything is drained, so that nobody is sent to a host that goes; one that an applied manifest
//! removes is taken back before that runs (`system`'s `Announced`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    admin::Sites,
    health::Status,
    system::{Asked, System},
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
            tracing::warn!("Consul was not told in time that the services here go; it finds out by itself");
        }
    }
}

async fn announce(system: Arc<System>, sites: Sites, mut ended: watch::Receiver<bool>) {
    let mut registrar: Option<Registrar> = None;
    let mut asked = system.announced().asked();
    let mut round = interval(BEAT);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => break,
            _ = asked.changed() => {} // `system` has its other end
            _ = round.tick() => {}
        }
        let now = asked.borrow_and_update().clone();
        // A slow Consul keeps nobody waiting who stops the host or changes what runs.
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => break,
            _ = asked.changed() => asked.mark_changed(),
            () = tell(&system, &sites, &mut registrar, &now) => {}
        }
    }
    if let Some(mut registrar) = registrar {
        registrar.leave().await;
    }
}

/// Tells Consul of what runs now: first of who goes, then of who comes, which is what a change waits for. Cancel safe.
async fn tell(system: &System, sites: &Sites, registrar: &mut Option<Registrar>, asked: &Asked) {
    let now = system.current();
    let wanted = now.manifest.consul.as_ref().filter(|agent| agent.register);
    if registrar.as_ref().map(Registrar::settings) != wanted {
        if let Some(before) = registrar {
            before.leave().await;
        }
        *registrar = wanted.map(|agent| Registrar::new(agent, system.outbound()));
    }
    let (Some(agent), Some(registrar)) = (wanted, registrar) else { return system.announced().told(asked) };
    let at = sites.as_others_see(&now.manifest.name, agent);
    let names: BTreeSet<_> = now.announced().into_iter().filter(|name| !asked.is_going(name)).collect();
    registrar.part(&names, &at).await;
    let here = how(system, names).await;
    registrar.introduce(&here, &at).await;
    system.announced().told(asked);
    registrar.beat(&here, &at).await;
}

/// Whether each is well; all are looked at at once, a second at most.
async fn how(system: &System, names: BTreeSet<Arc<str>>) -> BTreeMap<Arc<str>, bool> {
    let each = names.into_iter().map(|name| async move {
        let health = system.health().service(&name).await;
        (name, health.is_some_and(|report| report.status < Status::Unhealthy))
    });
    join_all(each).await.into_iter().collect()
}
