//! `[[routes]]`: each by itself, then all together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gateway::route::{Methods, Route};
use http::Method;

use super::Check;
use crate::manifest::{RouteSettings, ServiceSettings, defaults, raw::RawRoute, source::Key, structure::nearest};

/// One route; none when it has mistakes. `label` is its place for messages of the running host.
pub(in crate::manifest) fn route(
    check: &mut Check<'_>,
    key: &Key<'_>,
    label: String,
    raw: RawRoute,
    services: &BTreeSet<Arc<str>>,
) -> Option<RouteSettings> {
    if raw.public != Some(true) && (raw.public.is_some() || !key.child("public").is_written()) {
        let message = "authentication is not yet supported, so anybody could call this route; say so with `public = true`";
        check.wrong(&key.child("public"), message);
    }
    let path_key = key.child("path");
    let path = check.required(&path_key, raw.path, "/{*rest}").and_then(|path| check.keep(&path_key, path.parse()));
    let host = raw.host.map(|host| check.keep(&key.child("host"), host.parse()));
    let methods = raw.methods.and_then(|written| methods(check, &key.child("methods"), &written));
    let service = service(check, &key.child("service"), raw.service, services);
    let timeout = raw.timeout.map(|time| {
        check.within(&key.child("timeout"), Some(time), defaults::GATEWAY_TIMEOUT, &defaults::TIMEOUTS).get()
    });
    let body_limit = raw.body_limit.map(|size| {
        check.bytes(&key.child("body_limit"), Some(size), defaults::GATEWAY_BODY_LIMIT, &defaults::BODY_LIMITS)
    });
    let route = Route {
        host: match host {
            None => None,
            Some(host) => Some(host?),
        },
        path: path?,
        methods: methods.unwrap_or(Methods::Any),
        timeout,
        body_limit_bytes: body_limit,
    };
    Some(RouteSettings { route, service: service?, key: label })
}

fn service(check: &mut Check<'_>, key: &Key<'_>, raw: Option<String>, services: &BTreeSet<Arc<str>>) -> Option<Arc<str>> {
    let name = check.required(key, raw, "NAME")?;
    if let Some(service) = services.get(name.as_str()) {
        return Some(service.clone());
    }
    match nearest(&name, services.iter().map(AsRef::as_ref)) {
        Some(meant) => check.wrong(key, format_args!("there is no service `{name}`; did you mean `{meant}`?")),
        None => check.wrong(key, format_args!("there is no service `{name}`; add `[services.{name}]`")),
    }
    None
}

fn methods(check: &mut Check<'_>, key: &Key<'_>, raw: &[String]) -> Option<Methods> {
    if raw.is_empty() {
        check.wrong(key, "is empty, so the route could never match; remove it for every method");
        return None;
    }
    let mut methods = Vec::new();
    for (index, text) in raw.iter().enumerate() {
        let Some(method) = check.keep(&key.item(index), method(text)) else { continue };
        if methods.contains(&method) {
            check.wrong(&key.item(index), format_args!("`{method}` is there twice; remove one"));
        } else {
            methods.push(method);
        }
    }
    Some(Methods::Only(methods))
}

fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    match upper.parse::<Method>() {
        Ok(Method::CONNECT | Method::TRACE) => Err(format!("the gateway refuses every `{upper}` request; remove it")),
        Ok(method) if upper == text => Ok(method),
        Ok(_) => Err(format!("methods are upper case; write `{upper}`")),
        Err(_) => Err(format!("`{text}` is no method; write one such as `GET`")),
    }
}

/// Reports routes of which one can never match, or both are the same.
pub(in crate::manifest) fn conflicts(check: &mut Check<'_>, routes: &[(Key<'_>, RouteSettings)]) {
    let all: Vec<Route> = routes.iter().map(|(_, settings)| settings.route.clone()).collect();
    for conflict in gateway::router::conflicts(&all) {
        let (first, second) = (&routes[conflict.first].0, &routes[conflict.second].0);
        check.wrong(second, format_args!("{conflict}; the other is `{}` at {}", first.path(), first.position()));
    }
}

/// Warns of what is right and does nothing, or cannot do what it says.
pub(in crate::manifest) fn unused(
    check: &mut Check<'_>,
    root: &Key<'_>,
    services: &BTreeMap<Arc<str>, ServiceSettings>,
    routes: &[(Key<'_>, RouteSettings)],
) {
    let routed: BTreeSet<&Arc<str>> = routes.iter().map(|(_, route)| &route.service).collect();
    for name in services.keys().filter(|name| !routed.contains(name)) {
        let key = root.child("services").child(name);
        check.warn(&key, format_args!("no route leads to `{name}`, so nothing can call it; add one"));
    }
}
