//! The limit of a request's body, counted while it streams.
//!
//! Decides when a body is too large or only empty frames, and remembers the first failure, so
//! that the gateway answers with it even if the service made something else of it. A body whose
//! declared length is over the limit is refused before this.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    Awaited, Body, BodyError, empty,
    empty_frames::EmptyFrames,
    fault::{Fate, Fault},
};
use crate::headers;

/// The body as a service may read it, at most `limit` bytes. `awaited` is told when it is waited for.
///
/// # Errors
/// [`BodyError::TooLarge`] at once when its declared length is over the limit.
pub(crate) fn within_limit<B>(body: B, limit: u64, awaited: Awaited) -> Result<(Body, Fault), BodyError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    if body.is_end_stream() {
        return Ok((empty(), Fault::default()));
    }
    if body.size_hint().lower() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let fate = Arc::new(Fate::default());
    let fault = Fault::of(fate.clone());
    let empty_frames = EmptyFrames::default();
    Ok((Body::new(Limited { inner: body, limit, left: limit, empty_frames, fate, awaited }), fault))
}

pin_project! {
    struct Limited<B> {
        #[pin]
        inner: B,
        limit: u64,
        left: u64,
        empty_frames: EmptyFrames,
        fate: Arc<Fate>,
        awaited: Awaited,
    }

    // Nobody waits any more.
    impl<B> PinnedDrop for Limited<B> {
        fn drop(this: Pin<&mut Self>) {
            this.awaited.ends();
        }
    }
}

impl<B> http_body::Body for Limited<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        if let Some(error) = this.fate.failed.get() {
            return Poll::Ready(Some(Err(error.clone())));
        }
        let checked = loop {
            let polled = this.inner.as_mut().poll_frame(cx);
            match polled.is_pending() {
                true => this.awaited.begins(),
                false => this.awaited.ends(),
            }
            let frame = match ready!(polled) {
                None => return Poll::Ready(None),
                Some(frame) => frame.map_err(Into::into),
            };
            match frame.and_then(|frame| Ok((this.empty_frames.swallow(&frame)?, frame))) {
                Ok((true, _empty)) => continue,
                Ok((false, frame)) => break counted(frame, this.left, *this.limit),
                Err(error) => break Err(error),
            }
        };
        this.fate.bytes.store(*this.limit - *this.left, Relaxed);
        Poll::Ready(Some(checked.inspect_err(|error| {
            // Only this body sets it, and it was unset above.
            let _ = this.fate.failed.set(error.clone());
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.fate.failed.get().is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Trailers are cleaned like the head: they could smuggle in what the head may not say.
fn counted(mut frame: Frame<Bytes>, left: &mut u64, limit: u64) -> Result<Frame<Bytes>, BodyError> {
    if let Some(data) = frame.data_ref() {
        *left = left.checked_sub(data.len() as u64).ok_or(BodyError::TooLarge { limit })?;
    } else if let Some(trailers) = frame.trailers_mut() {
        headers::clean_request(trailers);
    }
    Ok(frame)
}
