//! A changed manifest becomes the running one, whole or not at all.
//!
//! In order: read and checked, compared with what runs (`change`), databases and issuers, the
//! services, the routes; the histories on disk; then the stores, none of which can fail. Requests in
//! flight finish on what they began with.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use gateway::{gateway::Gateway, listener::Admission};
use tokio::sync::Mutex;

use super::{
    StartError, carry, change, engine_settings, events, events_are_embedded, front,
    limits::{self, Limits},
    probes, publishers, tell_unrestricted,
};
use crate::{
    admin::{Apply, Applying, Done},
    deploy::{self, Applied, ApplyError, Deployment, Next, Widen, Widened, Widening},
    engine::EngineSettings,
    health::Health,
    telemetry::counts::ApplyOutcome,
};
use backend::{Backends, identity::Identities, keyvalue::KeyValues, outbox::Relays};
use document::problem::chain;
use grant::{Ceiling, DatabaseGrant, Granted};
use manifest::{Confines, Environment, Loaded, Manifest, ServiceSettings};

/// What runs, and everything that a changed manifest changes.
pub(super) struct Applier {
    /// As the user wrote it: messages call it so.
    pub(super) file: PathBuf,
    pub(super) environment: Environment,
    /// As at the start: no manifest changes it.
    pub(super) ceiling: Option<Arc<Ceiling>>,
    pub(super) manifest: ArcSwap<Manifest>,
    pub(super) deployment: Arc<Deployment>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) health: Arc<Health>,
    pub(super) limits: ArcSwap<Limits>,
    /// Of the gateway's listeners.
    pub(super) admission: Admission,
    pub(super) relays: Arc<Relays>,
    /// One at a time.
    pub(super) turn: Arc<Mutex<()>>,
    /// What the engine was started with.
    pub(super) engine: EngineSettings,
}

impl Apply for Applier {
    fn apply(&self, text: String, by: Arc<str>) -> Applying<'_> {
        Box::pin(async move {
            let Ok(_turn) = self.turn.try_lock() else { return self.counted(Err(ApplyError::Busy)) };
            let began = Instant::now();
            let (running, file) = (self.manifest.load_full(), self.file.clone());
            let (environment, ceiling) = (self.environment.clone(), self.ceiling.clone());
            let reading = tokio::task::spawn_blocking(move || {
                let here = Manifest::load(&file, &environment).ok().map(|loaded| loaded.manifest);
                let confines = Confines::of([Some(&*running), here.as_ref()].into_iter().flatten());
                let loaded = Manifest::load_sent(&file, &text, &environment, &confines);
                let loaded = loaded.and_then(|loaded| loaded.under(ceiling.as_ref())).map_err(ApplyError::Wrong)?;
                match change::refused(&running, &loaded.manifest, here.as_ref()) {
                    refused if refused.is_empty() => Ok(loaded),
                    refused => Err(ApplyError::Refused(refused)),
                }
            });
            let broken = |_broken| ApplyError::Backend("reading the manifest broke off".to_owned());
            let applied = async { self.take_over(reading.await.map_err(broken)??, &by, began).await };
            self.counted(applied.await)
        })
    }
}

impl Applier {
    /// The manifest's file as it is now; it comes from the machine, and may say everything.
    pub(super) async fn apply_file(&self, by: &str, began: Instant) -> Result<Done, ApplyError> {
        let _turn = self.turn.lock().await;
        let (file, environment, ceiling) = (self.file.clone(), self.environment.clone(), self.ceiling.clone());
        let reading = move || Manifest::load(&file, &environment).and_then(|loaded| loaded.under(ceiling.as_ref()));
        let reading = tokio::task::spawn_blocking(reading);
        let broken = |_broken| ApplyError::Backend("reading the manifest broke off".to_owned());
        let applied = async {
            let loaded = reading.await.map_err(broken)?.map_err(ApplyError::Wrong)?;
            self.take_over(loaded, by, began).await
        };
        self.counted(applied.await)
    }

    fn counted(&self, outcome: Result<Done, ApplyError>) -> Result<Done, ApplyError> {
        let counts = &self.deployment.loader.counts;
        counts.applied.count(match &outcome {
            Ok(_) => ApplyOutcome::Applied,
            Err(ApplyError::Wrong(_)) => ApplyOutcome::Invalid,
            Err(ApplyError::Busy | ApplyError::Refused(_) | ApplyError::NeedsRestart(_)) => ApplyOutcome::Refused,
            Err(ApplyError::Backend(_) | ApplyError::Services(_)) => ApplyOutcome::Failed,
        });
        if !matches!(outcome, Err(ApplyError::Busy)) {
            // Those, too, that never came to run. Another one that is being applied may be making some now.
            let services = self.deployment.services();
            counts.keep(|name| services.contains_key(name));
        }
        outcome
    }

    async fn take_over(&self, loaded: Loaded, by: &str, began: Instant) -> Result<Done, ApplyError> {
        let running = self.manifest.load_full();
        let histories = self.deployment.loader.histories.clone();
        let mut change = change::live(&running, loaded.manifest).map_err(ApplyError::NeedsRestart)?;
        let (manifest, gone) = deploy::accepted(change.manifest, &histories);
        change.manifest = manifest;
        let missing = absent(&change.manifest);
        if !missing.is_empty() {
            return Err(ApplyError::NeedsRestart(missing));
        }
        change.restart.extend(change::beyond(&self.engine, &engine_settings(&change.manifest)));
        let turns = self.deployment.turns().await;
        let backends = self.backends(&running, &change.manifest).await?;
        let reissued: BTreeSet<&Arc<str>> = (change.manifest.issuers.iter())
            .filter(|(name, new)| running.issuers.get(*name) != Some(*new))
            .map(|(name, _)| name)
            .collect();
        let kept_otherwise = |store: &Arc<str>| running.keyvalue.get(store) != change.manifest.keyvalue.get(store);
        let bounded_otherwise = |name: &Arc<str>| running.databases.get(name) != change.manifest.databases.get(name);
        let touched = |settings: &ServiceSettings| {
            settings.grants.signs().is_some_and(|sign| reissued.contains(&sign.auth))
                || settings.grants.stores().any(|granted| kept_otherwise(&granted.get().store))
                || settings.grants.databases().any(|granted| bounded_otherwise(&granted.get().database))
        };
        let next = self.deployment.next(&change.manifest, turns, backends.clone(), &touched, by).await;
        let next = next.map_err(ApplyError::Services)?;
        let limits = match running.gateway.limit_store == change.manifest.gateway.limit_store {
            true => self.limits.load_full(),
            false => Arc::new(limits::of(&change.manifest, &backends)),
        };
        let routes = front::routes(
            &change.manifest,
            next.services(),
            &self.deployment,
            &self.health,
            &backends.identity,
            &limits,
        );
        let (table, settings) = routes.map_err(taken)?;
        self.deployment.write_down(&next).await.map_err(|error| ApplyError::Services(vec![error]))?;

        // From here on nothing can fail.
        let applied = Applied {
            file: change.manifest.file.clone(),
            digest: loaded.digest,
            at: format!("{:.3}", jiff::Timestamp::now()),
            by: by.to_owned(),
            restart: change.restart,
        };
        let done = Done { services: next.fates().clone(), manifest: applied.clone(), took: began.elapsed() };
        self.go_over(&change.manifest, next, &backends);
        self.gateway.replace(table, settings);
        self.limits.store(limits);
        self.deployment.runs(applied);
        self.manifest.store(Arc::new(change.manifest));
        for warning in &loaded.warnings {
            tracing::warn!(file = %warning.file.display(), "{warning}");
        }
        tell_unrestricted(&self.manifest.load());
        // It cannot fail, and a panic in it has been logged.
        let _ = tokio::task::spawn_blocking(move || gone.settle(&histories)).await;
        tracing::info!(
            by,
            restart = done.manifest.restart.join(", "),
            tookMs = done.took.as_millis() as u64,
            "a changed manifest runs"
        );
        Ok(done)
    }

    /// The databases and issuers of `manifest`: what is the same is shared with what runs.
    async fn backends(&self, running: &Manifest, manifest: &Manifest) -> Result<Arc<Backends>, ApplyError> {
        let now = self.deployment.loader.backends();
        let grants: Vec<Granted<DatabaseGrant>> = grants(manifest);
        let mut next = (*now).clone();
        let [before, publishers] = [running, manifest].map(|manifest| publishers(manifest.services.values()));
        if manifest.databases != running.databases || grants != self::grants(running) || publishers != before {
            let changed = now.databases.changed(&manifest.databases, &grants, &publishers).await;
            next.databases = Arc::new(changed.map_err(|error| ApplyError::Backend(chain(&error)))?);
            for warning in next.databases.warnings() {
                tracing::warn!("{warning}");
            }
        }
        if running.events.is_none() && manifest.events.is_some() {
            if events_are_embedded(manifest) {
                now.redis.fsync_always().await.map_err(|error| ApplyError::Backend(chain(&error)))?;
            }
            next.events = events(manifest, &now.redis);
        }
        if manifest.keyvalue != running.keyvalue {
            next.keyvalue = Arc::new(KeyValues::new(&manifest.name, &manifest.keyvalue, &now.redis));
        }
        if manifest.issuers != running.issuers {
            let changed = now.identity.changed(&manifest.issuers, &manifest.host.data);
            let changed: Identities = changed.map_err(|error| ApplyError::Backend(chain(&error)))?;
            next.identity = Arc::new(changed);
        }
        Ok(Arc::new(next))
    }

    /// Databases for all services as they are, and `of` as it will be.
    async fn reached(&self, of: &ServiceSettings) -> Result<Arc<Backends>, String> {
        let manifest = self.manifest.load_full();
        let now = self.deployment.loader.backends();
        let services = self.deployment.services();
        let others = services.values().map(|deployed| &*deployed.settings).filter(|other| other.name != of.name);
        let all: Vec<_> = others.chain([of]).collect();
        let grants: Vec<_> = all.iter().flat_map(|settings| settings.grants.databases()).collect();
        let changed = now.databases.changed(&manifest.databases, &grants, &publishers(all.into_iter())).await;
        let databases = Arc::new(changed.map_err(|error| chain(&error))?);
        Ok(Arc::new(Backends { databases, ..(*now).clone() }))
    }

    fn go_over(&self, manifest: &Manifest, next: Next, backends: &Arc<Backends>) {
        let loader = &self.deployment.loader;
        loader.bound_bodies(manifest.gateway.body_limit_bytes);
        loader.limit_drain(manifest.host.drain);
        loader.artifacts.bound(manifest.host.artifacts_max_bytes);
        self.admission.resize(manifest.gateway.connections_max);
        let before = loader.backends();
        backends.databases.take_over(&before.databases);
        if let (Some(events), Some(settings)) = (&backends.events, &manifest.events) {
            events.keep(settings.clone());
        }
        self.health.replace(probes::of(manifest, next.services(), backends), probes::own(manifest, backends));
        self.deployment.go_over(next, manifest.host.drain);
        carry(backends, &self.relays);
    }
}

impl Widen for Applier {
    fn widen<'a>(&'a self, settings: &'a ServiceSettings, lines: &'a [String]) -> Widening<'a> {
        Box::pin(async move {
            let busy = |_| "a manifest is being applied; try again when it is done".to_owned();
            let turn = self.turn.clone().try_lock_owned().map_err(busy)?;
            let settings = Arc::new(deploy::widened(settings, lines, &self.manifest.load())?);
            let backends = self.reached(&settings).await?;
            Ok(Widened { settings, backends, turn })
        })
    }
}

fn grants(manifest: &Manifest) -> Vec<Granted<DatabaseGrant>> {
    manifest.services.values().flat_map(|service| service.grants.databases()).collect()
}

/// Components that are not there, with what builds them.
fn absent(manifest: &Manifest) -> String {
    let absent = manifest.services.values().filter(|service| !service.component.is_file());
    let line = |service: &ServiceSettings| {
        let build = service.build.as_ref().map(|build| format!("; build it with `{build}`")).unwrap_or_default();
        format!("there is no file `{}` for service `{}`{build}", service.component.display(), service.name)
    };
    absent.map(line).collect::<Vec<_>>().join("; ")
}

fn taken(error: StartError) -> ApplyError {
    ApplyError::Refused(vec![chain(&error)])
}
