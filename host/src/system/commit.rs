//! What was prepared becomes current, in one store; then everything that follows from it.
//!
//! Nothing here can fail. The same for a start and for an applied manifest: a start has nothing
//! before it, that is all.

use std::sync::Arc;

use arc_swap::ArcSwap;
use gateway::{connection::KeepAlive, gateway::Gateway, listener::Admission};

use super::{
    Announced, Current, Ground, System, exporting::Exporting, leaving::Leaving, next::Prepared, refining::Refining,
};
use crate::{
    consumers::Consumers,
    deploy::{Bounds, Deployed, Gone},
    health::Checked,
    telemetry::Export,
};
use backend::outbox::{Publisher, Relays};
use manifest::{Manifest, ServiceSettings};

impl System {
    /// Makes `prepared` the system that runs, where there was none.
    pub(super) fn begin(ground: Ground, prepared: Prepared) -> (Self, Gone) {
        let Prepared { current, table, checked, gone, .. } = prepared;
        let system = Self {
            gateway: Arc::new(Gateway::new(table.routes, table.settings).recorded_by(ground.recorder.clone())),
            admission: Admission::new(current.manifest.gateway.connections_max), // until they are followed
            keep_alive: KeepAlive::new(current.manifest.gateway.keep_alive),
            current: ArcSwap::from_pointee(current),
            announced: Announced::default(),
            leaving: Leaving::default(),
            consumers: Consumers::default(),
            relays: Relays::default(),
            refining: Refining::default(),
            exporting: Exporting::start(&ground.recorder, &ground.given.records), // nowhere, until they are followed
            turn: Arc::default(),
            ground,
        };
        system.follow(None, checked);
        (system, gone)
    }

    /// Makes `prepared` what runs. Requests in flight finish where they are.
    pub(super) fn commit(&self, prepared: Prepared) -> Gone {
        let Prepared { current, table, checked, gone, turns: _until_current, .. } = prepared;
        // Before anybody new is there: who asks for a connection asks the new pools for it.
        current.backends.databases.take_over(&self.current().backends.databases);
        let before = self.current.swap(Arc::new(current));
        self.gateway.replace(table.routes, table.settings);
        self.follow(Some(&before), checked);
        gone
    }

    /// What is one for all manifests goes by the one that runs now.
    fn follow(&self, before: Option<&Current>, checked: Checked) {
        let now = self.current();
        self.loader().go_by(Bounds::of(&now.manifest));
        self.follow_telemetry(&now.manifest);
        self.admission.resize(self.ground.descriptors.of_gateway(&now.manifest));
        self.keep_alive.set(now.manifest.gateway.keep_alive);
        if let (Some(events), Some(settings)) = (&now.backends.events, &now.manifest.events) {
            events.keep(settings.clone());
        }
        self.health().replace(checked);
        let olds = before.into_iter().flat_map(|before| before.services.values());
        let callees = before.into_iter().flat_map(|before| before.callees());
        self.leaving.leave(callees.filter(|callee| !now.has(callee.name())), &now);
        // Who is handed events may call, and who may publish is known before anything is carried on.
        self.take_part();
        let is_now =
            |old: &&Arc<Deployed>| now.services.get(&old.settings.name).is_some_and(|new| Arc::ptr_eq(new, old));
        olds.filter(|old| !is_now(old)).for_each(|old| old.service.retire());
        if let Some(events) = &now.backends.events {
            events.start();
        }
        let (outboxes, events) = (now.backends.databases.outboxes(), now.backends.events.as_ref());
        self.relays.replace(outboxes, events, &now.backends.publishers);
    }

    /// What is recorded from the next request on, and where it goes.
    fn follow_telemetry(&self, manifest: &Manifest) {
        let ground = &self.ground;
        let (export, wrong) = Export::of(manifest, &ground.given.environment, &ground.instance);
        wrong.iter().for_each(|line| tracing::warn!("{line}"));
        self.exporting.follow(export, &ground.recorder, &ground.given.records);
    }

    /// From now on the services that run are handed events and may publish as their settings say.
    pub(super) fn take_part(&self) {
        let now = self.current();
        let each = || now.services.values().map(|deployed| (deployed.settings.clone(), deployed.service.clone()));
        let publisher = |settings: &ServiceSettings| {
            let busy_max = settings.limits.timeout.max(settings.events.timeout);
            (settings.name.clone(), Publisher { grants: settings.grants.clone(), busy_max })
        };
        now.backends.publishers.replace(each().map(|(settings, _)| publisher(&settings)));
        if let Some(events) = &now.backends.events {
            events.keep_counts(|name| now.services.contains_key(name));
        }
        self.consumers.replace(now.backends.events.as_ref(), each(), &self.ground.recorder);
    }

    /// Forgets accepted permissions that do not hold any more. It cannot fail: the same is found out again.
    pub(super) async fn forget(&self, gone: Gone) {
        let histories = self.loader().histories.clone();
        // A panic in it has been logged.
        let _ = tokio::task::spawn_blocking(move || gone.settle(&histories)).await;
    }
}

/// As loud as the log can: on a terminal an error is red. An audit, which lets everything through, has been told.
pub(super) fn tell_unrestricted(manifest: &Manifest) {
    let is_written = |service: &&ServiceSettings| service.grants.written().net.is_everything();
    let alarming = manifest.services.values().filter(|service| service.grants.is_unrestricted());
    for service in alarming.filter(is_written) {
        tracing::error!(service = %service.name, unrestricted = true, "a service may reach everything (`net = true`), this machine and its neighbours too; for development only");
    }
}
