//! What services reach under a manifest: databases, issuers, Redis, events.
//!
//! The first manifest has all of it started; a later one shares with what runs whatever is the same.
//! What is made here is used by nobody yet, and dropping it changes nothing; only what was started
//! must be stopped.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tokio::time::Instant;

use super::{Current, Ground, NextError};
use backend::{
    Backends,
    events::Events,
    identity::{Identities, KeyFileError, Voucher, of_others},
    keyvalue::KeyValues,
    postgres::{Databases, Progress},
    redis::{Private, Stores},
};
use document::problem::chain;
use gateway::trust::{Peer, Trust};
use grant::{DatabaseGrant, Granted};
use manifest::{Manifest, Proof, RedisPlace, ServiceSettings, TrustSettings};
use span::{Active, Recorder};

/// The backends of `manifest`, in place of those that run, if any do.
pub(super) async fn next(
    ground: &Ground,
    before: Option<&Current>,
    manifest: &Manifest,
) -> Result<Arc<Backends>, NextError> {
    let next = match before {
        None => started(ground, manifest).await?,
        Some(before) => changed(ground, before, manifest).await?,
    };
    Ok(Arc::new(next))
}

/// Whatever is started before a failure is stopped.
async fn started(ground: &Ground, manifest: &Manifest) -> Result<Backends, NextError> {
    let identity = Arc::new(Identities::open(&manifest.issuers, ground.data.path())?);
    let voucher = voucher(manifest, ground.data.path(), None)?;
    let (servers, grants) = (ground.servers(), grants(manifest));
    let publishers = publishers(manifest.services.values());
    let progress = |progress: Progress<'_>| told(&ground.recorder, progress);
    let fsync_always = events_are_embedded(manifest) && servers.passing.is_none();
    let private = Private { fsync_always, memory_max_bytes: manifest.host.redis_memory_bytes };
    let databases = Databases::start(&manifest.databases, &grants, &publishers, &ground.data, &servers, &progress);
    let stores = Stores::start(&manifest.redis, &ground.data, &servers, private, &manifest.name);
    match tokio::join!(databases, stores) {
        (Ok(databases), Ok(redis)) => {
            warn(&databases);
            let (databases, redis, directory) = (Arc::new(databases), Arc::new(redis), Arc::default());
            let keyvalue = Arc::new(KeyValues::new(&manifest.name, &manifest.keyvalue, &redis));
            let (events, publishers, outbound) = (events(manifest, &redis), Arc::default(), ground.outbound.clone());
            let trust = trust(manifest);
            identity.share(&redis, &databases, &manifest.name).await;
            share(voucher.as_ref(), &redis, manifest).await;
            Ok(Backends {
                databases,
                identity,
                trust,
                voucher,
                redis,
                keyvalue,
                directory,
                outbound,
                events,
                publishers,
            })
        }
        (Ok(databases), Err(error)) => {
            databases.stop().await;
            Err(error.into())
        }
        (Err(error), stores) => {
            if let Ok(stores) = stores {
                stores.stop().await;
            }
            Err(error.into())
        }
    }
}

/// What happens to databases before they are there.
fn told(recorder: &Arc<Recorder>, progress: Progress<'_>) {
    tracing::debug!(?progress, "preparing databases");
    if let Progress::Migrated { database, files, began } = progress {
        migrated(recorder, database, files, began);
    }
}

/// A span for files that were missing.
fn migrated(recorder: &Arc<Recorder>, database: &str, files: usize, began: std::time::Instant) {
    if files == 0 {
        return;
    }
    let mut span = Active::alone(recorder, || format!("migrate {database}").into());
    if let Some(span) = span.span() {
        span.began = began;
        span.set("archipel.files", files);
    }
}

/// What is the same is shared with what runs.
async fn changed(ground: &Ground, before: &Current, manifest: &Manifest) -> Result<Backends, NextError> {
    let (now, running) = (&before.backends, &*before.manifest);
    let mut next = (**now).clone();
    let grants = grants(manifest);
    let [known, publishers] = [running, manifest].map(|manifest| publishers(manifest.services.values()));
    if manifest.databases != running.databases || grants != self::grants(running) || publishers != known {
        let progress = |progress: Progress<'_>| told(&ground.recorder, progress);
        next.databases = Arc::new(now.databases.changed(&manifest.databases, &grants, &publishers, &progress).await?);
        warn(&next.databases);
    }
    // Those that changed have been migrated.
    for (name, settings) in &manifest.databases {
        if running.databases.get(name) == Some(settings) {
            let began = std::time::Instant::now();
            let files = next.databases.migrate(name).await?;
            migrated(&ground.recorder, name, files, began);
        }
    }
    if running.events.is_none() && manifest.events.is_some() {
        if events_are_embedded(manifest) {
            now.redis.fsync_always().await?;
        }
        next.events = events(manifest, &now.redis);
    }
    if manifest.keyvalue != running.keyvalue {
        next.keyvalue = Arc::new(KeyValues::new(&manifest.name, &manifest.keyvalue, &now.redis));
    }
    next.voucher = voucher(manifest, &manifest.host.data, now.voucher.as_ref())?;
    share(next.voucher.as_ref(), &now.redis, manifest).await;
    if manifest.trust != running.trust {
        next.trust = trust(manifest);
    }
    if manifest.issuers != running.issuers {
        next.identity = Arc::new(now.identity.changed(&manifest.issuers, &manifest.host.data)?);
        next.identity.share(&now.redis, &next.databases, &manifest.name).await;
    }
    Ok(next)
}

/// Whose word is believed.
fn trust(manifest: &Manifest) -> Option<Arc<Trust>> {
    let peer = |(name, settings): (&Arc<str>, &TrustSettings)| {
        let keys = settings.keys.as_ref().and_then(of_others);
        (name.clone(), Peer { services: settings.services.clone(), keys })
    };
    (!manifest.trust.is_empty()).then(|| Arc::new(Trust::new(manifest.trust.iter().map(peer))))
}

/// What proves to others that it is this host, where anybody is to be shown it.
fn voucher(
    manifest: &Manifest,
    data: &Path,
    before: Option<&Arc<Voucher>>,
) -> Result<Option<Arc<Voucher>>, KeyFileError> {
    let is_wanted = manifest.upstreams.values().any(|settings| settings.proof == Proof::Token);
    match (is_wanted, before) {
        (false, _) => Ok(None),
        (true, Some(before)) => Ok(Some(before.clone())),
        (true, None) => Voucher::open(&manifest.name, data).map(|voucher| Some(Arc::new(voucher))),
    }
}

/// Other hosts of the manifest have the same key.
async fn share(voucher: Option<&Arc<Voucher>>, stores: &Stores, manifest: &Manifest) {
    let store = manifest.host.trust_store.as_ref().and_then(|name| stores.get(name));
    if let (Some(voucher), Some(store)) = (voucher, store) {
        voucher.share(store.clone()).await;
    }
}

/// Databases for all services as they are, and `of` as it will be.
///
/// # Errors
/// A sentence.
pub(super) async fn widened(now: &Current, of: &ServiceSettings) -> Result<Arc<Backends>, String> {
    let others = now.services.values().map(|deployed| &*deployed.settings).filter(|other| other.name != of.name);
    let all: Vec<_> = others.chain([of]).collect();
    let grants: Vec<_> = all.iter().flat_map(|settings| settings.grants.databases()).collect();
    let publishers = publishers(all.into_iter());
    let changed = now.backends.databases.changed(&now.manifest.databases, &grants, &publishers, &|_| {}).await;
    let databases = Arc::new(changed.map_err(|error| chain(&error))?);
    Ok(Arc::new(Backends { databases, ..(*now.backends).clone() }))
}

/// Whose surroundings are others than before, although their own settings may be the same.
pub(super) fn touched(before: &Manifest, manifest: &Manifest, settings: &ServiceSettings) -> bool {
    let is_reissued =
        |auth: &Arc<str>| manifest.issuers.get(auth).is_some_and(|new| before.issuers.get(auth) != Some(new));
    let is_kept_otherwise = |store: &Arc<str>| before.keyvalue.get(store) != manifest.keyvalue.get(store);
    let is_bounded_otherwise = |name: &Arc<str>| before.databases.get(name) != manifest.databases.get(name);
    settings.grants.signs().is_some_and(|sign| is_reissued(&sign.auth))
        || settings.grants.stores().any(|granted| is_kept_otherwise(&granted.get().store))
        || settings.grants.databases().any(|granted| is_bounded_otherwise(&granted.get().database))
}

/// Nothing is carried on any more.
pub(super) async fn leave(backends: &Backends) {
    if let Some(events) = &backends.events {
        events.stop().await;
    }
}

/// Private servers that take longer are killed.
pub(super) async fn stop(backends: &Backends, until: Instant) {
    tokio::join!(backends.databases.stop_by(until), backends.redis.stop_by(until));
}

/// Who leaves events in the databases that they may write.
fn publishers<'a>(services: impl Iterator<Item = &'a ServiceSettings>) -> BTreeSet<Arc<str>> {
    services.filter(|service| !service.grants.publishes().is_empty()).map(|service| service.name.clone()).collect()
}

fn grants(manifest: &Manifest) -> Vec<Granted<DatabaseGrant>> {
    manifest.services.values().flat_map(|service| service.grants.databases()).collect()
}

/// What carries events, not started.
fn events(manifest: &Manifest, stores: &Stores) -> Option<Arc<Events>> {
    let settings = manifest.events.as_ref()?;
    let store = stores.get(&settings.redis)?.clone();
    Some(Arc::new(Events::new(store, &manifest.name, settings.clone())))
}

/// Events are promised to be kept, so the server that carries them writes each one down at once.
fn events_are_embedded(manifest: &Manifest) -> bool {
    let carries = manifest.events.as_ref().and_then(|events| manifest.redis.get(&events.redis));
    carries.is_some_and(|redis| matches!(redis.place, RedisPlace::Embedded))
}

fn warn(databases: &Databases) {
    for warning in databases.warnings() {
        tracing::warn!("{warning}");
    }
}
