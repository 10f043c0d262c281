//! One answer out of several services': asked at once, in the caller's name.
//!
//! Decides when a part has failed and what the answer is then. A part that failed and has no
//! default is the answer, as it was; the others are not waited for. A part with a default is
//! replaced by it and named in `data.partial`. Every part has a deadline of its own that leaves
//! the answer its time. Who may ask is decided by the services, from the same headers as ever.

mod data;
mod template;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response,
    header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST},
};
use http_body_util::{BodyExt, Limited};
use span::{Active, Kind, Span};
use tracing::Level;

use crate::{
    body::{self, Body},
    context::{RequestContext, TRACEPARENT},
    dispatch::{AnsweredBy, Dispatch, DispatchError, Dispatched},
    error::{GatewayError, success},
    route::PathPattern,
};

pub use template::{Template, TemplateError};

/// As long as one part may take.
const PART_TIMEOUT: Duration = Duration::from_secs(5);
/// Of what is left of the request's time, in percent: the rest is for the answer.
const PART_SHARE: u32 = 80;
/// As large as one part's answer may be.
const PART_BYTES_MAX: usize = 1 << 20;

/// What a part is asked with, of what the gateway has made of the caller's head.
const PASSED: [HeaderName; 12] = [
    HOST,
    ACCEPT_LANGUAGE,
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-source-service"),
    HeaderName::from_static("x-user-id"),
    HeaderName::from_static("x-user-roles"),
];

/// A route whose answer is put together from others.
pub struct Gather {
    route: PathPattern,
    parts: Vec<Part>,
}

/// One member of the answer's `data`, and whom to ask for it.
pub struct Part {
    /// Not `partial`, which names the parts that are not there.
    pub name: String,
    /// The name of the service, for errors.
    pub service: Arc<str>,
    pub dispatch: Arc<dyn Dispatch>,
    /// Checked against the route.
    pub from: Template,
    /// What stands for it when it fails; none: its failure is the answer.
    pub default: Option<serde_json::Value>,
}

/// The `data` of a part, or the answer that it is a failure with.
type Answered = Result<Bytes, Failure>;

enum Failure {
    Answer(Box<Response<Body>>),
    Error(DispatchError),
}

impl Gather {
    /// The members of `data` will be in the order of `parts`.
    pub fn new(route: PathPattern, parts: Vec<Part>) -> Self {
        Self { route, parts }
    }

    /// Cancel safe: a dropped gathering drops its parts.
    async fn gather(&self, cx: &RequestContext, request: Request<Body>) -> Result<Response<Body>, DispatchError> {
        let (head, _unread) = request.into_parts();
        let now = tokio::time::Instant::now().into_std();
        let deadline = part_deadline(now, cx.deadline);
        let mut asked: FuturesUnordered<_> = (self.parts.iter().enumerate())
            .map(|(index, part)| {
                let request = part.request(&self.route, cx, head.uri.path(), &head.headers, deadline);
                async move { (index, part.answer(request, deadline).await) }
            })
            .collect();
        let mut found: Vec<Option<Bytes>> = vec![None; self.parts.len()];
        while let Some((index, answered)) = asked.next().await {
            let part = &self.parts[index];
            match answered {
                Ok(data) => found[index] = Some(data),
                Err(failure) if part.default.is_some() => failure.tell(cx, &part.name),
                Err(Failure::Answer(answer)) => return Ok(*answer),
                Err(Failure::Error(error)) => return Err(error),
            }
        }
        drop(asked);
        let mut answer = Response::new(body::full(success(&self.together(&found), &cx.trace)));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }

    /// The text of `data`.
    fn together(&self, found: &[Option<Bytes>]) -> Vec<u8> {
        let mut json = vec![b'{'];
        let mut missing = Vec::new();
        for (part, data) in self.parts.iter().zip(found) {
            write(&mut json, &part.name);
            json.push(b':');
            match data {
                Some(data) => json.extend_from_slice(data),
                None => {
                    missing.push(&part.name);
                    write(&mut json, &part.default);
                }
            }
            json.push(b',');
        }
        if !missing.is_empty() {
            json.extend_from_slice(br#""partial":"#);
            write(&mut json, &missing);
        } else if json.len() > 1 {
            json.pop();
        }
        json.push(b'}');
        json
    }
}

impl Dispatch for Gather {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        Box::pin(async move {
            let mut span = within(&cx);
            let answer = self.gather(&cx, request).await;
            if let Err(error) = &answer {
                span.set("archipel.reason", error.to_string());
                span.fail("part");
            }
            answer
        })
    }
}

impl Part {
    /// What the part is asked, as the caller: a child of the request's span.
    fn request(
        &self,
        route: &PathPattern,
        cx: &RequestContext,
        path: &str,
        headers: &HeaderMap,
        deadline: Instant,
    ) -> Option<(Arc<RequestContext>, Request<Body>)> {
        let cx = RequestContext { trace: cx.trace.child(), deadline, ..cx.clone() };
        let mut request = Request::new(body::empty());
        *request.uri_mut() = self.from.fill(route, path)?;
        let own = request.headers_mut();
        for name in PASSED {
            headers.get_all(&name).iter().for_each(|value| _ = own.append(&name, value.clone()));
        }
        own.insert(ACCEPT, HeaderValue::from_static("application/json"));
        own.insert(TRACEPARENT, cx.trace.traceparent());
        Some((Arc::new(cx), request))
    }

    async fn answer(&self, request: Option<(Arc<RequestContext>, Request<Body>)>, deadline: Instant) -> Answered {
        let Some((cx, request)) = request else {
            return Err(self.invalid("its request cannot be made from this path"));
        };
        let whole = async {
            let answer = self.dispatch.dispatch(cx, request).await.map_err(Failure::Error)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, PART_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.invalid(&format!("its body failed: {error}")))?.to_bytes();
            Ok((head, body))
        };
        let timed_out = |_elapsed| {
            Failure::Error(DispatchError::TimedOut {
                service: self.service.clone(),
                reason: "late for a gathered answer".into(),
            })
        };
        let (mut head, body) = tokio::time::timeout_at(deadline.into(), whole).await.map_err(timed_out)??;
        if head.status.is_success() {
            let data = data::data(&body).map_err(|reason| self.invalid(reason))?;
            return Ok(body.slice_ref(data.as_bytes()));
        }
        // The answer is the gateway's now: no one component's, and as long as it is.
        head.extensions.remove::<AnsweredBy>();
        head.headers.remove(CONTENT_LENGTH);
        Err(Failure::Answer(Box::new(Response::from_parts(head, body::full(body)))))
    }

    fn invalid(&self, reason: &str) -> Failure {
        Failure::Error(DispatchError::InvalidAnswer { service: self.service.clone(), reason: reason.to_owned() })
    }
}

impl Failure {
    /// As loud as if it had been the whole answer.
    fn tell(self, cx: &RequestContext, part: &str) {
        let (level, reason) = match self {
            Self::Answer(answer) => (Level::DEBUG, format!("it answered {}", answer.status().as_u16())),
            Self::Error(error) => {
                let error = GatewayError::from(error);
                (error.level(), error.to_string())
            }
        };
        match level {
            Level::WARN => tracing::warn!(traceId = %cx.trace, part, reason, "a part of an answer is missing"),
            _ => tracing::debug!(traceId = %cx.trace, part, reason, "a part of an answer is missing"),
        }
    }
}

/// The gathering as a span: its parts are within it.
fn within(cx: &RequestContext) -> Active {
    let Some(spans) = &cx.spans else { return Active::default() };
    let mut span = Span::new(spans.own().clone(), Kind::Internal, "gather");
    (span.id, span.parent) = (cx.trace.span_id, cx.trace.parent_id);
    Active::of(spans, span)
}

fn part_deadline(now: Instant, whole: Instant) -> Instant {
    now + PART_TIMEOUT.min(whole.saturating_duration_since(now) * PART_SHARE / 100)
}

fn write(json: &mut Vec<u8>, value: impl serde::Serialize) {
    serde_json::to_writer(json, &value).expect("text and JSON values are always JSON and a vector takes it");
}

#[cfg(test)]
mod tests;
