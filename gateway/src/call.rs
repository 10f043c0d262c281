//! A call from one service to another: [`Callee::call`].
//!
//! Decides what the callee is told of its caller, how long it may take, how long a chain of calls
//! may be, and whether a call is tried again. Whether the caller may call at all was decided
//! before; which component answers is the [`Dispatch`]'s business, here or on another host.

mod kept;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_LENGTH, request::Parts};
use span::{Active, Kind, Source, Value};
use tokio::time::timeout_at;

use crate::{
    answer::{checked, without_body},
    body::{self, Awaited, Body, BodyError, Fault, Held, SMALL_MAX_BYTES},
    context::{RequestContext, method_name},
    dispatch::{AnswerBy, AnsweredBy, Dispatch, DispatchError},
    error::GatewayError,
    headers,
    retry::{self, Budget, TRIES_MAX},
};
use kept::Kept;

pub use crate::retry::TRY_TIMEOUT;

/// How long a call may take in all, its retries and the answer's last byte included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Services that a chain of calls may pass through after the first.
pub const HOPS_MAX: u8 = 8;
/// What is added to a try's time before it is given up from outside, so that the callee is the
/// one who notices that it is late, and is blamed for it.
const GRACE: Duration = Duration::from_millis(50);

/// A service as those see it who call it.
pub struct Callee {
    name: Arc<str>,
    host: HeaderValue,
    dispatch: Arc<dyn Dispatch>,
    budget: Budget,
}

/// Who calls, and on whose behalf.
#[derive(Clone)]
pub struct Caller {
    /// Its name becomes `X-Source-Service`.
    pub source: Arc<Source>,
    /// Its span, within which it calls.
    pub span_id: u64,
    /// The request it is serving.
    pub serving: Arc<RequestContext>,
    /// When the answer's last byte must be there.
    pub deadline: Instant,
    /// How long each try may take as far as the answer's head; not given: 2 s.
    pub head_timeout: Option<Duration>,
    /// When the head of the caller's own answer must be there, while it is not. Tries end a little
    /// sooner, so that it can still answer, and a slow callee is the one who is named.
    pub head_by: Option<Instant>,
    pub body_limit_bytes: u64,
}

impl Caller {
    fn head_time_left(&self) -> Duration {
        let left = self.head_by.map_or(Duration::MAX, |by| by.saturating_duration_since(now()));
        left - (2 * GRACE).min(left / 4)
    }
}

impl Callee {
    /// The service `name`, reached by `dispatch`. Names are those of a manifest.
    pub fn new(name: Arc<str>, dispatch: Arc<dyn Dispatch>) -> Self {
        let host = HeaderValue::try_from(format!("{name}.internal")).expect("names are letters, digits and dashes");
        Self { name, host, dispatch, budget: Budget::new() }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Never fails: a failure of the callee is the answer that the gateway would give for it.
    ///
    /// The path must be in normal form. Cancel safe: dropping the future, or the answer's body,
    /// ends the callee's work. An answer's body that fails was cut short.
    pub async fn call<B>(&self, caller: &Caller, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let began = now();
        let try_timeout = caller.head_timeout.unwrap_or(TRY_TIMEOUT);
        let serving = &*caller.serving;
        let cx = RequestContext {
            trace: serving.trace.within(caller.span_id),
            route: None,
            received: began,
            deadline: caller.deadline.min(began + TIMEOUT.max(try_timeout)),
            awaited: Awaited::default(),
            stream: None,
            hops: serving.hops.saturating_add(1),
            source_service: Some(caller.source.name.clone()),
            ..serving.clone()
        };
        let is_head = request.method() == Method::HEAD;
        let answered = self.answered(&cx, caller, try_timeout, request).await;
        let (answer, cx) = match answered {
            Ok(answered) => answered,
            Err(error) => (Err(error), Arc::new(cx)),
        };
        let (mut response, owed) = match answer {
            Ok(answer) => answer,
            Err(error) => (error.answer(&cx.trace), None),
        };
        let answered_by = response.extensions_mut().remove::<AnsweredBy>();
        headers::mark(response.headers_mut(), &cx, answered_by);
        let due = cx.deadline;
        let mut held = Held::new((cx, due), None, None, None);
        held.answered(response.status(), owed);
        if is_head { without_body(response) } else { response }.map(|body| body.holding(held))
    }

    /// The tries. An error outside of the pair: not even one was made.
    async fn answered<B>(
        &self,
        cx: &RequestContext,
        caller: &Caller,
        try_timeout: Duration,
        request: Request<B>,
    ) -> Result<(Answer, Arc<RequestContext>), GatewayError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        if cx.hops > HOPS_MAX {
            return Err(DispatchError::TooManyHops { service: self.name.clone() }.into());
        }
        let (mut head, body) = request.into_parts();
        let source = HeaderValue::try_from(&*caller.source.name).expect("names are letters, digits and dashes");
        headers::call(&mut head, cx, &self.host, source);
        head.uri = Uri::from(head.uri.path_and_query().cloned().unwrap_or_else(|| "/".parse().expect("a path")));
        let (body, fault) = body::within_limit(body, caller.body_limit_bytes, Awaited::default())?;
        let mut body = if is_small(&head) { whole(body, cx.deadline).await? } else { body };
        let mut kept: Option<Kept> = None;
        let may_retry = retry::is_idempotent(&head.method, &head.headers);
        if may_retry && !body.is_whole() {
            let of_it = Kept::new(body);
            body = of_it.again().expect("nothing of it is lost yet");
            kept = Some(of_it);
        }
        self.budget.sent();
        let mut tried = 1;
        loop {
            let again = if may_retry { body.copy() } else { None };
            let mut span = self.span(cx, caller, &head, tried);
            let mut of_try = cx.clone();
            of_try.trace = cx.trace.within(span.id_or(caller.span_id));
            let of_try = Arc::new(of_try);
            let answer = self
                .tried(&of_try, try_timeout.min(caller.head_time_left()), clone(&head, &of_try), body, &fault)
                .await;
            ended(&mut span, &answer);
            drop(span);
            let asked = match &answer {
                Ok((response, _)) if !is_passing(response.status()) => None,
                Ok((response, _)) => Some(retry::backoff(tried, Some(response.headers()))),
                Err(error) if error.is_passing() => Some(retry::backoff(tried, None)),
                Err(_) => None,
            };
            let Some(wait) = asked.filter(|wait| tried < TRIES_MAX && now() + *wait < cx.deadline) else {
                return Ok((answer, of_try));
            };
            let Some(next) = again.or_else(|| kept.as_ref()?.again()) else { return Ok((answer, of_try)) };
            if !may_retry || !self.budget.take() {
                return Ok((answer, of_try));
            }
            drop(answer); // its body holds a place in the callee
            tokio::time::sleep(wait).await;
            (body, tried) = (next, tried + 1);
        }
    }

    /// One try as its caller sees it: ends with the answer's head.
    fn span(&self, cx: &RequestContext, caller: &Caller, head: &Parts, tried: u32) -> Active {
        let name = || Value::Static(method_name(&head.method));
        let mut span = Active::begin(cx.spans.as_ref(), &caller.source, Kind::Client, caller.span_id, name);
        if let Some(span) = span.span() {
            let host = self.host.to_str().unwrap_or_default();
            span.set("http.request.method", method_name(&head.method));
            span.set("url.full", format!("http://{host}{}", head.uri.path()));
            span.set("server.address", host.to_owned());
            span.set("service.peer.name", self.name.clone());
            if tried > 1 {
                span.set("http.request.resend_count", tried - 1);
            }
        }
        span
    }

    async fn tried(
        &self,
        cx: &Arc<RequestContext>,
        try_timeout: Duration,
        head: Parts,
        body: Body,
        fault: &Fault,
    ) -> Answer {
        let is_head = head.method == Method::HEAD;
        let by = cx.deadline.min(now() + try_timeout);
        let mut request = Request::from_parts(head, body);
        request.extensions_mut().insert(AnswerBy(by));
        let answered = timeout_at((by + GRACE).into(), self.dispatch.dispatch(cx.clone(), request)).await;
        if let Some(error) = fault.get() {
            return Err(error.clone().into());
        }
        checked(answered.map_err(|_elapsed| GatewayError::DeadlineExceeded)??, is_head)
    }
}

/// Says in the span of a try what came of it.
fn ended(span: &mut Active, answer: &Answer) {
    let Some(span) = span.span() else { return };
    let status = match answer {
        Ok((response, _)) => response.status(),
        Err(error) => {
            span.set("archipel.reason", error.to_string());
            error.status()
        }
    };
    span.set("http.response.status_code", status.as_u16());
    if status.is_client_error() || status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
}

/// A callee's answer with the length that its body must have.
type Answer = Result<(Response<Body>, Option<u64>), GatewayError>;

/// The runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Statuses after which the same request may have another answer.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 503)
}

/// The head of one try. Extensions are not copied: they are the host's.
fn clone(head: &Parts, cx: &RequestContext) -> Parts {
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    let (mut parts, ()) = request.into_parts();
    parts.headers.insert(crate::context::TRACEPARENT, cx.trace.traceparent());
    parts
}

/// Whether the declared length is one that is waited for.
fn is_small(head: &Parts) -> bool {
    let length = headers::content_length(&head.headers).ok().flatten();
    length.is_some_and(|length| length <= SMALL_MAX_BYTES) && head.headers.contains_key(CONTENT_LENGTH)
}

async fn whole(body: Body, deadline: Instant) -> Result<Body, GatewayError> {
    let whole = timeout_at(deadline.into(), body.whole()).await;
    Ok(whole.map_err(|_elapsed| GatewayError::DeadlineExceeded)??)
}

#[cfg(test)]
mod tests;
