//! The access log: one event for each request, when its last byte is gone or its client is.
//!
//! Decides the names of the fields. Without a reader of the target `access` nothing is recorded.

use std::sync::Arc;

use http::{Method, StatusCode, request::Parts, uri::PathAndQuery};
use tracing::{Level, info};

use crate::context::RequestContext;

/// What nginx logs for a client that left before its answer; there is no standard for it.
const CLIENT_GONE: u16 = 499;

/// One request as the log will tell it; written when dropped.
pub(crate) struct Record {
    method: Method,
    target: Option<PathAndQuery>,
    cx: Arc<RequestContext>,
    /// The route's label and path, for a request that found one.
    route: Option<(Arc<str>, String)>,
    status: Option<StatusCode>,
    complete: bool,
}

/// What must be kept of a request's head before it is forwarded, if anyone reads the log.
pub(crate) struct Asked {
    method: Method,
    target: Option<PathAndQuery>,
}

impl Asked {
    pub(crate) fn of(head: &Parts) -> Option<Self> {
        tracing::enabled!(target: "access", Level::INFO)
            .then(|| Self { method: head.method.clone(), target: head.uri.path_and_query().cloned() })
    }
}

impl Record {
    /// `route` is its label and path.
    pub(crate) fn new(asked: Asked, cx: Arc<RequestContext>, route: Option<(Arc<str>, String)>) -> Self {
        Self { method: asked.method, target: asked.target, cx, route, status: None, complete: false }
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(crate) fn completed(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (service, route) = self.route.as_ref().map(|(label, path)| (&**label, &**path)).unzip();
        let duration = tokio::time::Instant::now().into_std().saturating_duration_since(self.cx.received);
        info!(
            target: "access",
            method = %self.method,
            path = self.target.as_ref().map(PathAndQuery::path),
            status = self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
            durationMs = duration.as_micros() as f64 / 1000.0,
            traceId = %self.cx.trace,
            spanId = format_args!("{:016x}", self.cx.trace.span_id),
            requestId = self.cx.request_id.to_str().unwrap_or_default(),
            service,
            route,
            complete = self.complete,
            "request"
        );
    }
}
