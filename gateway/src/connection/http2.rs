//! One HTTP/2 connection: limits against floods, the checks of a head that framing does for
//! HTTP/1, keep-alive, its end.
//!
//! Frames, stream states, header sizes and most floods are h2's own business; it answers
//! offenders with GOAWAY ENHANCE_YOUR_CALM.

use std::{convert::Infallible, future::poll_fn, pin::Pin, pin::pin, sync::Arc, task::Poll, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, header};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};

use super::{
    Handler, Peer, Times,
    answer::{Asked, answer},
    clock::{Alarm, DrainWatch, Since, WriteStall, nearer},
    state::{Exchange, State},
    stream::Streams,
    transport::Transport,
};
use crate::{
    body::full,
    drain::{Drain, Phase},
    framing::{FIELDS_MAX, Fault, HEAD_MAX, METHOD_MAX, TARGET_MAX, line},
};

const STREAMS_MAX: u32 = 100;
/// A body's bytes in memory at most while its handler does not read: of one stream, of all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Streams reset before anybody looked at them, and streams that broke the protocol, until
/// the client is told to calm down.
const PENDING_RESETS_MAX: usize = 20;
const ERROR_RESETS_MAX: usize = 100;
/// Requests given up half-way, when they are most of all, until the connection is closed.
const CUT_MAX: u64 = 200;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client without streams has to take its GOAWAY.
const GOODBYE: Duration = Duration::from_secs(2);

/// Serves one connection, whose preface has been seen, to its end.
pub(super) async fn serve<H: Handler>(
    transport: Transport,
    state: Arc<State>,
    peer: Peer,
    handler: Arc<H>,
    times: &Times,
    drain: &Drain,
) {
    let streams = Streams::new(times.write_stall);
    let service = service_fn({
        let (state, streams) = (state.clone(), streams.clone());
        move |mut request: Request<Incoming>| {
            join_cookies(request.headers_mut());
            state.introduce(&mut request);
            let exchange = Exchange::start(&state);
            let flow = streams.open();
            let asked = Asked::by(&request);
            let handler = handler.clone();
            async move {
                let response = match check(&request) {
                    Ok(()) => handler.handle(peer, request).await,
                    Err(fault) => handler.refuse(fault.status(), &fault.to_string()).map(full),
                };
                Ok::<_, Infallible>(answer(&*handler, asked, exchange, flow, response))
            }
        }
    });
    let mut connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_MAX as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(transport), service);

    let sleep = pin!(sleep_until(Instant::now() + times.idle.get()));
    let mut alarm = Alarm::new(sleep);
    let changed = pin!(drain.changed());
    let mut watch = DrainWatch::new(drain, changed);
    let mut leaving = false;
    let mut activity = Since::now((0, 0, false));
    let mut stall = WriteStall::new(times.write_stall);

    let why = poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(result.err().map_or_else(|| "closed".to_owned(), |error| error.to_string()));
            }
            if state.cut() > CUT_MAX && state.cut() * 2 > state.started() {
                return Poll::Ready("the client gave up most of its requests".to_owned());
            }
            let phase = watch.phase(cx);
            if phase == Phase::Cut {
                return Poll::Ready("cut by the drain".to_owned());
            }
            let (started, ended) = (state.started(), state.ended());
            let since = activity.look((started, ended, leaving));
            let goodbye = if leaving { GOODBYE } else { times.idle.get() };
            let idle_until = (started == ended).then(|| since + goodbye);
            let stalled_at = stall.deadline(&state);
            let rang = alarm.rang(cx, nearer(idle_until, stalled_at));
            if rang && (leaving || started != ended) {
                return Poll::Ready("the client is gone or does not read".to_owned());
            }
            if leaving || !(rang || phase == Phase::Draining) {
                return Poll::Pending;
            }
            leaving = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
    })
    .await;
    tracing::debug!(client = %peer.address, why, "connection closed");
}

/// Browsers split `Cookie` into a field for each of its pairs, which compress better. It is one
/// field again for whoever does not speak HTTP/2, and for the limit of fields: RFC 9113 8.2.3.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    let mut joined = HeaderValue::from_bytes(&joined).expect("valid values with `; ` between");
    joined.set_sensitive(true);
    headers.insert(header::COOKIE, joined);
}

/// What h2 does not check: RFC 9113 section 8.3.1 and the limits of HTTP/1 heads.
fn check<B>(request: &Request<B>) -> Result<(), Fault> {
    let uri = request.uri();
    if request.method().as_str().len() > METHOD_MAX {
        return Err(Fault::Method);
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Fault::MethodRefused);
    }
    let target = uri.path_and_query().ok_or(Fault::Target)?.as_str();
    if target.len() > TARGET_MAX {
        return Err(Fault::TargetTooLong);
    }
    if !line::is_target(request.method(), target.as_bytes()) {
        return Err(Fault::Target);
    }
    if request.headers().len() > FIELDS_MAX {
        return Err(Fault::TooManyFields);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = hosts.next().map(HeaderValue::as_bytes);
    let named = match (authority, host, hosts.next()) {
        (Some(authority), None, _) => authority,
        (None, Some(host), None) => host,
        (Some(authority), Some(host), None) if authority.eq_ignore_ascii_case(host) => authority,
        _ => return Err(Fault::Host),
    };
    if line::is_authority(named) { Ok(()) } else { Err(Fault::Host) }
}
