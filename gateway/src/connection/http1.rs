//! One HTTP/1 connection: hyper behind the strict reader, its time limits, its end.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, ready},
};

use http::{HeaderValue, Response, header};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{
    Handler, Peer, Times,
    answer::{Asked, answer, switching},
    clock::{Alarm, DrainWatch, Since, WriteStall, nearer},
    refusal,
    state::{Exchange, State},
    stream::Flow,
    times::PARTING,
    transport::Transport,
    tunnel::Tunnel,
};
use crate::{
    body::Body,
    drain::{Drain, Phase},
    framing::{Fault, Framed, HEAD_MAX, Progress},
};

/// Why the driver stopped.
enum End {
    /// hyper closed, in order or not.
    Closed(hyper::Result<()>),
    /// Something that is no request; every earlier answer is out.
    Refused(Fault),
    /// Idle, stalled or cut by the drain: closed without a word.
    Dropped(&'static str),
}

/// What the connection waits for; each has its own limit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Waiting {
    /// The first byte of the first request.
    First,
    /// The next request; `answered` so far.
    Next { answered: u64 },
    /// The rest of a head.
    Head,
    /// Requests in flight; their limits are elsewhere.
    Answers,
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handler>(
    transport: Transport,
    state: Arc<State>,
    peer: Peer,
    handler: &H,
    times: &Times,
    drain: &Drain,
) {
    let progress = Arc::new(Progress::default());
    let behind = Mutex::new(None);
    let service = service_fn(|mut request| {
        state.introduce(&mut request);
        let exchange = Exchange::start(&state);
        let asked = Asked::by(&request);
        let (progress, behind) = (&progress, &behind);
        async move {
            let mut response = handler.handle(peer, request).await;
            if let Some(tunnel) = Tunnel::of(&mut response) {
                *behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
                return Ok(switching(exchange, response));
            }
            if drain.phase() != Phase::Serving || is_given_up(&response, progress) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer(handler, asked, exchange, Flow::unwatched(), response))
        }
    });
    let mut connection = http1::Builder::new()
        // The reader has its own, smaller limit; hyper's must never speak first.
        .max_buf_size(HEAD_MAX + 8 * 1024)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(Framed::new(transport, progress.clone())), service);

    let started = Instant::now();
    let sleep = pin!(sleep_until(started + times.head));
    let mut alarm = Alarm::new(sleep);
    let changed = pin!(drain.changed());
    let mut watch = DrainWatch::new(drain, changed);
    let mut waiting = Since::now(Waiting::First);
    let mut stall = WriteStall::new(times.write_stall);
    // After a moment in which the whole process stood still, a request may be here that nobody has heard of yet.
    let mut listening = None;

    let end = poll_fn(|cx| {
        if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(End::Closed(result));
        }
        if let Some(fault) = refusal_due(&state, &progress) {
            return Poll::Ready(End::Refused(fault));
        }
        let phase = watch.phase(cx);
        if phase == Phase::Cut {
            return Poll::Ready(End::Dropped("cut by the drain"));
        }
        let now_waiting = what_for(&state, &progress);
        let since = waiting.look(now_waiting);
        let limit = match (now_waiting, phase) {
            (Waiting::Answers, _) => None,
            (Waiting::Head, _) => Some(since + times.head),
            (_, Phase::Draining) => Some(since + PARTING),
            (Waiting::First, _) => Some(since + times.head),
            (Waiting::Next { .. }, _) => Some(since + times.idle.get()),
        };
        if !alarm.rang(cx, nearer(limit, stall.deadline(&state))) {
            listening = None;
            return Poll::Pending;
        }
        ready!(listening.get_or_insert_with(|| Box::pin(yield_now())).as_mut().poll(cx));
        Poll::Ready(match now_waiting {
            Waiting::Head if !state.is_shut() => End::Refused(Fault::HeadTooSlow),
            Waiting::Head | Waiting::First | Waiting::Next { .. } => End::Dropped("idle"),
            Waiting::Answers => End::Dropped("the client does not read"),
        })
    })
    .await;

    let parts = connection.into_parts();
    let (mut transport, held) = parts.io.into_inner().into_parts();
    let tunnel = behind.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (End::Closed(Ok(())), Some(tunnel)) = (&end, tunnel) {
        return carry(tunnel, &mut transport, &[parts.read_buf, held.freeze()].concat(), peer, drain).await;
    }
    finish(end, transport, &state, &progress, peer, handler, (times, drain)).await;
}

/// The connection goes on in another protocol. Whoever cannot know that it is over is told by a reset.
async fn carry(mut tunnel: Tunnel, transport: &mut Transport, early: &[u8], peer: Peer, drain: &Drain) {
    if let Err(why) = tunnel.join(transport, early, drain).await {
        tracing::debug!(client = %peer.address, %why, "another protocol was ended");
        transport.reset_on_close();
    }
}

/// Closes so that the client can tell a whole answer from a broken one.
async fn finish<H: Handler>(
    end: End,
    mut transport: Transport,
    state: &State,
    progress: &Progress,
    peer: Peer,
    handler: &H,
    (times, drain): (&Times, &Drain),
) {
    match end {
        End::Closed(Ok(())) if progress.is_between_requests() => {}
        End::Closed(Ok(())) => refusal::linger(&mut transport, times, drain).await,
        End::Closed(Err(error)) => {
            tracing::debug!(client = %peer.address, %error, "connection broke");
            if state.looks_whole() {
                transport.reset_on_close();
            }
        }
        End::Refused(fault) => {
            tracing::debug!(client = %peer.address, %fault, "refused");
            let response = handler.refuse(fault.status(), &fault.to_string());
            refusal::send(&mut transport, response, times, drain).await;
        }
        End::Dropped(why) => {
            tracing::debug!(client = %peer.address, why, "connection closed");
            // Part of an answer may be out, and the close may be all that would end it.
            if progress.heads() > state.answered() {
                transport.reset_on_close();
            }
        }
    }
}

/// Whether a request was refused while its body was under way: what is left of that is thrown
/// away, so no other request can follow it.
fn is_given_up(response: &Response<Body>, progress: &Progress) -> bool {
    !progress.is_between_requests() && (response.status().is_client_error() || response.status().is_server_error())
}

/// The fault to answer now: all requests before it have been answered to the last byte.
fn refusal_due(state: &State, progress: &Progress) -> Option<Fault> {
    let fault = progress.refusal()?;
    (state.answered() == progress.heads() && !state.is_shut()).then_some(fault)
}

fn what_for(state: &State, progress: &Progress) -> Waiting {
    let answered = state.answered();
    match progress.heads() {
        heads if heads > answered => Waiting::Answers,
        _ if progress.in_head() => Waiting::Head,
        0 => Waiting::First,
        _ => Waiting::Next { answered },
    }
}
