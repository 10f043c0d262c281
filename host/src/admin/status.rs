//! What runs now, as `GET /v1/status` and `GET /v1/services/{name}` tell it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    component::{Accepted, History},
    deploy::{self, Deployed, Elsewhere},
    service::{ArmCounts, Ramp},
    system::{Certificate, System},
};
use backend::{keyvalue::Usage, postgres::PoolCounts, upstream::AddressReport};
use grant::{Ceiling, Grants};
use manifest::ServiceSettings;

pub(super) fn host(system: &System, uptime: Duration) -> Value {
    let (now, memory) = (system.current(), system.loader().guest_memory());
    json!({
        "name": now.manifest.name,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": uptime.as_secs(),
        "manifest": *now.applied,
        "guestMemory": { "bytes": memory.used_bytes(), "maxBytes": memory.max_bytes() },
        "ceiling": now.services.values().find_map(|deployed| deployed.settings.grants.ceiling().map(Ceiling::file)),
        "certificates": system.certificates().iter().map(certificate).collect::<Vec<_>>(),
        "services": now.services.values().map(|deployed| service(system, deployed)).collect::<Vec<_>>(),
        "pools": now.backends.databases.pool_counts().map(pool).collect::<Vec<_>>(),
        "stores": now.backends.keyvalue.usage().map(store).collect::<Vec<_>>(),
        "elsewhere": now.remotes.values().map(|of| elsewhere(of)).collect::<Vec<_>>(),
    })
}

/// The connections of a database.
fn pool((database, pool): (&Arc<str>, PoolCounts)) -> Value {
    json!({
        "database": &**database,
        "max": pool.max,
        "lent": pool.lent,
        "idle": pool.idle,
        "refused": pool.timeouts,
        "full": pool.crowded,
    })
}

/// A key-value store with a bound of its own.
fn store((name, usage): (&Arc<str>, Usage)) -> Value {
    json!({ "store": &**name, "bytes": usage.held, "maxBytes": usage.max, "full": usage.full })
}

fn certificate(of: &Certificate) -> Value {
    json!({ "owner": &*of.owner, "file": of.file, "notAfter": of.end() })
}

pub(super) fn service(system: &System, deployed: &Deployed) -> Value {
    let version = deployed.service.version();
    let history = system.loader().histories.of(&deployed.settings.name);
    let grants = &deployed.settings.grants;
    let accepted: Vec<Value> =
        history.accepted.iter().map(|accepted| self::accepted(accepted, &deployed.settings)).collect();
    let counts = deployed.service.traffic().counts();
    let source = if history.live() == history.file { "manifest" } else { "swap" };
    json!({
        "name": &*deployed.settings.name,
        "version": version.label.to_str().unwrap_or_default(),
        "digest": version.component.digest,
        "source": source,
        "file": history.file,
        "since": last(&history).map(|index| &history.entries[index].at),
        "compiler": version.component.compiler,
        "component": component(&deployed.settings),
        "doors": version.component.doors().words(),
        "permissions": grants.words(),
        "importedNotGranted": version.component.ungranted(grants, !deployed.settings.env.is_empty()),
        "cut": grants.cut(),
        "unused": unused(grants),
        "unrestricted": grants.is_unrestricted(),
        "requests": counts.requests,
        "errors": counts.errors,
        "inFlight": deployed.service.in_flight(),
        "latencyMs": { "p50": micros(counts.p50), "p99": micros(counts.p99) },
        "idleInstances": deployed.service.idle_instances(),
        "memoryBytes": deployed.service.counts().memory_bytes(),
        "memoryLimitBytes": deployed.settings.limits.memory_bytes,
        "accepted": accepted,
        "swap": deployed.pending(),
        "ramp": deployed.service.ramp().map(|ramp| self::ramp(&ramp)),
        "rollback": history.previous().map(|digest| format!("{}+{}", deployed.settings.version, digest.short())),
    })
}

/// Its file, or where that was fetched from.
fn component(settings: &ServiceSettings) -> Value {
    settings.remote.as_ref().map_or_else(|| json!(settings.component), |remote| json!(remote.to_string()))
}

/// A service that is no component.
pub(super) fn elsewhere(of: &Elsewhere) -> Value {
    let (remote, counts) = (&of.remote, of.remote.traffic().counts());
    let address = |of: AddressReport| {
        json!({
            "address": of.address,
            "health": of.health.as_str(),
            "inFlight": of.in_flight,
            "connections": of.connections,
        })
    };
    json!({
        "name": &*of.settings.name,
        "url": of.settings.places(),
        "addresses": remote.upstream.report().into_iter().map(address).collect::<Vec<_>>(),
        "requests": counts.requests,
        "errors": counts.errors,
        "retries": remote.upstream.retries(),
        "inFlight": remote.in_flight(),
        "latencyMs": { "p50": micros(counts.p50), "p99": micros(counts.p99) },
    })
}

/// In milliseconds.
fn micros(latency: Option<Duration>) -> Option<f64> {
    latency.map(|latency| latency.as_micros() as f64 / 1000.0)
}

/// Grants that no decision was made by since the manifest that says them was read.
fn unused(grants: &Grants) -> Value {
    let (words, since) = grants.unused();
    let since = jiff::Timestamp::try_from(since).map(|since| format!("{since:.3}")).unwrap_or_default();
    json!({ "grants": words, "since": since })
}

/// With a mark where the ceiling holds it back.
fn accepted(accepted: &Accepted, settings: &ServiceSettings) -> Value {
    let mut told = json!(accepted);
    if deploy::lacks(settings, &accepted.line) {
        told["beyondCeiling"] = true.into();
    }
    told
}

/// A build on its way: its share now, and how both do over the window.
pub(super) fn ramp(ramp: &Ramp) -> Value {
    let millis = |latency: Duration| latency.as_micros() as f64 / 1000.0;
    let arm = |counts: ArmCounts| json!({ "requests": counts.requests, "errors": counts.errors, "meanMs": counts.mean().map(millis) });
    let (old, new) = ramp.counts();
    json!({ "version": ramp.version.text(), "percent": ramp.percent(), "led": ramp.lead.is_some(), "new": arm(new), "old": arm(old) })
}

/// The entry by which the live build went live.
fn last(history: &History) -> Option<usize> {
    let live = history.live();
    history.entries.iter().rposition(|entry| Some(entry.digest) == live && entry.outcome.is_live())
}

/// Newest first.
pub(super) fn versions(history: &History) -> Value {
    let last = last(history);
    let entry = |(index, entry)| {
        let mut entry = json!(entry);
        entry["live"] = (Some(index) == last).into();
        entry
    };
    history.entries.iter().enumerate().map(entry).rev().collect()
}
