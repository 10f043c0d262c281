//! From a running guest to a response: waits for the head, then streams the body while the guest
//! goes on in the same task.
//!
//! A body ends well only when the guest has returned well. A guest that traps or runs out of time
//! after its head makes the body fail, so that the answer never looks complete.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use gateway::body::{self, Body, BodyError};
use http::Response;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use tokio::time::Sleep;
use wasmtime_wasi_http::WasiBody;

use super::{
    Version,
    gate::Permit,
    recycle,
    run::{Failure, GuestRun},
};
use crate::instance::Instance;

/// A response whose body may still be in the making.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
}

/// Empty frames a guest may write in a row before its answer is given up (GHSA-f8mm).
const EMPTY_FRAMES_MAX: u32 = 1_000;

/// Runs the guest as far as its response head. Cancel safe: dropping it ends the guest.
pub(super) async fn head(mut run: GuestRun, version: Arc<Version>, permit: Permit) -> Result<Answer, Failure> {
    let mut timer = Timer::default();
    let (head, finished) = poll_fn(|cx| poll_head(&mut run, &mut timer, cx)).await?;
    let (parts, body) = head.into_parts();
    let body = match finished {
        Some(instance) => {
            // In this order: while the instance lives, a body without an end shows as pending.
            let body = whole(body)?;
            recycle(&version, instance);
            body
        }
        None => {
            let guest = Guest::Running(run);
            Streaming { guest, body, timer, version, _permit: permit, empty_frames: 0 }.boxed_unsync().into()
        }
    };
    Ok(Answer { response: Response::from_parts(parts, body) })
}

type HeadAndEnd = (Response<WasiBody>, Option<Instance>);

fn poll_head(run: &mut GuestRun, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Result<HeadAndEnd, Failure>> {
    let finished = match run.poll(cx) {
        Poll::Ready(Ok(instance)) => Some(instance),
        Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
        Poll::Pending => None,
    };
    match (run.take_head(), finished) {
        (Some(Ok(head)), finished) => Poll::Ready(Ok((head, finished))),
        (Some(Err(failure)), _) => Poll::Ready(Err(failure)),
        (None, Some(_)) => Poll::Ready(Err(Failure::NoAnswer("it returned without setting a response".into()))),
        (None, None) if timer.poll_passed(run.deadline, cx) => Poll::Ready(Err(Failure::DeadlineExceeded)),
        (None, None) => Poll::Pending,
    }
}

/// The body of a guest that has returned: all of it is here already. One piece gets a known
/// length, which spares the chunked coding.
fn whole(mut inner: WasiBody) -> Result<Body, Failure> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut pieces = Vec::new();
    loop {
        match Pin::new(&mut inner).poll_frame(&mut cx) {
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
    http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync().into()
}

/// A body and the guest that is still writing it.
struct Streaming {
    guest: Guest,
    body: WasiBody,
    timer: Timer,
    version: Arc<Version>,
    _permit: Permit,
    empty_frames: u32,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

enum Guest {
    Running(GuestRun),
    /// It has returned well; its instance is kept until the body has ended, because a body that
    /// the guest left open ends as if it were whole once its store is gone.
    Returned(Instance),
    Gone,
}

impl http_body::Body for Streaming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Err(failure) = self.drive(cx) {
                return Poll::Ready(Some(Err(self.cut(&failure))));
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => {
                    self.empty_frames += 1;
                    if self.empty_frames > EMPTY_FRAMES_MAX {
                        let failure = Failure::NoAnswer("it wrote too many empty pieces".into());
                        return Poll::Ready(Some(Err(self.cut(&failure))));
                    }
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.empty_frames = 0;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => {
                    let failure = Failure::NoAnswer(format!("its body failed: {error}"));
                    return Poll::Ready(Some(Err(self.cut(&failure))));
                }
                Poll::Ready(None) => return self.ended(cx),
                Poll::Pending => return self.waiting(cx),
            }
        }
    }
}

impl Streaming {
    /// Lets the guest go on.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let Guest::Running(run) = &mut self.guest else { return Ok(()) };
        if let Poll::Ready(returned) = run.poll(cx) {
            self.guest = Guest::Returned(returned?);
        }
        Ok(())
    }

    /// The body has ended: the answer is whole once the guest has returned, too.
    fn ended(&mut self, cx: &mut Context<'_>) -> Polled {
        match std::mem::replace(&mut self.guest, Guest::Gone) {
            Guest::Returned(instance) => recycle(&self.version, instance),
            Guest::Gone => {}
            running @ Guest::Running(_) => {
                self.guest = running;
                return self.waiting(cx);
            }
        }
        Poll::Ready(None)
    }

    fn waiting(&mut self, cx: &mut Context<'_>) -> Polled {
        let failure = match &self.guest {
            Guest::Running(run) if !self.timer.poll_passed(run.deadline, cx) => return Poll::Pending,
            Guest::Running(_) => Failure::DeadlineExceeded,
            Guest::Returned(_) | Guest::Gone => Failure::NoAnswer("it returned without finishing its body".into()),
        };
        Poll::Ready(Some(Err(self.cut(&failure))))
    }

    /// Ends the guest; the one log line of an answer that broke after its head.
    fn cut(&mut self, failure: &Failure) -> BodyError {
        self.guest = Guest::Gone;
        let service = &self.version.component.service;
        tracing::warn!(%service, reason = %failure, "answer cut short after its head");
        BodyError::Cut(failure.to_string())
    }
}

/// A timer that exists only once something has had to wait.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_passed(&mut self, deadline: std::time::Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        sleep.as_mut().poll(cx).is_ready()
    }
}
