//! The one body type of the gateway and the ways a body can fail.
//!
//! A [`Body`] that is already whole costs no allocation; a streamed one costs one. What an answer
//! holds until its last byte is in `body/held`, the limit of a request's body in
//! `body/limited`, which of them are waited for in `body/small`, what came whole over HTTP/2 in `body/ended`.

mod awaited;
mod empty_frames;
mod ended;
mod error;
mod fault;
mod held;
mod limited;
pub mod pace;
mod small;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

pub use awaited::Awaited;
pub use ended::Ended;
pub use error::BodyError;
pub(crate) use fault::Fault;
pub(crate) use held::Held;
pub(crate) use limited::within_limit;
pub(crate) use small::{SMALL_MAX_BYTES, is_small};

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
            Poll::Ready(Some(Ok(frame))) => {
                held.sent(frame);
                this.held = Some(held);
            }
            Poll::Pending => this.held = Some(held),
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

#[cfg(test)]
mod tests;
