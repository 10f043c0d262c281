//! Rate limits and trusted proxies: `gateway.limit`, `.limit_store`, `.trusted_proxies` and
//! `routes[].limit`.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use gateway::limit::Rate;
use ipnet::IpNet;

use super::Check;
use crate::defaults;
use document::source::Key;
use document::structure::nearest;

/// The gateway's own limit, which alone can be switched off.
pub(super) fn gateway_limit(check: &mut Check<'_>, key: &Key<'_>, raw: Option<&str>) -> Option<Rate> {
    match raw.unwrap_or(defaults::GATEWAY_LIMIT) {
        "off" => None,
        text => check.keep(key, text.parse::<Rate>().map_err(|error| format!("{error}, or `off`"))),
    }
}

pub(super) fn route_limit(check: &mut Check<'_>, key: &Key<'_>, raw: Option<&str>) -> Option<Rate> {
    check.keep(key, raw?.parse::<Rate>())
}

/// `redis.NAME` gives the name.
pub(super) fn limit_store(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: Option<&str>,
    redis_names: &BTreeSet<Arc<str>>,
) -> Option<Arc<str>> {
    redis_store(check, key, (raw?, "limits"), redis_names)
}

/// The same for a store of something else.
pub(super) fn redis_store(
    check: &mut Check<'_>,
    key: &Key<'_>,
    (text, of): (&str, &str),
    redis_names: &BTreeSet<Arc<str>>,
) -> Option<Arc<str>> {
    let Some(name) = text.strip_prefix("redis.") else {
        check.wrong(key, format_args!("`{text}` is no store of {of}; write `redis.NAME`, or remove it"));
        return None;
    };
    let found = redis_names.get(name).cloned();
    if found.is_none() && check.whole {
        match nearest(name, redis_names.iter().map(AsRef::as_ref)) {
            Some(meant) => check.wrong(key, format_args!("there is no `[redis.{name}]`; did you mean `{meant}`?")),
            None => check.wrong(key, format_args!("there is no `[redis.{name}]`; add it, or remove this line")),
        }
    }
    found
}

pub(super) fn trusted_proxies(check: &mut Check<'_>, key: &Key<'_>, raw: &[String]) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let key = key.item(index);
        let Some(network) = check.keep(&key, network(text)) else { continue };
        if network.prefix_len() == 0 {
            check.warn(&key, "trusts everybody, so that any client can say where it comes from; name your proxies");
        }
        networks.push(network);
    }
    networks
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    match network.map(|network| network.trunc()) {
        None => Err(format!("`{text}` is no network; write it like `10.0.0.0/8` or `::1`")),
        Some(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
            Err(format!("`{text}` is an IPv4 network in the words of IPv6; write it like `10.0.0.0/8`"))
        }
        Some(network) => Ok(network),
    }
}
