//! From a running guest to a response: waits for the head, then streams the body while the guest
//! goes on in the same task.
//!
//! A body ends well only when the guest has returned well. A guest that traps or runs out of time
//! after its head makes the body fail, so that the answer never looks complete. Past the deadline
//! the guest is gone even if nobody asks for the body any more.

mod streaming;
mod work;

use std::{
    future::{poll_fn, ready},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::StreamExt;
use gateway::body::{self, Body};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use wasmtime_wasi_http::WasiBody;

use super::{
    Failure,
    leave::Timer,
    run::{GuestBody, GuestRun},
};
use crate::instance::Instance;
use streaming::{Streaming, poll_here};
pub(super) use work::Work;

/// Runs the guest as far as its response head. Cancel safe: dropping it ends the guest.
pub(super) async fn head(mut work: Work) -> Result<Response<Body>, Failure> {
    let mut timer = Timer::default();
    let outcome = poll_fn(|cx| poll_head(&mut work.run, &mut timer, cx)).await;
    let (head, finished) = match outcome {
        Ok(answered) => answered,
        Err(failure) => {
            work.version.counts().troubles.count(failure.trouble());
            work.admitted.failed_for(failure.blame());
            return Err(failure);
        }
    };
    let (parts, inner) = head.into_parts();
    let bodiless = work.head_only || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let inner = match inner {
        GuestBody::Open(inner) if bodiless => GuestBody::Open(of_any_length(inner)),
        inner => inner,
    };
    let body = match (finished, inner) {
        (Some(instance), inner) => {
            // In this order: while the instance lives, a body without an end shows as pending.
            let body = match inner {
                GuestBody::Open(inner) => whole(inner),
                GuestBody::Whole(body) => Ok(body),
            };
            match body.map_err(|failure| work.run.failed(failure.after(instance.output.exception()))) {
                Ok(body) => {
                    work.admitted.succeeded();
                    work.version.keep(instance);
                    body
                }
                Err(failure) => {
                    work.version.counts().troubles.count(failure.trouble());
                    work.admitted.failed_for(failure.blame());
                    return Err(failure);
                }
            }
        }
        (None, GuestBody::Open(inner)) if bodiless => {
            discarded(Streaming::new(work, inner)).await?;
            body::empty()
        }
        (None, GuestBody::Open(inner)) => Streaming::new(work, inner).boxed_unsync().into(),
        // Only a guest that has returned gives one.
        (None, GuestBody::Whole(body)) => body,
    };
    Ok(Response::from_parts(parts, body))
}

type HeadAndEnd = (Response<GuestBody>, Option<Instance>);

fn poll_head(run: &mut GuestRun, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Result<HeadAndEnd, Failure>> {
    let finished = match run.poll(cx) {
        Poll::Ready(Ok(instance)) => Some(instance),
        Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
        Poll::Pending => None,
    };
    match (run.take_head(), finished) {
        (Some(Ok(head)), finished) => Poll::Ready(Ok((head, finished))),
        (Some(Err(failure)), _) => Poll::Ready(Err(failure)),
        (None, Some(instance)) => {
            let failure = Failure::NoAnswer("it returned without setting a response".into());
            Poll::Ready(Err(run.failed(failure.after(instance.output.exception()))))
        }
        (None, None) => timer.poll_over(&run.head_limits, cx).map(|over| Err(run.failed(over.into()))),
    }
}

/// The body of a guest that has returned: all of it is here already. One piece gets a known
/// length, which spares the chunked coding.
fn whole(mut inner: WasiBody) -> Result<Body, Failure> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut pieces = Vec::new();
    loop {
        match poll_here(&mut inner, &mut cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => pieces.push(data),
                Err(trailers) => return Ok(with_trailers(pieces, trailers)),
            },
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(error))) => return Err(Failure::NoAnswer(format!("its body failed: {error}"))),
            Poll::Pending => return Err(Failure::NoAnswer("it returned without finishing its body".into())),
        }
    }
    Ok(match pieces.len() {
        0 => body::empty(),
        1 => body::full(pieces.remove(0)),
        _ => body::full(pieces.concat()),
    })
}

fn with_trailers(pieces: Vec<Bytes>, trailers: Frame<Bytes>) -> Body {
    let frames = pieces.into_iter().map(Frame::data).chain([trailers]).map(Ok);
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync().into()
}

/// A body that goes nowhere may end before its `Content-Length`, which tells the length of another
/// answer (RFC 9110 section 8.6); wasmtime would have it fail.
fn of_any_length(body: WasiBody) -> WasiBody {
    let frames = BodyStream::new(body).take_while(|frame| ready(frame.is_ok()));
    StreamBody::new(frames).boxed_unsync()
}

/// Lets a guest finish an answer whose body goes nowhere (HEAD, 204, 304).
async fn discarded(mut body: Streaming) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| Failure::NoAnswer(error.to_string()))?;
    }
    Ok(())
}
