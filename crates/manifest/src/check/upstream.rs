//! `[services.NAME]` with a `url`: a service that is no component.

use std::num::{NonZeroU32, NonZeroUsize};

use super::{
    Check,
    discovery::{Found, Guides, place},
    swap::health_path,
    trust::secured,
    url::url_is_right,
};
use crate::{
    HealthCheck, PoolSettings, UpstreamLimits, UpstreamSettings, Whereabouts, defaults,
    raw::{RawDiscover, RawHealth, RawLimits, RawPool, RawService, RawUrl},
};
use document::name::check as name;
use document::source::Key;
use grant::net::Target;

/// What only a component has, with what to say of it.
const OF_COMPONENTS: &[(&str, &str)] = &[
    ("component", "is a component, and `url` says that it runs elsewhere; remove one of the two"),
    ("build", BUILDS),
    ("version", BUILDS),
    ("wasi", BUILDS),
    ("swap", BUILDS),
    ("env", "is for components; what runs elsewhere is given its variables there"),
    ("permissions", "is for components; the host cannot bound what another process reaches"),
    ("events", "is for components; only they are handed events"),
    ("limits.memory", BOUNDS),
    ("limits.cpu", BOUNDS),
    ("limits.reuse", BOUNDS),
];
const BUILDS: &str = "is for components; what runs elsewhere is built and replaced there";
const BOUNDS: &str = "is for components; the host bounds of another process only time and requests at once";

/// Keys that say how something elsewhere is reached.
const OF_UPSTREAMS: &[&str] = &["pool", "tls", "trust"];

/// Reports what means nothing without a `url`.
pub(super) fn only_with_url(check: &mut Check<'_>, key: &Key<'_>) {
    for name in OF_UPSTREAMS {
        let key = key.child(name);
        if key.is_written() {
            check.wrong(&key, "is for services with a `url`; a component is called without a connection");
        }
    }
    let interval = key.child("health").child("interval");
    if interval.is_written() {
        check.wrong(&interval, "is for services with a `url`; a component is asked when a probe asks");
    }
}

/// A service with a `url`.
pub(crate) fn upstream(
    check: &mut Check<'_>,
    key: &Key<'_>,
    (url, guides): (RawUrl, Guides<'_>),
    raw: RawService,
) -> UpstreamSettings {
    check.keep(key, name(key.name()));
    for (path, message) in OF_COMPONENTS {
        let key = path.split('.').fold(key.clone(), |key, name| key.child(name));
        if key.is_written() {
            check.wrong(&key, message);
        }
    }
    let at = whereabouts(check, &key.child("url"), url, guides);
    let (tls, proof) = secured(check, key, &at, (raw.tls, raw.trust));
    UpstreamSettings {
        name: key.name().into(),
        at,
        tls,
        proof,
        limits: limits(check, &key.child("limits"), raw.limits),
        health: raw.health.and_then(|raw| health(check, &key.child("health"), raw)),
        pool: pool(check, &key.child("pool"), raw.pool.unwrap_or_default()),
    }
}

fn whereabouts(check: &mut Check<'_>, key: &Key<'_>, raw: RawUrl, guides: Guides<'_>) -> Whereabouts {
    let written = match raw {
        RawUrl::One(text) => vec![(key.clone(), text)],
        RawUrl::More(texts) => texts.into_iter().enumerate().map(|(index, text)| (key.item(index), text)).collect(),
        RawUrl::Discover(raw) => return discovered(check, &key.child("discover"), raw, guides),
    };
    Whereabouts::Fixed(urls(check, key, written))
}

/// Nothing comes of one with mistakes, which are reported.
fn discovered(check: &mut Check<'_>, key: &Key<'_>, raw: RawDiscover, guides: Guides<'_>) -> Whereabouts {
    let text = check.required(key, raw.discover, "consul:orders");
    let found = text.and_then(|text| check.keep(key, place(&text)));
    match (found, guides.consul) {
        (Some(Found::Dns(question)), _) => return Whereabouts::Dns { question, by: guides.dns.clone() },
        (Some(Found::Consul(name)), Some(agent)) => return Whereabouts::Consul { name, agent: agent.clone() },
        (Some(Found::Consul(_)), None) if !check.is_written_wrong("discovery") => {
            check.wrong(key, "needs somebody to ask; add `[discovery.consul]` with `url = \"http://127.0.0.1:8500\"`");
        }
        _ => {}
    }
    Whereabouts::Fixed(Vec::new())
}

fn urls(check: &mut Check<'_>, key: &Key<'_>, written: Vec<(Key<'_>, String)>) -> Vec<Target> {
    if !(1..=defaults::URLS_MAX).contains(&written.len()) {
        let (count, max) = (written.len(), defaults::URLS_MAX);
        check.wrong(key, format_args!("has {count} addresses; write 1 to {max}, such as `http://10.0.0.7:4000`"));
    }
    let mut urls: Vec<Target> = Vec::new();
    for (key, text) in written {
        let Some(url) = check.keep(&key, url_is_right(&text)) else { continue };
        match urls.contains(&url) {
            true => check.wrong(&key, format_args!("`{text}` is there twice; remove one")),
            false => urls.push(url),
        }
    }
    urls
}

fn limits(check: &mut Check<'_>, key: &Key<'_>, raw: RawLimits) -> UpstreamLimits {
    let queue = raw.queue.unwrap_or_default();
    let queue_key = key.child("queue");
    let length = check.within(&queue_key.child("length"), queue.length, defaults::QUEUE_LENGTH, &defaults::QUEUES);
    let concurrency =
        check.within(&key.child("concurrency"), raw.concurrency, defaults::CONCURRENCY, &defaults::CONCURRENCIES);
    let concurrency =
        u32::try_from(concurrency).ok().and_then(NonZeroU32::new).expect("the range starts at 1 and fits");
    UpstreamLimits {
        timeout: check.within(&key.child("timeout"), raw.timeout, defaults::SERVICE_TIMEOUT, &defaults::TIMEOUTS).get(),
        concurrency,
        queue_length: u32::try_from(length).expect("the range fits"),
        queue_wait: check.within(&queue_key.child("wait"), queue.wait, defaults::QUEUE_WAIT, &defaults::PAUSES).get(),
    }
}

fn health(check: &mut Check<'_>, key: &Key<'_>, raw: RawHealth) -> Option<HealthCheck> {
    let interval =
        check.within(&key.child("interval"), raw.interval, defaults::HEALTH_INTERVAL, &defaults::HEALTH_INTERVALS);
    let key = key.child("path");
    let path = check.required(&key, raw.path, "/health")?;
    Some(HealthCheck { path: check.keep(&key, health_path(path))?, interval: interval.get() })
}

fn pool(check: &mut Check<'_>, key: &Key<'_>, raw: RawPool) -> PoolSettings {
    let connections = check.within(
        &key.child("connections_max"),
        raw.connections_max,
        defaults::POOL_CONNECTIONS_MAX,
        &defaults::CONCURRENCIES,
    );
    let connections_max = usize::try_from(connections).ok().and_then(NonZeroUsize::new);
    PoolSettings {
        connections_max: connections_max.expect("the range starts at 1 and fits"),
        idle: check.within(&key.child("idle"), raw.idle, defaults::POOL_IDLE, &defaults::IDLES).get(),
        http2: raw.http2.unwrap_or(false),
    }
}
