//! Which checks a service's health is made of: what it was granted, and a path of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gateway::{body, context::RequestContext, dispatch::Dispatch};
use http::Request;

use crate::{
    deploy::{Deployed, Elsewhere, Remotes, Services},
    health::{Cached, Checked, Found, ServiceHealth},
};
use backend::{Backends, keyvalue::KeyValues, outbox::Outbox, postgres::Databases, redis::Store, upstream::Health};
use manifest::Manifest;

pub(super) fn of(manifest: &Manifest, (services, remotes): (&Services, &Remotes), backends: &Backends) -> Checked {
    let mut each = each(manifest, (services, remotes), backends);
    each.extend(remotes.iter().map(|(name, of)| (name.clone(), elsewhere(of))));
    Checked { services: each, own: own(manifest, backends) }
}

/// A check for each database and each key-value store, shared by the services that were granted it.
fn each(
    manifest: &Manifest,
    (services, remotes): (&Services, &Remotes),
    backends: &Backends,
) -> BTreeMap<Arc<str>, ServiceHealth> {
    let (databases, stores) = (&backends.databases, &backends.keyvalue);
    let shared: BTreeMap<Arc<str>, Arc<Cached>> = manifest
        .databases
        .iter()
        .map(|(name, settings)| (name.clone(), Arc::new(database(name.clone(), settings.optional, databases.clone()))))
        .collect();
    let kept: BTreeMap<Arc<str>, Arc<Cached>> = manifest
        .keyvalue
        .iter()
        .map(|(name, settings)| (name.clone(), Arc::new(keyvalue(name.clone(), settings.optional, stores.clone()))))
        .collect();
    let outboxes = databases.outboxes().map(|outbox| (Arc::from(outbox.database()), Arc::new(self::outbox(outbox))));
    let boxes: BTreeMap<Arc<str>, Arc<Cached>> = outboxes.collect();
    let carrier = manifest.events.as_ref().and_then(|events| backends.redis.get(&events.redis));
    let carrier = carrier.map(|store| ("events".to_owned(), Arc::new(redis(store.clone()))));
    let health = |deployed: &Arc<Deployed>| {
        let granted = deployed.settings.grants.databases();
        let mut checks: Vec<_> = granted
            .filter_map(|grant| {
                let name = &grant.get().database;
                Some((format!("postgres.{name}"), shared.get(name)?.clone()))
            })
            .collect();
        checks.extend(deployed.settings.grants.stores().filter_map(|grant| {
            let name = &grant.get().store;
            Some((format!("keyvalue.{name}"), kept.get(name)?.clone()))
        }));
        let grants = &deployed.settings.grants;
        if !grants.publishes().is_empty() || grants.subscription().is_some() {
            checks.extend(carrier.clone());
        }
        if !grants.publishes().is_empty() {
            checks.extend(grants.databases().filter_map(|grant| {
                let name = &grant.get().database;
                Some((format!("outbox.{name}"), boxes.get(name)?.clone()))
            }));
        }
        let callees = grants.callees();
        checks.extend(callees.map(|name| (format!("call.{name}"), Arc::new(callee(name, services, remotes)))));
        if let Some(path) = &deployed.settings.health_path {
            checks.push(("self".to_owned(), Arc::new(own_path(path.clone(), deployed))));
        }
        let service = deployed.service.clone();
        let version = Box::new(move || service.version().label.to_str().unwrap_or_default().to_owned());
        ServiceHealth { version, checks }
    };
    services.iter().map(|(name, deployed)| (name.clone(), health(deployed))).collect()
}

/// What the gateway itself depends on. Without its Redis limits are counted in memory, so that it
/// is degraded at most.
fn own(manifest: &Manifest, backends: &Backends) -> Vec<(String, Arc<Cached>)> {
    let store = manifest.gateway.limit_store.as_deref().and_then(|name| backends.redis.get(name));
    store.map(|store| (format!("redis.{}", store.name()), Arc::new(redis(store.clone())))).into_iter().collect()
}

/// Degraded at most: limits are counted in memory meanwhile, and events wait.
fn redis(store: Arc<Store>) -> Cached {
    Cached::new(true, move || {
        let store = store.clone();
        Box::pin(async move { store.check().await.map_err(|error| error.to_string()) })
    })
}

/// Degraded at most: events wait.
fn outbox(outbox: &Arc<Outbox>) -> Cached {
    let outbox = outbox.clone();
    Cached::new(true, move || {
        let told = match outbox.is_held() {
            true => Err("events wait, and another session keeps the turn to carry them on".to_owned()),
            false => Ok(()),
        };
        Box::pin(std::future::ready(told))
    })
}

/// What health says of a database whose connections, or of a Redis whose places, do not suffice.
const CROWDED: &str = "a service waited in vain for its turn within the last 5 s";

fn database(name: Arc<str>, optional: bool, databases: Arc<Databases>) -> Cached {
    Cached::finding(optional, move || {
        let (name, databases) = (name.clone(), databases.clone());
        Box::pin(async move {
            databases.check(&name).await.map_err(|error| error.to_string())?;
            Ok(if databases.is_crowded(&name) { Found::Full(CROWDED) } else { Found::Well })
        })
    })
}

fn keyvalue(name: Arc<str>, optional: bool, stores: Arc<KeyValues>) -> Cached {
    Cached::finding(optional, move || {
        let (name, stores) = (name.clone(), stores.clone());
        Box::pin(async move {
            stores.check(&name).await.map_err(|error| error.to_string())?;
            Ok(match () {
                () if stores.is_full(&name) => Found::Full("it holds as much as it may"),
                () if stores.is_crowded(&name) => Found::Full(CROWDED),
                () => Found::Well,
            })
        })
    })
}

/// A called service's own state, not that of what it depends on: does it run, does it take
/// requests.
fn callee(name: &Arc<str>, services: &Services, remotes: &Remotes) -> Cached {
    if let Some(elsewhere) = remotes.get(name) {
        return self::remote(elsewhere);
    }
    let service = services.get(name).map(|deployed| deployed.service.clone());
    Cached::new(false, move || {
        let told = match &service {
            Some(service) if service.is_resting() => Err("most of its requests failed".to_owned()),
            Some(_) => Ok(()),
            None => Err("it does not run".to_owned()),
        };
        Box::pin(std::future::ready(told))
    })
}

/// A service elsewhere: it has no build of ours and depends on nothing that we know.
fn elsewhere(of: &Elsewhere) -> ServiceHealth {
    let version = Box::new(|| "elsewhere".to_owned());
    ServiceHealth { version, checks: vec![("self".to_owned(), Arc::new(remote(of)))] }
}

/// Does it take requests, and is one of its addresses well.
fn remote(of: &Elsewhere) -> Cached {
    let remote = of.remote.clone();
    Cached::new(false, move || {
        let told = match remote.upstream.report().iter().map(|of| of.health).min() {
            _ if remote.is_resting() => Err("most of its requests failed".to_owned()),
            Some(Health::Well) => Ok(()),
            Some(Health::Aside | Health::Down) => Err("none of its addresses is well".to_owned()),
            None => Err("it has no address".to_owned()),
        };
        Box::pin(std::future::ready(told))
    })
}

/// What a check of a component's own path may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// `services.NAME.health.path`: anything but an answer below 400 is unhealthy.
fn own_path(path: String, deployed: &Deployed) -> Cached {
    let service = deployed.service.clone();
    Cached::new(false, move || {
        let (service, path) = (service.clone(), path.clone());
        Box::pin(async move {
            let request = Request::get(&*path).header(http::header::HOST, "health.internal").body(body::empty());
            let request = request.map_err(|error| error.to_string())?;
            let answer = service.dispatch(Arc::new(RequestContext::own("health-check", TIMEOUT)), request).await;
            let status = answer.map_err(|error| error.to_string())?.status();
            match status.as_u16() {
                ..400 => Ok(()),
                status => Err(format!("`{path}` answered {status}")),
            }
        })
    })
}
