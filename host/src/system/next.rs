//! The system as a manifest wants it, ready to run: everything that can fail happens here.
//!
//! In order: compared with what runs (`change`), databases and issuers, the services, the routes,
//! the histories on disk. Onto nothing it is a start. What comes then, in `commit`, cannot fail.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Applied, Current, Ground, NextError, backends,
    change::{self, Change},
    document::Document,
    ground::engine_settings,
    limits, probes,
    routes::{self, Behind, Table},
};
use crate::{
    deploy::{self, Fate, Gone, Plan, Turn, Watch},
    health::Checked,
};
use backend::Backends;
use manifest::{Manifest, ServiceSettings};

/// A manifest that shall run.
pub(super) struct Wanted {
    pub(super) manifest: Manifest,
    /// Of its text.
    pub(super) digest: String,
    /// Who wants it, as histories call them.
    pub(super) by: Arc<str>,
}

/// What will be current, ready to be; dropping it changes nothing.
pub(super) struct Prepared {
    pub(super) current: Current,
    pub(super) fates: BTreeMap<Arc<str>, Fate>,
    pub(super) table: Table,
    pub(super) checked: Checked,
    /// Permissions that were accepted once and do not hold any more.
    pub(super) gone: Gone,
    /// Nothing is swapped until it is current, or dropped.
    pub(super) turns: Vec<Turn>,
}

/// Prepares what `wanted` describes, in place of `before`; none: the host starts.
///
/// # Errors
/// Why it cannot run. Whatever was started for it is stopped again.
pub(super) async fn next(
    ground: &Ground,
    before: Option<&Current>,
    wanted: Wanted,
    watch: Option<&Arc<dyn Watch>>,
) -> Result<Prepared, NextError> {
    let change = match before {
        None => Change { manifest: wanted.manifest, restart: Vec::new() },
        Some(before) => change::live(&before.manifest, wanted.manifest).map_err(NextError::NeedsRestart)?,
    };
    let (manifest, gone) = deploy::accepted(change.manifest, &ground.loader.histories);
    let mut restart = change.restart;
    if before.is_some() {
        is_built(&manifest)?;
        restart.extend(change::beyond(&ground.engine, &engine_settings(&manifest)));
    }
    let turns = turns(before).await;
    let backends = backends::next(ground, before, &manifest).await?;
    let (digest, by, built) = (wanted.digest, wanted.by, backends.clone());
    let scene = Scene { ground, before, manifest, backends, digest, by, restart, gone, turns };
    let prepared = scene.prepare(watch).await;
    if prepared.is_err() && before.is_none() {
        backends::stop(&built, tokio::time::Instant::now() + super::BROKEN_OFF).await;
    }
    prepared
}

/// Everything that services and routes are prepared from.
struct Scene<'a> {
    ground: &'a Ground,
    before: Option<&'a Current>,
    /// As it will run: what needs a restart is as it was, what was accepted is granted.
    manifest: Manifest,
    backends: Arc<Backends>,
    digest: String,
    by: Arc<str>,
    restart: Vec<String>,
    gone: Gone,
    turns: Vec<Turn>,
}

impl Scene<'_> {
    async fn prepare(self, watch: Option<&Arc<dyn Watch>>) -> Result<Prepared, NextError> {
        let Self { ground, before, manifest, backends, digest, by, restart, gone, turns } = self;
        let touched = |settings: &ServiceSettings| {
            before.is_some_and(|before| backends::touched(&before.manifest, &manifest, settings))
        };
        let running = before.map(|before| &*before.services);
        let plan =
            Plan { manifest: &manifest, before: running, backends: &backends, touched: &touched, by: &by, watch };
        let mut next = plan.services(&ground.loader).await.map_err(NextError::Services)?;
        let linked = before.map(|before| &*before.remotes);
        let remotes = deploy::elsewhere(
            &manifest.upstreams,
            linked,
            (&ground.outbound, backends.voucher.as_ref()),
            &ground.loader.counts,
        );
        deploy::fates(linked, &remotes, &mut next.fates);
        let limits = match before.filter(|before| before.manifest.gateway.limit_store == manifest.gateway.limit_store) {
            Some(before) => before.limits.clone(),
            None => Arc::new(limits::of(&manifest, &backends)),
        };
        let document = Arc::new(Document::new(&manifest, &next.services));
        let behind = Behind {
            services: &next.services,
            remotes: &remotes,
            health: &ground.health,
            backends: &backends,
            document: &document,
            limits: &limits,
        };
        let table = routes::of(&manifest, &behind)?;
        let checked = probes::of(&manifest, (&next.services, &remotes), &backends);
        next.write_down(&ground.loader).await.map_err(|error| NextError::Services(vec![error]))?;
        let (file, at, by) = (manifest.file.clone(), deploy::now(), by.to_string());
        let applied = Arc::new(Applied { file, digest, at, by, restart });
        let (manifest, services, remotes) = (Arc::new(manifest), Arc::new(next.services), Arc::new(remotes));
        let current = Current { manifest, applied, services, remotes, backends, limits, document };
        Ok(Prepared { current, fates: next.fates, table, checked, gone, turns })
    }
}

/// Waits until nothing is being swapped, and keeps it so.
async fn turns(before: Option<&Current>) -> Vec<Turn> {
    let mut turns = Vec::new();
    for deployed in before.iter().flat_map(|before| before.services.values()) {
        turns.push(deployed.lane.turn("an applied manifest").await);
    }
    turns
}

/// # Errors
/// Components that are not there, with what builds them.
fn is_built(manifest: &Manifest) -> Result<(), NextError> {
    let absent = manifest.services.values().filter(|service| !service.component.is_file());
    let line = |service: &ServiceSettings| {
        let build = service.build.as_ref().map(|build| format!("; build it with `{build}`")).unwrap_or_default();
        format!("there is no file `{}` for service `{}`{build}", service.component.display(), service.name)
    };
    let absent: Vec<String> = absent.map(line).collect();
    if absent.is_empty() { Ok(()) } else { Err(NextError::NeedsRestart(absent.join("; "))) }
}
