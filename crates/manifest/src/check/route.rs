//! `[[routes]]`: each by itself, then all together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Auths, Check, GatewayAuth,
    cors::route_cors,
    gather::{RawTarget, target},
    limiting::route_limit,
};
use crate::{RouteSettings, ServiceSettings, Target, defaults, raw::RawRoute};
use document::source::Key;
use gateway::route::{Methods, Route};

/// One route; none when it has mistakes. `label` is its place for messages of the running host.
pub(crate) fn route(
    check: &mut Check<'_>,
    key: &Key<'_>,
    label: String,
    raw: RawRoute,
    services: &BTreeSet<Arc<str>>,
    (auths, gateway): (&Auths<'_>, &GatewayAuth),
) -> Option<RouteSettings> {
    let access = auths.of_route(check, key, (raw.public, raw.auth), gateway);
    let path_key = key.child("path");
    let path = check.required(&path_key, raw.path, "/{*rest}").and_then(|path| check.keep(&path_key, path.parse()));
    let host = raw.host.map(|host| check.keep(&key.child("host"), host.parse()));
    let mut methods = raw.methods.and_then(|written| methods(check, &key.child("methods"), &written));
    let target = RawTarget { service: raw.service, gather: raw.gather, fixed: raw.fixed };
    let target = self::target(check, key, target, path.as_ref(), &mut methods, services);
    let limit = route_limit(check, &key.child("limit"), raw.limit.as_deref());
    let cors = route_cors(check, &key.child("cors"), raw.cors);
    let timeout = raw.timeout.map(|time| {
        check.within(&key.child("timeout"), Some(time), defaults::GATEWAY_TIMEOUT, &defaults::TIMEOUTS).get()
    });
    let body_limit = raw.body_limit.map(|size| {
        check.bytes(&key.child("body_limit"), Some(size), defaults::GATEWAY_BODY_LIMIT, &defaults::BODY_LIMITS)
    });
    let is_stream = raw.stream.unwrap_or(false);
    let idle_key = key.child("idle");
    if raw.idle.is_some() && !is_stream {
        check.wrong(&idle_key, "is for streams only; add `stream = true`, or remove it");
    }
    let idle = check.within(&idle_key, raw.idle, defaults::STREAM_IDLE, &defaults::STREAM_IDLES).get();
    if is_stream && matches!(target, Some(Target::Gather(_) | Target::Static(_))) {
        check.wrong(&key.child("stream"), "is for the answers of one service; remove it, or name a `service`");
    }
    let route = Route {
        host: match host {
            None => None,
            Some(host) => Some(host?),
        },
        path: path?,
        methods: methods.unwrap_or(Methods::Any),
        timeout,
        body_limit_bytes: body_limit,
        stream: is_stream.then_some(idle),
    };
    Some(RouteSettings { route, target: target?, access, limit, cors, key: label })
}

/// Each word by itself first, so that every wrong one is reported.
fn methods(check: &mut Check<'_>, key: &Key<'_>, written: &[String]) -> Option<Methods> {
    let words = || written.iter().map(String::as_str);
    let single = words().enumerate().map(|(index, word)| check.keep(&key.item(index), Methods::parse([word])));
    if single.filter(Option::is_none).count() > 0 {
        return None;
    }
    check.keep(key, Methods::parse(words()))
}

/// Reports routes of which one can never match, or both are the same.
pub(crate) fn conflicts(check: &mut Check<'_>, routes: &[(Key<'_>, RouteSettings)]) {
    for conflict in gateway::router::conflicts(routes.iter().map(|(_, settings)| &settings.route)) {
        let (first, second) = (&routes[conflict.first].0, &routes[conflict.second].0);
        check.wrong(
            second,
            format_args!(
                "takes the same requests as `{}` at {}: {}; remove one, or give them different `methods`",
                first.path(),
                first.position(),
                routes[conflict.first].1.route
            ),
        );
    }
}

/// Warns of services that no route leads to.
pub(crate) fn unused(
    check: &mut Check<'_>,
    keys: &[Key<'_>],
    services: &BTreeMap<Arc<str>, ServiceSettings>,
    routes: &[(Key<'_>, RouteSettings)],
) {
    let routed = routes.iter().flat_map(|(_, route)| route.target.services());
    let called = services.values().flat_map(|service| service.grants.callees());
    let used: BTreeSet<&str> = routed.chain(called).map(AsRef::as_ref).collect();
    for key in keys.iter().filter(|key| !used.contains(key.name())) {
        check.warn(key, format_args!("no route leads to `{}` and no service calls it; add a route", key.name()));
    }
}
