//! The access log: one event for each request, when its last byte is gone or its client is.
//!
//! Decides the names of the fields, and that probes are no news. Without a reader of the target
//! `access` nothing is logged; what a client sent is cut to a bounded length when it is written.
//! The same record is the gateway's span (`access/span`).

mod span;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{HOST, USER_AGENT},
    request::Parts,
    uri::PathAndQuery,
};
use tracing::Level;

use crate::{
    body::Fault,
    client::AddressText,
    context::{RequestContext, TraceContext, span_id_hex},
};

/// What nginx logs for a client that left before its answer; there is no standard for it.
const CLIENT_GONE: u16 = 499;

/// Bytes of what a client says of itself that are written.
const TEXT_BYTES_MAX: usize = 256;

/// One request as the log will tell it, once it has ended.
pub(crate) struct Record {
    asked: Asked,
    /// The gateway's own span, and the caller's.
    span_id: u64,
    caller: Option<u64>,
    cx: Arc<RequestContext>,
    /// The route's label and path, for a request that found one.
    route: Option<(Arc<str>, Arc<str>)>,
    is_probe: bool,
    /// Knows how much of the request's body came.
    body: Fault,
    /// In another protocol, behind the request.
    bytes_carried: u64,
    bytes_out: u64,
    status: Option<StatusCode>,
    complete: bool,
}

/// A route's label and path.
pub(crate) type RouteNames = (Arc<str>, Arc<str>);

/// What must be kept of a request's head before it is forwarded, if anyone reads of it.
pub(crate) struct Asked {
    is_logged: bool,
    method: Method,
    target: Option<PathAndQuery>,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl Asked {
    /// `is_recorded`: there will be a span of it.
    pub(crate) fn of(head: &Parts, is_recorded: bool) -> Option<Self> {
        let is_logged = tracing::enabled!(target: "access", Level::INFO);
        (is_logged || is_recorded).then(|| {
            let authority = || HeaderValue::from_str(head.uri.authority()?.as_str()).ok();
            Self {
                is_logged,
                method: head.method.clone(),
                target: head.uri.path_and_query().cloned(),
                version: head.version,
                host: head.headers.get(HOST).cloned().or_else(authority),
                user_agent: head.headers.get(USER_AGENT).cloned(),
            }
        })
    }
}

impl Record {
    /// `own` is the gateway's own place in the trace.
    /// `route` is the route's label and path, for a request that found one.
    pub(crate) fn new(
        asked: Asked,
        own: &TraceContext,
        cx: Arc<RequestContext>,
        (route, is_probe): (Option<RouteNames>, bool),
    ) -> Self {
        Self {
            asked,
            span_id: own.span_id,
            caller: own.parent_id,
            cx,
            route,
            is_probe,
            body: Fault::default(),
            bytes_carried: 0,
            bytes_out: 0,
            status: None,
            complete: false,
        }
    }

    pub(crate) fn reads(&mut self, body: Fault) {
        self.body = body;
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    pub(crate) fn carried(&mut self, from: u64, to: u64) {
        self.bytes_carried += from;
        self.bytes_out += to;
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(crate) fn completed(&mut self) {
        self.complete = true;
    }
}

impl Record {
    /// Writes it down.
    pub(crate) fn ended(&self, now: Instant) {
        if self.asked.is_logged {
            self.log(now.saturating_duration_since(self.cx.received));
        }
        if let Some(spans) = &self.cx.spans {
            self.record(spans, now);
        }
    }

    fn bytes_in(&self) -> u64 {
        self.body.bytes() + self.bytes_carried
    }

    /// As text wherever it is short: what formats it need not run.
    fn log(&self, duration: Duration) {
        let (service, route) = self.route.as_ref().map(|(label, path)| (&**label, &**path)).unzip();
        let Asked { method, target, version, host, user_agent, .. } = &self.asked;
        let client = AddressText::of(self.cx.client);
        let (trace_id, span_id) = (self.cx.trace.trace_id_hex(), span_id_hex(self.span_id));
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    target: "access",
                    method = method.as_str(),
                    path = target.as_ref().map(PathAndQuery::path),
                    status = self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
                    durationMs = duration.as_micros() as f64 / 1000.0,
                    traceId = ascii(&trace_id),
                    spanId = ascii(&span_id),
                    requestId = self.cx.request_id.to_str().unwrap_or_default(),
                    service,
                    route,
                    client = client.as_str(),
                    host = host.as_ref().map(text).as_deref(),
                    protocol = protocol(*version),
                    bytesIn = self.bytes_in(),
                    bytesOut = self.bytes_out,
                    userAgent = user_agent.as_ref().map(text).as_deref(),
                    complete = self.complete,
                    "request"
                )
            };
        }
        match self.is_probe {
            true => tell!(debug),
            false => tell!(info),
        }
    }
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// The version as access logs have it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)])
}
