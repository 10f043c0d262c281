//! The life of a request, on one page: [`Gateway::handle`].
//!
//! Decides the order of things and nothing else: which route wins is `router`'s, what a failure
//! looks like `error`'s, which headers pass `headers`'. Never fails: every failure is an answer.

mod started;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, HOST},
    request::Parts,
};
use span::Recorder;
use tokio::time::Instant;

use crate::{
    access::{Asked, Record, RouteNames},
    admission::{InFlight, Permit},
    answer::{checked, without_body},
    auth::TokenError,
    authority::Authority,
    body::{
        self, Awaited, Body, BodyError, Held,
        pace::{Pace, Paced},
    },
    client::Client,
    connection::{Handler, Peer, Scheme, Tunnel},
    context::{RequestContext, TraceContext, new_request_id, request_id},
    cors,
    counts::{GatewayCounts, Refusal, RouteCounts, Tally},
    dispatch::{AnsweredBy, Switched, Wire},
    error::{GatewayError, refusal},
    guard::Entrance,
    headers, path, preflights,
    quiet::Quiet,
    router::{Entry, NoMatch, RouteTable},
    trust::{PeerNames, Word},
};

pub use crate::admission::Settings;
use started::Started;

/// Routes requests to services, within its limits.
pub struct Gateway {
    current: ArcSwap<Snapshot>,
    in_flight: Arc<InFlight>,
    counts: GatewayCounts,
    /// Where the reasons for refused tokens are told.
    refused_tokens: Quiet,
    recorder: Arc<Recorder>,
}

/// What one request runs by from its first to its last byte.
struct Snapshot {
    table: RouteTable,
    settings: Settings,
    /// Where preflights go.
    preflights: Entry,
}

impl Handler for Gateway {
    /// Not async: a future in a future is moved once more, and this one is large.
    fn handle(
        &self,
        peer: Peer,
        request: Request<hyper::body::Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send {
        let request = request.map(|body| Paced::new(body, Pace::default()));
        Self::handle(self, peer.address, peer.scheme == Scheme::Https, request)
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Response<Bytes> {
        self.refused(status, message)
    }
}

impl Gateway {
    pub fn new(table: RouteTable, settings: Settings) -> Self {
        let counts = GatewayCounts::default();
        let current = ArcSwap::from_pointee(Snapshot::new(table, settings, &RouteTable::default(), &counts));
        let (in_flight, refused_tokens, recorder) = (Arc::default(), Quiet::default(), Recorder::off());
        Self { current, in_flight, counts, refused_tokens, recorder }
    }

    /// Each request is recorded by `recorder`, but for probes.
    pub fn recorded_by(self, recorder: Arc<Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// Replaces routes and settings in one step. Requests in flight finish on the old ones; routes
    /// that were there go on counting.
    pub fn replace(&self, table: RouteTable, settings: Settings) {
        let next = Snapshot::new(table, settings, &self.current.load().table, &self.counts);
        self.current.store(Arc::new(next));
    }

    /// Requests admitted whose answers have not ended. Those of exempt routes are not counted.
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    pub fn counts(&self) -> &GatewayCounts {
        &self.counts
    }

    /// The counts of all routes: host and path as a manifest writes them, what they lead to.
    pub fn routes(&self) -> BTreeMap<(String, Arc<str>), Arc<RouteCounts>> {
        self.current.load().table.series()
    }

    /// The life of a request, in order. Dropping the future ends the request and returns its
    /// permit; the returned body holds it until its last byte.
    pub async fn handle<B>(&self, downstream: SocketAddr, https: bool, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let received = Instant::now().into_std();
        let now = self.current.load_full(); // one snapshot: a swap never splits a request
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let names = head.extensions.remove::<PeerNames>();
        let mut outer = TraceContext::of(&head.headers);
        let spans = self.recording(&mut outer);
        let asked = Asked::of(&head, spans.is_some());
        let request_id = request_id(&head.headers);
        let client = Client::of(downstream.ip(), https, &head.headers, &now.settings.trusted_proxies);

        let (found, cors, permit) = self.admit(&now, &mut head);
        let matched = found.as_ref().ok().and_then(|found| found.as_ref().ok()).copied();
        let route = matched.map(|entry| &entry.route);
        let timeout = route.and_then(|route| route.timeout).unwrap_or(now.settings.timeout);
        let limit = route.and_then(|route| route.body_limit_bytes).unwrap_or(now.settings.body_limit_bytes);
        let awaited = match body.is_end_stream() {
            true => Awaited::default(),
            false => Awaited::of(body.size_hint().exact().unwrap_or(limit).min(limit)),
        };
        let due = received + timeout;
        let mut cx = RequestContext {
            trace: outer.child(),
            route: spans.as_ref().and(route).map(|route| route.path.text().clone()),
            spans: spans.filter(|_| !matched.is_some_and(Entry::is_probe)),
            request_id,
            downstream,
            client: client.address,
            https: client.https,
            forwarded_host: client.host,
            received,
            // A small body is whole before its service is asked.
            deadline: if body::is_small(&body) { due } else { awaited.latest(due) },
            awaited,
            stream: route.and_then(|route| route.stream),
            hops: 0,
            identity: None,
            source_service: None,
        };
        let mut entrance = Entrance::default();
        let entry = match found {
            Ok(found) => entrance.pass(&now.settings, &cx, (&head.headers, names.as_ref()), found).await,
            Err(error) => Err(error),
        };
        match &entry {
            Err(GatewayError::Token(error @ TokenError::Refused(_))) => self.say_refused(&cx, error),
            Err(GatewayError::Untrusted(error)) => self.say_refused(&cx, error),
            _ => {}
        }
        cx.identity = entrance.identity;
        let due = entrance.word.map_or(due, |word| told(&mut cx, word).min(due));
        let cx = Arc::new(cx);
        let tally = Tally::new(self.counted(matched, entry.as_ref().err()), &head.method, received);
        let record = asked.map(|asked| Record::new(asked, &outer, cx.clone(), told_as(entry.as_ref().ok().copied())));
        let mut held = Held::new((cx.clone(), due), permit, record, Some(tally));

        let started = entry.and_then(|entry| Started::new((&cx, due, cors.as_ref()), entry, limit, head, body));
        if let Err(GatewayError::Origin) = &started {
            self.counts.refused.count(Refusal::Origin);
        }
        let answer = match started {
            Ok(started) => {
                held.reads(started.body());
                started.answer(due).await
            }
            Err(error) => Err(error),
        };
        let (mut response, owed) = match answer.and_then(|response| checked(response, is_head)) {
            Ok(answer) => answer,
            Err(error) => (error.answer(&cx.trace), None),
        };
        let answered_by = response.extensions_mut().remove::<AnsweredBy>().filter(|_| now.settings.expose_version);
        headers::mark(response.headers_mut(), &cx, answered_by);
        if let Some(quota) = entrance.quota {
            quota.tell(response.headers_mut());
        }
        if let Some(cors) = cors {
            cors.tell(response.headers_mut());
        }
        held.answered(response.status(), owed);
        if let Some(service) = switched(&mut response) {
            return Tunnel::new(service, held, &cx, self.counts.tunnels.clone()).behind(response);
        }
        if is_head { without_body(response) } else { response }.map(|body| body.holding(held))
    }

    /// The answer to something that never became a request, with its `Content-Length`.
    pub fn refused(&self, status: StatusCode, message: &str) -> Response<Bytes> {
        self.counts.refused.count(Refusal::Malformed);
        let trace = TraceContext::start();
        let mut response = refusal(status, &sentence(message), &trace);
        let length = response.body().len();
        headers::mark_refusal(response.headers_mut(), &trace, new_request_id());
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        response
    }

    /// The recording of a request, if anybody wants one, and whether callees shall record theirs.
    fn recording(&self, trace: &mut TraceContext) -> Option<span::Recording> {
        let state = trace.tracestate.as_ref().and_then(|state| state.to_str().ok());
        let (sampled, spans) = self.recorder.begin(trace.trace_id, trace.parent_sampled(), state);
        trace.set_sampled(sampled);
        spans
    }

    /// The client is told no reason, so whoever looks after its tokens finds it here. Never the token.
    fn say_refused(&self, cx: &RequestContext, error: &dyn std::fmt::Display) {
        if let Some(kept_back) = self.refused_tokens.may_say() {
            tracing::info!(traceId = %cx.trace, client = %cx.client, reason = %error, keptBack = kept_back, "a token was refused");
        }
    }

    /// Where a request is counted; why it was not let in, if it was not, is counted at once.
    fn counted(&self, matched: Option<&Entry>, refused: Option<&GatewayError>) -> Arc<RouteCounts> {
        if let Some(refusal) = refused.and_then(GatewayError::refusal) {
            self.counts.refused.count(refusal);
        }
        matched.map_or(&self.counts.unmatched, |entry| &entry.counts).clone()
    }

    /// Permit first: when we are full, nothing but an exempt route is served or even answered
    /// with its own error. What its browser is told of CORS is the route's word also then.
    fn admit<'a>(&self, now: &'a Snapshot, head: &mut Parts) -> Admitted<'a> {
        let permit = self.in_flight.admit(now.settings.requests_max);
        match (now.route(head), permit) {
            (Ok(routed), _) if routed.found.as_ref().is_ok_and(|entry| entry.exempt) => {
                (Ok(routed.found), routed.cors, None)
            }
            (Ok(routed), None) => (Err(GatewayError::Overloaded), routed.cors, None),
            (Ok(routed), permit) => (Ok(routed.found), routed.cors, permit),
            (Err(error), permit) => {
                let cors = now.settings.cors.clone().map(|cors| cors::Asked::of(cors, &head.headers, false));
                (Err(permit.map_or(GatewayError::Overloaded, |_unused| error)), cors, None)
            }
        }
    }
}

/// Where an admitted request goes or why it is not admitted, what its browser is told, its place.
type Admitted<'a> = (Result<Found<'a>, GatewayError>, Option<cors::Asked>, Option<Permit>);

/// The route of a well-formed request. That there is none is told only to those who may come in.
type Found<'a> = Result<&'a Entry, NoMatch>;

/// Where a request goes, and what its browser is told of CORS.
struct Routed<'a> {
    found: Found<'a>,
    cors: Option<cors::Asked>,
}

impl Snapshot {
    fn new(mut table: RouteTable, settings: Settings, before: &RouteTable, counts: &GatewayCounts) -> Self {
        table.count_on(before);
        let preflights = preflights::entry(counts.unmatched.clone());
        Self { table, settings, preflights }
    }

    /// A preflight goes to nobody's route where there are rules for the request that it asks about;
    /// where there are none, it is an `OPTIONS` like any other.
    fn find(&self, host: &str, head: &Parts) -> Routed<'_> {
        let path = head.uri.path();
        let cors = |found: &Found<'_>| {
            let entry = found.as_ref().ok().copied().or_else(|| self.table.at(host, path).next());
            let gateways = self.settings.cors.as_ref();
            entry.map_or(gateways, |entry| entry.cors.or(gateways)).cloned()
        };
        if let Some(method) = cors::preflight(head)
            && let Some(cors) = cors(&self.table.find(host, path, &method))
        {
            let cors = Some(cors::Asked::of(cors, &head.headers, true));
            return Routed { found: Ok(&self.preflights), cors };
        }
        let found = self.table.find(host, path, &head.method);
        let cors = cors(&found).map(|cors| cors::Asked::of(cors, &head.headers, false));
        Routed { found, cors }
    }

    /// The route of a request, whose path is brought into normal form on the way. A request that
    /// names no host, as HTTP/1.0 allows, gets the routes that name none, and a host of ours.
    fn route(&self, head: &mut Parts) -> Result<Routed<'_>, GatewayError> {
        path::normalize(&mut head.uri)?;
        let Some(authority) = Authority::of(head)? else {
            let routed = self.find("", head);
            head.headers.insert(HOST, self.own_host());
            return Ok(routed);
        };
        let routed = self.find(&authority.host, head);
        let hosts = &self.settings.hosts;
        let is_own = match self.settings.any_address {
            true => authority.is_address() || hosts.iter().any(|own| authority.is(own)),
            false => hosts.is_empty() || hosts.iter().any(|own| authority.is(own)),
        };
        // Whoever probes asks by address, whatever names we go by.
        if is_own || routed.found.as_ref().is_ok_and(|entry| entry.is_probe()) {
            return Ok(routed);
        }
        Err(GatewayError::Misdirected { host: authority.host.into_owned() })
    }

    fn own_host(&self) -> HeaderValue {
        let first = self.settings.hosts.first().and_then(|host| host.parse().ok());
        first.unwrap_or(HeaderValue::from_static("localhost"))
    }
}

/// Takes over what another host says; gives when its caller's time is over.
fn told(cx: &mut RequestContext, word: Word) -> std::time::Instant {
    let due = word.timeout.and_then(|left| cx.received.checked_add(left)).unwrap_or(cx.deadline);
    (cx.hops, cx.source_service, cx.deadline) = (word.hops, word.source, cx.deadline.min(due));
    due
}

/// How the log calls a route, and whether it is one that only asks whether the host lives.
fn told_as(entry: Option<&Entry>) -> (Option<RouteNames>, bool) {
    let route = entry.map(|entry| (entry.label.clone(), entry.route.path.text().clone()));
    (route, entry.is_some_and(Entry::is_probe))
}

/// What an error says of itself, as a client reads sentences: with a capital.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The service's side of the connection behind a 101.
fn switched(response: &mut Response<Body>) -> Option<Box<dyn Wire>> {
    response
        .extensions_mut()
        .remove::<Switched>()
        .filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS)?
        .take()
}

#[cfg(test)]
mod tests;
