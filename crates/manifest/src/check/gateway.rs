//! `[gateway]`: addresses, certificates, authorities.

use std::{collections::BTreeSet, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use gateway::authority::Authority;

use super::{
    Check,
    database::{Wrong, text},
    limiting::{gateway_limit, limit_store, trusted_proxies},
    tls::tls,
};
use crate::{
    GatewaySettings, defaults,
    raw::{RawAdminTls, RawGateway, RawListen, RawText},
};
use document::source::Key;

pub(crate) fn gateway(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawGateway,
    redis_names: &BTreeSet<Arc<str>>,
) -> GatewaySettings {
    let mut count = |name, written, default| {
        let count = check.within(&key.child(name), written, default, &defaults::CONNECTIONS);
        NonZeroUsize::new(usize::try_from(count).unwrap_or(usize::MAX)).expect("the range starts at 1")
    };
    let connections_max = count("connections_max", raw.connections_max, defaults::GATEWAY_CONNECTIONS_MAX);
    let requests_max = count("requests_max", raw.requests_max, defaults::GATEWAY_REQUESTS_MAX);
    let body_limit =
        check.bytes(&key.child("body_limit"), raw.body_limit, defaults::GATEWAY_BODY_LIMIT, &defaults::BODY_LIMITS);
    let timeout = check.within(&key.child("timeout"), raw.timeout, defaults::GATEWAY_TIMEOUT, &defaults::TIMEOUTS);
    let keep_alive =
        check.within(&key.child("keep_alive"), raw.keep_alive, defaults::KEEP_ALIVE, &defaults::KEEP_ALIVES);
    GatewaySettings {
        keep_alive: keep_alive.get(),
        auth: raw.auth.map(Into::into),
        listen: listen(check, &key.child("listen"), raw.listen),
        tls: raw.tls.and_then(|raw| {
            let raw = RawAdminTls { cert: raw.cert, key: raw.key, client_ca: raw.client_ca };
            tls(check, &key.child("tls"), raw, true)
        }),
        h2c: raw.h2c.unwrap_or(true),
        hosts: hosts(check, &key.child("hosts"), &raw.hosts),
        limit: gateway_limit(check, &key.child("limit"), raw.limit.as_deref()),
        limit_store: limit_store(check, &key.child("limit_store"), raw.limit_store.as_deref(), redis_names),
        trusted_proxies: trusted_proxies(check, &key.child("trusted_proxies"), &raw.trusted_proxies),
        cors: None, // a table of its own
        expose_version: raw.expose_version.unwrap_or(true),
        body_limit_bytes: body_limit,
        timeout: timeout.get(),
        connections_max,
        requests_max,
    }
}

fn listen(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawListen>) -> Vec<SocketAddr> {
    let default = || vec![(key.clone(), defaults::GATEWAY_LISTEN.to_owned())];
    let written = match raw {
        None => default(),
        Some(RawListen::One(text)) => vec![(key.clone(), text)],
        Some(RawListen::More(texts)) => texts.into_iter().enumerate().map(|(i, text)| (key.item(i), text)).collect(),
        Some(RawListen::From(from)) => match text(check, key, RawText::From(from)) {
            Ok(Some(several)) => several.split(',').map(|one| (key.clone(), one.trim().to_owned())).collect(),
            Ok(None) => default(),
            Err(Wrong) => return Vec::new(),
        },
    };
    if written.is_empty() {
        check.wrong(key, format_args!("is empty; name an address, such as `{}`", defaults::GATEWAY_LISTEN));
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (key, text) in written {
        let Some(address) = check.keep(&key, address(&text)) else { continue };
        match addresses.iter().find(|other| overlap(**other, address)) {
            Some(other) => check.wrong(&key, format_args!("`{address}` is already taken by `{other}`; remove one")),
            None => addresses.push(address),
        }
    }
    addresses
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    Err(match port {
        Some(port) => format!("`{text}` is no address; write an IP address and a port, such as `127.0.0.1:{port}`"),
        None => format!("`{text}` is no address with a port; write it like `127.0.0.1:3000`"),
    })
}

/// Whether only one of two sockets can be bound. Port 0 is another port each time.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let same_ip = a.ip() == b.ip() || same_family && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() != 0 && a.port() == b.port() && same_ip
}

pub(super) fn hosts(check: &mut Check<'_>, key: &Key<'_>, raw: &[String]) -> Vec<String> {
    let mut hosts = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        if let Some(host) = check.keep(&key.item(index), authority(text)) {
            hosts.push(host);
        }
    }
    hosts
}

fn authority(text: &str) -> Result<String, String> {
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        return Err(format!("`{text}` is a URL; write only its host, `{host}`"));
    }
    let example = "write a host such as `shop.example.com` or `shop.example.com:8443`";
    if text.contains('*') {
        return Err(format!("`{text}` has a wildcard, but a gateway knows its own names; {example}"));
    }
    match Authority::parse(text) {
        Ok(authority) => {
            let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
            Ok(format!("{}{port}", authority.host))
        }
        Err(_) => Err(format!("`{text}` is no host; {example}")),
    }
}
