//! Outgoing HTTP of a component: to services of this host, and to the outside.
//!
//! Each request is two steps: may it (the grant), send it (a callee, or the service's own
//! client). Answers stream through a task of their own (`http/answer`), so that no guest ever
//! pays for another's work. Every request of a guest comes through here: there is no second way
//! out.

mod answer;
mod due;
mod fields;
mod gathered;
mod handling;
mod upload;

use std::{
    future::ready,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ::span::{Active, Kind, Source, Value};
use gateway::{
    call::Caller,
    context::{RequestContext, TraceContext, method_name},
    headers,
};
use http::{Method, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::asking::{Asking, Denials};
use crate::telemetry::counts::{CallCounts, PermissionKey, ServiceCounts};
use answer::{Answered, IoWork, Waits};
use backend::{
    directory::Directory,
    http::{Client, SendError, Timeouts},
    memory::{Account, Held},
    secrets::Secrets,
};
use grant::{
    Denied, Fix, Grants, Permission,
    net::{Scheme, Target},
    permission::{call::Call, net::Net},
};
use upload::{Alive, upload};

pub use due::HeadDue;
pub use fields::{HEADERS_MAX_BYTES, block, said};
pub use gathered::{NotWhole, gathered};
pub use handling::{QuickDoor, QuickDoorIndices, exports::archipel::http::handler as quick};

/// Of each body that a guest has begun, the host holds at most two pieces of this size.
const BODY_CHUNK_MAX_BYTES: usize = 16 << 10;
/// Requests of one guest that are under way at once: each may keep 64 KiB for another try.
const IN_FLIGHT_MAX: usize = 64;

/// The ways out of one service.
pub struct Ways {
    /// Whose ways.
    pub source: Arc<Source>,
    pub grants: Arc<Grants>,
    pub directory: Arc<Directory>,
    pub client: Client,
    /// Bytes in the body of a call.
    pub body_limit_bytes: Arc<AtomicU64>,
    pub denials: Arc<Denials>,
    pub secrets: Arc<Secrets>,
    counts: Arc<ServiceCounts>,
    /// Headers that no guest may set.
    forbidden: ForbiddenHeaderFilter,
    /// By callee, for those that the grants name.
    calls: Vec<(Arc<str>, Arc<CallCounts>)>,
}

impl Ways {
    pub fn new(
        source: Arc<Source>,
        grants: Arc<Grants>,
        directory: Arc<Directory>,
        client: Client,
        body_limit_bytes: Arc<AtomicU64>,
        counts: Arc<ServiceCounts>,
        (denials, secrets): (Arc<Denials>, Arc<Secrets>),
    ) -> Self {
        let calls = grants.callees().map(|callee| (callee.clone(), counts.calls_to(callee))).collect();
        let forbidden: ForbiddenHeaderFilter = Arc::new(fields::is_forbidden);
        Self { source, grants, directory, client, body_limit_bytes, denials, secrets, counts, forbidden, calls }
    }

    fn calls_to(&self, callee: &str) -> Option<Arc<CallCounts>> {
        self.calls.iter().find(|(name, _)| **name == *callee).map(|(_, counts)| counts.clone())
    }
}

/// What an instance holds to send requests. Dropped before the instance's table, so that a body
/// which breaks off with its guest never looks complete.
pub struct Outgoing {
    ways: Arc<Ways>,
    asking: Arc<Asking>,
    serving: Option<Serving>,
    /// None before it has sent anything; most never do.
    sent: OnceLock<Sent>,
    /// What whole answers take their memory from.
    account: Arc<dyn Account>,
    /// What the last one took: it is on its way into the guest.
    held: Held,
}

/// The request that the instance is working on.
struct Serving {
    cx: Arc<RequestContext>,
    deadline: Instant,
    head_due: HeadDue,
}

/// What the instance has sent of which not all is over.
struct Sent {
    in_flight: Arc<Semaphore>,
    alive: Alive,
}

/// A request that may be sent, and what it needs for that.
struct Sending {
    ways: Arc<Ways>,
    cx: Arc<RequestContext>,
    /// The span that it is within.
    span_id: u64,
    deadline: Instant,
    head_by: Option<Instant>,
    alive: Alive,
    permit: OwnedSemaphorePermit,
    options: RequestOptions,
}

impl Outgoing {
    /// `asking` knows which span the guest is in; whole answers take their memory from `account`.
    pub fn new(ways: Arc<Ways>, asking: Arc<Asking>, account: Arc<dyn Account>) -> Self {
        let held = Held::default();
        Self { ways, asking, serving: None, sent: OnceLock::new(), account, held }
    }

    /// What the last whole answer took is given back, and this is counted in its place.
    pub(super) fn hold(&mut self, held: Held) {
        self.held = held;
    }

    /// What bodies take their memory from that are handed over as a whole.
    pub fn account(&self) -> &Arc<dyn Account> {
        &self.account
    }

    /// Requests from now on are made on behalf of `cx` and end by `deadline`; those that the head
    /// of its answer may depend on have theirs a little before `head_due`.
    pub fn begin(&mut self, cx: Arc<RequestContext>, deadline: Instant, head_due: HeadDue) {
        self.serving = Some(Serving { cx, deadline, head_due });
    }

    /// The guest returned; true when nothing it sent is still under way. If not, the request stays
    /// open: when this is dropped, bodies without an end break off.
    pub fn end(&mut self) -> bool {
        self.held.release();
        let is_over = self.sent.get().is_none_or(|sent| sent.in_flight.available_permits() == IN_FLIGHT_MAX);
        if is_over {
            self.serving = None;
        }
        is_over
    }

    fn sending(&self, options: Option<RequestOptions>) -> Result<Sending, Error> {
        let serving = self.serving.as_ref().ok_or(Error::HttpRequestDenied)?;
        let sent = self.sent.get_or_init(Sent::default);
        let permit = sent.in_flight.clone().try_acquire_owned().map_err(|_full| Error::ConnectionLimitReached)?;
        Ok(Sending {
            ways: self.ways.clone(),
            cx: serving.cx.clone(),
            span_id: self.asking.within().unwrap_or(serving.cx.trace.span_id),
            deadline: serving.deadline,
            head_by: serving.head_due.by(),
            alive: sent.alive.clone(),
            permit,
            options: options.unwrap_or_default(),
        })
    }

    /// Decides whether it may be sent, and how; `by` is when all of the answer must be there, if that is sooner than
    /// the request's own deadline.
    pub(super) fn started(
        &self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        by: Option<Instant>,
    ) -> Result<Answering, Error> {
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let scheme = if request.uri().scheme_str() == Some("http") { Scheme::Http } else { Scheme::Https };
        let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?;
        let target = Target::new(scheme, authority.as_str()).map_err(|invalid| {
            tracing::debug!(service = %self.ways.source.name, %invalid, "a request has no valid target");
            Error::HttpRequestUriInvalid
        })?;
        let mut sending = self.sending(options)?;
        sending.deadline = by.map_or(sending.deadline, |by| by.min(sending.deadline));
        match target.callee().map(str::to_owned) {
            Some(callee) => sending.call(&callee, &target, request),
            None => sending.dial(&target, request),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(sent) = self.sent.get().filter(|_| self.serving.is_some()) {
            sent.alive.end();
        }
    }
}

impl Default for Sent {
    fn default() -> Self {
        Self { in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)), alive: Alive::default() }
    }
}

pub(super) type Answering = Box<dyn Future<Output = Answered> + Send>;

impl Sending {
    /// To a service of this host.
    fn call(self, callee: &str, target: &Target, mut request: Request<WasiBody>) -> Result<Answering, Error> {
        if target.scheme != Scheme::Http || !target.has_usual_port() {
            let denial = Denied {
                service: self.ways.source.name.clone(),
                target: format!("{}://{target}", target.scheme),
                rule: "a service of this host has no port and no TLS".into(),
                fix: Fix::Other("write `http://NAME.internal/`"),
            };
            return Err(self.denied::<Call>(denial));
        }
        gateway::path::normalize(request.uri_mut()).map_err(|_invalid| Error::HttpRequestUriInvalid)?;
        let granted = self.ways.grants.call(callee, request.method(), request.uri().path());
        let granted = granted.map_err(|denial| self.denied::<Call>(denial))?;
        let counts = self.ways.calls_to(callee);
        let callee = self.ways.directory.find(&granted).ok_or(Error::DestinationUnavailable)?;
        let caller = Caller {
            source: self.ways.source.clone(),
            span_id: self.span_id,
            serving: self.cx.clone(),
            deadline: self.deadline,
            head_timeout: self.options.first_byte_timeout,
            head_by: self.head_by,
            body_limit_bytes: self.ways.body_limit_bytes.load(Relaxed),
        };
        let waits = self.waits();
        let request = request.map(|body| upload(body, self.alive));
        Ok(Box::new(async move {
            let response = callee.call(&caller, request).await;
            if let Some(counts) = counts {
                counts.calls.count();
                counts.errors.add(response.status().is_server_error().into());
            }
            Ok(answer::answered(response, waits, self.permit))
        }))
    }

    /// To the outside.
    fn dial(self, target: &Target, mut request: Request<WasiBody>) -> Result<Answering, Error> {
        let granted = self.ways.grants.net(target).map_err(|denial| self.denied::<Net>(denial))?;
        let mut span = self.span(target, &request);
        let trace = TraceContext { span_id: span.id_or(self.span_id), ..self.cx.trace.clone() };
        headers::outbound(request.headers_mut(), &trace);
        let timeouts = Timeouts {
            connect: self.options.connect_timeout,
            first_byte: self.options.first_byte_timeout,
            deadline: self.deadline,
        };
        let waits = self.waits();
        let mut request = request.map(|body| upload(body, self.alive.clone()));
        Ok(Box::new(async move {
            // Last, over whatever the guest wrote there.
            match self.ways.secrets.headers(&self.ways.grants, &granted).await {
                Ok(headers) => {
                    headers.into_iter().for_each(|(name, value)| _ = request.headers_mut().insert(name, value))
                }
                Err(error) => {
                    let (service, error) = (&self.ways.source.name, document::problem::chain(&error));
                    tracing::error!(%service, traceId = %self.cx.trace, %error, "an outbound request lacks its secret");
                    return Err(Error::ConfigurationError);
                }
            }
            match self.ways.client.send(&granted, request, timeouts).await {
                Ok(mut response) => {
                    let status = response.status();
                    span.set("http.response.status_code", status.as_u16());
                    if status.is_client_error() || status.is_server_error() {
                        span.fail(status.as_str().to_owned());
                    }
                    headers::strip_hop_by_hop(response.headers_mut());
                    Ok(answer::answered(response, waits, self.permit))
                }
                Err(SendError::Denied(denial)) => {
                    span.fail("denied");
                    Err(self.denied::<Net>(*denial))
                }
                Err(error) => {
                    span.set("archipel.reason", error.to_string());
                    span.fail("unreachable");
                    tracing::debug!(service = %self.ways.source.name, traceId = %self.cx.trace, %error, "an outbound request failed");
                    Err(into_wasi(error))
                }
            }
        }))
    }

    /// A request to the outside as a span: ends with the answer's head. Never its query.
    fn span(&self, target: &Target, request: &Request<WasiBody>) -> Active {
        let name = || Value::Static(method_name(request.method()));
        let mut span = Active::begin(self.cx.spans.as_ref(), &self.ways.source, Kind::Client, self.span_id, name);
        if let Some(span) = span.span() {
            let path = request.uri().path();
            span.set("http.request.method", method_name(request.method()));
            span.set("url.full", format!("{}://{target}{path}", target.scheme));
            let host = request.uri().host().unwrap_or_default();
            span.set("server.address", host.to_owned());
            span.set("server.port", target.port);
        }
        span
    }

    fn waits(&self) -> Waits {
        Waits { between: self.options.between_bytes_timeout.unwrap_or(Duration::MAX), deadline: self.deadline }
    }

    fn denied<P: Permission>(&self, denial: Denied) -> Error {
        self.ways.counts.denied.count(PermissionKey::of::<P>());
        self.ways.denials.tell(&denial, Some(&self.cx.trace));
        Error::HttpRequestDenied
    }
}

impl WasiHttpHooks for Outgoing {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        self.ways.forbidden.clone()
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_MAX_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors_of_the_answer: IoWork,
    ) -> Answering {
        self.started(request, options, None).unwrap_or_else(|error| Box::new(ready(Err(error))))
    }
}

/// Nothing internal: which of its own permissions or peers failed a guest, in WASI's words.
fn into_wasi(error: SendError) -> Error {
    match error {
        SendError::Denied(_) => Error::HttpRequestDenied,
        SendError::Dns(_) => Error::DnsError { rcode: None, info_code: None },
        SendError::DnsTimeout => Error::DnsTimeout,
        SendError::Refused => Error::ConnectionRefused,
        SendError::ConnectTimeout => Error::ConnectionTimeout,
        SendError::Unreachable(_) => Error::DestinationUnavailable,
        SendError::Certificate(_) => Error::TlsCertificateError,
        SendError::Tls(_) => Error::TlsProtocolError,
        SendError::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
        SendError::ResponseTimeout => Error::HttpResponseTimeout,
        SendError::Terminated => Error::ConnectionTerminated,
        SendError::RequestBody | SendError::Protocol => Error::HttpProtocolError,
        SendError::TooMany => Error::ConnectionLimitReached,
    }
}
