//! `[services.NAME]` with a `url`: a service that is no component.

use std::num::{NonZeroU32, NonZeroUsize};

use super::{Check, swap::health_path};
use crate::{
    HealthCheck, PoolSettings, UpstreamLimits, UpstreamSettings, defaults,
    raw::{RawHealth, RawLimits, RawPool, RawService, RawUrl},
};
use document::name::check as name;
use document::source::Key;
use grant::net::{Place, Target, TargetError};

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
const OF_UPSTREAMS: &[&str] = &["pool"];

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
pub(crate) fn upstream(check: &mut Check<'_>, key: &Key<'_>, url: RawUrl, raw: RawService) -> UpstreamSettings {
    check.keep(key, name(key.name()));
    for (path, message) in OF_COMPONENTS {
        let key = path.split('.').fold(key.clone(), |key, name| key.child(name));
        if key.is_written() {
            check.wrong(&key, message);
        }
    }
    UpstreamSettings {
        name: key.name().into(),
        urls: urls(check, &key.child("url"), url),
        limits: limits(check, &key.child("limits"), raw.limits),
        health: raw.health.and_then(|raw| health(check, &key.child("health"), raw)),
        pool: pool(check, &key.child("pool"), raw.pool.unwrap_or_default()),
    }
}

fn urls(check: &mut Check<'_>, key: &Key<'_>, raw: RawUrl) -> Vec<Target> {
    let written = match raw {
        RawUrl::One(text) => vec![(key.clone(), text)],
        RawUrl::More(texts) => texts.into_iter().enumerate().map(|(index, text)| (key.item(index), text)).collect(),
    };
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

fn url_is_right(text: &str) -> Result<Target, String> {
    let wrong = |why: &str| format!("`{text}` {why}; write it like `http://10.0.0.7:4000`");
    let Some((scheme, rest)) = text.split_once("://") else { return Err(wrong("is no URL")) };
    if !matches!(scheme, "http" | "https") {
        return Err(wrong("is neither `http` nor `https`"));
    }
    if rest.trim_end_matches('/').contains(['/', '?', '#']) {
        return Err(wrong("has a path, and requests keep their own"));
    }
    let url: Target = text.parse().map_err(|error: TargetError| wrong(&format!("is no address: {error}")))?;
    match &url.place {
        Place::Name(name) if name.ends_with(".internal") && url.callee().is_some() => {
            Err(wrong("is the name of a service of this host, which has no address"))
        }
        Place::Address(address) if address.is_unspecified() || address.is_multicast() => {
            Err(wrong("is an address that nobody can be asked at"))
        }
        Place::Name(_) | Place::Address(_) => Ok(url),
    }
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
    }
}
