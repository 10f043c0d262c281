//! The one body type of the gateway and the ways a body can fail.
//!
//! A [`Body`] that is already whole costs no allocation; a streamed one costs one. What an answer
//! holds until its last byte is in `body/held`, the limit of a request's body in `body/limited`, which of them are waited for in `body/small`.

mod awaited;
mod held;
mod limited;
pub mod pace;
mod small;

use std::{
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

pub use awaited::Awaited;
pub(crate) use held::Held;
pub(crate) use limited::{Fault, limited};
pub(crate) use small::{SMALL_MAX_BYTES, is_small};

/// Empty data frames after which a body is given up: they cost the receiver memory and time and
/// carry nothing (GHSA-f8mm).
const EMPTY_FRAMES_MAX: u32 = 1000;

/// A streamed request or response body.
pub struct Body {
    inner: Inner,
    /// What an answer keeps until its end; nothing for a request.
    held: Option<Box<Held>>,
}

enum Inner {
    Empty,
    Full(Bytes),
    Stream(UnsyncBoxBody<Bytes, BodyError>),
}

/// Why a body ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route's `body_limit`.
    #[error("the request body is over the limit of {limit} bytes")]
    TooLarge { limit: u64 },

    /// The sender was slower than the pace limit, or silent for too long.
    #[error("the body came too slowly")]
    TooSlow,

    /// The deadline of the request passed while its body was moving.
    #[error("the deadline passed")]
    DeadlineExceeded,

    /// The peer went away or broke the protocol.
    #[error("the body was cut short: {0}")]
    Cut(String),
}

/// No bytes at all.
pub fn empty() -> Body {
    Body { inner: Inner::Empty, held: None }
}

/// A body that is already whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    let bytes = bytes.into();
    let inner = if bytes.is_empty() { Inner::Empty } else { Inner::Full(bytes) };
    Body { inner, held: None }
}

impl Body {
    /// Any stream of frames. An error of it means that the body was cut short.
    pub fn new(stream: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        stream.boxed_unsync().into()
    }

    /// The same body, holding what must be held until its last byte is gone.
    pub(crate) fn holding(mut self, held: Box<Held>) -> Self {
        self.held = Some(held);
        self
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                self.inner = Inner::Empty;
                Poll::Ready(Some(Ok(frame)))
            }
            Inner::Stream(stream) => Pin::new(stream).poll_frame(cx),
        }
    }
}

impl From<UnsyncBoxBody<Bytes, BodyError>> for Body {
    fn from(stream: UnsyncBoxBody<Bytes, BodyError>) -> Self {
        Self { inner: Inner::Stream(stream), held: None }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(mut held) = this.held.take() else {
            return this.poll_inner(cx);
        };
        let polled = match this.inner {
            Inner::Stream(_) => held.poll(cx, |cx| this.poll_inner(cx)),
            // Whole since its head was checked; a 504 is itself sent after the deadline.
            Inner::Empty | Inner::Full(_) => this.poll_inner(cx),
        };
        match &polled {
            Poll::Ready(None) => held.completed(),
            Poll::Ready(Some(Err(_))) => this.inner = Inner::Empty,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => this.held = Some(held),
        }
        polled
    }

    /// A body that holds something says so only when polled, or its length could go unchecked.
    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => self.held.as_ref().is_none_or(|held| held.is_settled()),
            Inner::Full(_) => false,
            Inner::Stream(stream) => stream.is_end_stream() && self.held.as_ref().is_none_or(|held| held.is_settled()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(stream) => stream.size_hint(),
        }
    }
}

/// The last chance to see that an answer was sent whole: hyper drops a body that says it is at
/// its end without polling it again.
impl Drop for Body {
    fn drop(&mut self) {
        if self.is_end_stream()
            && let Some(held) = &mut self.held
        {
            held.completed();
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}

impl From<std::convert::Infallible> for BodyError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<hyper::Error> for BodyError {
    /// A timeout of the socket's reader is the sender's slowness; anything else cut the body.
    fn from(error: hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(source) = cause {
            if let Some(io) = source.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::TimedOut
            {
                return Self::TooSlow;
            }
            cause = source.source();
        }
        Self::Cut(error.to_string())
    }
}

/// Counts empty data frames of one body.
#[derive(Debug, Default)]
struct EmptyFrames(u32);

impl EmptyFrames {
    /// Whether this frame carries nothing and is to be dropped.
    fn swallow(&mut self, frame: &Frame<Bytes>) -> Result<bool, BodyError> {
        if !frame.data_ref().is_some_and(Bytes::is_empty) {
            return Ok(false);
        }
        self.0 += 1;
        if self.0 > EMPTY_FRAMES_MAX {
            return Err(BodyError::Cut(format!("more than {EMPTY_FRAMES_MAX} empty frames")));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
