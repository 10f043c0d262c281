//! Which headers pass, in which direction, and which the gateway sets.
//!
//! Hop-by-hop fields (RFC 9110 7.6.1) pass in neither direction, and neither does whatever says
//! who someone is or where a request came from, unless the gateway itself says it. Values are
//! only ever built from validated parts, never formatted from a client's text.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CONNECTION, CONTENT_LENGTH, HOST, TE},
    request::Parts,
};

use crate::{
    client::AddressText,
    context::{RequestContext, TRACEPARENT, TRACESTATE, TraceContext, X_REQUEST_ID, X_TRACE_ID},
    dispatch::AnsweredBy,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_SERVICE: HeaderName = HeaderName::from_static("x-service");
pub(crate) const X_SOURCE_SERVICE: HeaderName = HeaderName::from_static("x-source-service");
pub(crate) const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
pub(crate) const X_USER_ROLES: HeaderName = HeaderName::from_static("x-user-roles");
const X_SERVICE_VERSION: HeaderName = HeaderName::from_static("x-service-version");

/// What a host of ours says to another one: its proof, the services that a request has passed through, and what is
/// left of its time, in milliseconds.
pub(crate) const X_ARCHIPEL_TOKEN: HeaderName = HeaderName::from_static("x-archipel-token");
pub(crate) const X_ARCHIPEL_HOPS: HeaderName = HeaderName::from_static("x-archipel-hops");
pub(crate) const X_ARCHIPEL_TIMEOUT: HeaderName = HeaderName::from_static("x-archipel-timeout");

/// Fields that belong to one connection, besides those that `Connection` names and `Proxy-*`.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// What a `Connection` header cannot remove: without these a request would mean something else
/// to the service than to the gateway, or to whoever checks who is asking.
const PROTECTED: [HeaderName; 14] = [
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::SET_COOKIE,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("idempotency-key"),
    TRACEPARENT,
    TRACESTATE,
    X_REQUEST_ID,
    X_TRACE_ID,
];

/// Fields that [`forward`] adds at most.
const FORWARDED_MAX: usize = 10;

/// Makes a client's head into what its service receives.
pub(crate) fn forward(head: &mut Parts, cx: &RequestContext) {
    clean_request(&mut head.headers);
    head.headers.reserve(FORWARDED_MAX); // grows once rather than twice
    if !head.headers.contains_key(HOST)
        && let Some(host) = head.uri.authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok())
    {
        head.headers.insert(HOST, host);
    }
    let headers = &mut head.headers;
    if let Some(host) = cx.forwarded_host.as_ref().or(headers.get(HOST)).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if cx.https { "https" } else { "http" }));
    let client = AddressText::of(cx.client);
    headers.insert(X_FORWARDED_FOR, HeaderValue::from_str(client.as_str()).expect("an address is visible ASCII"));
    if let Some(identity) = &cx.identity {
        headers.remove(header::AUTHORIZATION); // what it proved is said below
        headers.insert(X_USER_ID, identity.subject.clone());
        identity.roles.clone().map(|roles| headers.insert(X_USER_ROLES, roles));
    }
    if let Some(source) = cx.source_service.as_ref().and_then(|source| HeaderValue::from_str(source).ok()) {
        headers.insert(X_SOURCE_SERVICE, source);
    }
    headers.insert(X_REQUEST_ID, cx.request_id.clone());
    traced(headers, &cx.trace);
}

/// Makes a service's head into what the service it calls receives: `source` is who calls.
pub(crate) fn call(head: &mut Parts, cx: &RequestContext, host: &HeaderValue, source: HeaderValue) {
    clean_request(&mut head.headers);
    let headers = &mut head.headers;
    headers.insert(HOST, host.clone());
    headers.insert(X_SOURCE_SERVICE, source);
    if let Some(identity) = &cx.identity {
        headers.insert(X_USER_ID, identity.subject.clone());
        identity.roles.clone().map(|roles| headers.insert(X_USER_ROLES, roles));
    }
    headers.insert(X_REQUEST_ID, cx.request_id.clone());
    traced(headers, &cx.trace);
}

/// Makes a service's headers into what may leave the host: nothing that says who someone is, and
/// the trace of `trace`. An `Authorization` of its own passes.
pub fn outbound(headers: &mut HeaderMap, trace: &TraceContext) {
    clean_request(headers);
    traced(headers, trace);
}

/// Makes a head that was cleaned already, by [`forward`] or [`call`], into what a service elsewhere
/// receives: it is asked by its own name, and is not waited for before the body is sent.
pub fn elsewhere(headers: &mut HeaderMap, host: HeaderValue) {
    headers.insert(HOST, host);
    headers.remove(header::EXPECT);
}

/// Says to another host of ours what it would know of a call within this one; `token` proves it where no
/// certificate does.
pub fn vouched(headers: &mut HeaderMap, hops: u8, left: std::time::Duration, token: Option<HeaderValue>) {
    headers.insert(X_ARCHIPEL_HOPS, u16::from(hops).into());
    headers.insert(X_ARCHIPEL_TIMEOUT, u64::try_from(left.as_millis()).unwrap_or(u64::MAX).into());
    token.map(|token| headers.insert(X_ARCHIPEL_TOKEN, token));
}

fn traced(headers: &mut HeaderMap, trace: &TraceContext) {
    headers.insert(TRACEPARENT, trace.traceparent());
    match &trace.tracestate {
        Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
        None => drop(headers.remove(TRACESTATE)),
    }
}

/// Removes from trailers what neither a request nor an answer may say of itself.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    clean_request(trailers);
}

/// Removes what a client may not say: hop-by-hop fields, identity, where it comes from.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    strip(headers, |name| is_identity(name) || is_origin(name) || name == X_TRACE_ID.as_str());
}

/// Removes what a service may not say in its answer: hop-by-hop fields, identity, our own marks.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    let ours = [X_SERVICE, X_SERVICE_VERSION, X_TRACE_ID, X_REQUEST_ID];
    strip(headers, |name| is_identity(name) || ours.iter().any(|ours| ours == name));
    headers.remove(TE); // it asks a server for something
}

/// Removes the hop-by-hop fields, as every hop must in both directions.
///
/// `TE: trailers` stays, alone. What `Connection` names goes too, except the fields without which
/// a message would mean something else.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip(headers, |_name| false);
}

/// Sets what every answer carries, and which component gave it.
pub(crate) fn mark(headers: &mut HeaderMap, cx: &RequestContext, answered_by: Option<AnsweredBy>) {
    mark_refusal(headers, &cx.trace, cx.request_id.clone());
    let Some(AnsweredBy { service, version }) = answered_by else {
        return;
    };
    if let Ok(service) = HeaderValue::from_str(&service) {
        headers.insert(X_SERVICE, service);
        version.map(|version| headers.insert(X_SERVICE_VERSION, version));
    }
}

/// Sets what even the answer to something that never became a request carries.
pub(crate) fn mark_refusal(headers: &mut HeaderMap, trace: &TraceContext, request_id: HeaderValue) {
    let trace_id = HeaderValue::from_bytes(&trace.trace_id_hex()).expect("hexadecimal digits");
    headers.insert(X_TRACE_ID, trace_id);
    headers.insert(X_REQUEST_ID, request_id);
}

/// The one valid `Content-Length`, if there is any.
///
/// # Errors
/// A sentence for the log when it is repeated or no number.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err("`Content-Length` is repeated"),
        (Some(value), None) => {
            let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|text| text.parse().ok()).map(Some).ok_or("`Content-Length` is no number")
        }
    }
}

fn strip(headers: &mut HeaderMap, also: impl Fn(&str) -> bool) {
    if headers.contains_key(CONNECTION) {
        strip_named_by_connection(headers);
    }
    let keeps_te = headers.get_all(TE).iter().any(|value| tokens(value).any(|token| token == "trailers"));
    let is_dropped = |name: &&HeaderName| {
        let name = name.as_str();
        HOP_BY_HOP.contains(&name) || name.starts_with("proxy-") || also(name)
    };
    // Almost always empty, and an empty vector is no allocation.
    let dropped: Vec<HeaderName> = headers.keys().filter(is_dropped).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
    if keeps_te {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

fn strip_named_by_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        headers.get_all(CONNECTION).iter().flat_map(tokens).filter_map(|token| token.parse().ok()).collect();
    for name in named {
        // `TE` is decided on its own; `Connection` always names it.
        if name != TE && !PROTECTED.contains(&name) && !is_identity(name.as_str()) {
            headers.remove(name);
        }
    }
}

/// The parts of a list; a value that is not ASCII has none.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

fn is_identity(name: &str) -> bool {
    name.starts_with("x-user-") || name == "x-source-service" || name.starts_with("x-archipel-")
}

/// What a trusted proxy said is in the context by now; nobody but the gateway tells a service.
fn is_origin(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
}

#[cfg(test)]
mod tests;
