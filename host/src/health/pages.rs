//! Health over HTTP, for the gateway and for the admin listener.

use std::sync::Arc;

use bytes::Bytes;
use gateway::{
    body::{self, Body},
    context::RequestContext,
    dispatch::{Dispatch, Dispatched},
    error::envelope,
};
use http::{Request, Response, StatusCode, header};
use serde::Serialize;

use super::{Health, Report, Status};

/// Which page a route shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The process works, also while draining.
    Live,
    /// `/health` and `/health/ready`.
    Whole,
    /// `/health/services/{name}`, on the admin listener only.
    Service,
}

/// The pages about a host as a whole, on both listeners.
pub const PAGES: [(&str, Page); 3] =
    [("/health", Page::Whole), ("/health/ready", Page::Whole), ("/health/live", Page::Live)];

/// One page of one host's health.
pub struct Pages {
    pub health: Arc<Health>,
    pub page: Page,
}

impl Dispatch for Pages {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move {
            Ok(match self.page {
                Page::Live => json(StatusCode::OK, &Alive { status: "alive" }),
                Page::Whole => report(&self.health.host().await),
                Page::Service => {
                    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
                    match self.health.service(name).await {
                        Some(found) => report(&found),
                        None => no_service(&cx),
                    }
                }
            })
        })
    }
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

/// An error, and so in the envelope of all errors.
fn no_service(cx: &RequestContext) -> Response<Body> {
    document(StatusCode::NOT_FOUND, envelope("No service has this name", &cx.trace))
}

fn report(report: &Report) -> Response<Body> {
    let status = match report.status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy | Status::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, report)
}

/// A small JSON document that is no envelope: health, OpenAPI.
pub fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(document).expect("our own documents are valid JSON");
    self::document(status, text.into())
}

fn document(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}
