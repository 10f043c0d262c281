//! A body over HTTP/2, whose end has to be said.
//!
//! hyper takes a stream that is reset with NO_ERROR for one that has ended. It has only where END_STREAM came before;
//! otherwise something is missing, and nobody may take it for whole.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BodyError;

pin_project! {
    /// What came over a connection, and ends well only if its sender said so.
    pub struct Ended<B> {
        #[pin]
        body: B,
        // HTTP/1 has framing for that, which hyper holds to.
        is_marked: bool,
    }
}

impl<B> Ended<B> {
    /// `version` is that of the message it belongs to.
    pub fn new(body: B, version: Version) -> Self {
        Self { body, is_marked: version == Version::HTTP_2 }
    }
}

impl<B> http_body::Body for Ended<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        Poll::Ready(match ready!(this.body.as_mut().poll_frame(cx)) {
            Some(frame) => Some(frame.map_err(Into::into)),
            None if *this.is_marked && !this.body.is_end_stream() => {
                Some(Err(BodyError::Cut("its stream was reset before its end".into())))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
