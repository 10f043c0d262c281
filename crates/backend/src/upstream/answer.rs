//! An answer's body, and the connection that brings it.
//!
//! A connection goes back when the answer has come to its end, and is closed when it has not: an
//! answer that breaks off is an error of the body, and nothing follows it. Either tells how its address is.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use gateway::body::{BodyError, Ended};
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    load::Load,
    pool::{Lent, Pool},
    standing::Verdict,
};

/// The body of an answer from elsewhere.
pub struct Answer {
    body: Ended<Incoming>,
    pool: Arc<Pool>,
    /// None once it was given back or closed.
    lent: Option<Lent>,
    /// None where its end tells nothing of its address, or has.
    verdict: Option<Verdict>,
    /// None of one that only says that the connection is something else now.
    _load: Option<Load>,
}

impl Answer {
    pub(super) fn of(response: Response<Incoming>, pool: Arc<Pool>, lent: Lent, load: Load) -> Response<Self> {
        let version = response.version();
        let (lent, load) = (Some(lent), Some(load));
        response.map(|body| Self { body: Ended::new(body, version), pool, lent, verdict: None, _load: load })
    }

    /// Of a 101: it has no bytes, and its connection is not one of the pool's any more.
    pub(super) fn none(response: Response<Incoming>, pool: Arc<Pool>) -> Response<Self> {
        let version = response.version();
        response.map(|body| Self { body: Ended::new(body, version), pool, lent: None, verdict: None, _load: None })
    }

    /// From now on its end tells how its address is.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }

    fn ended(&mut self) {
        if let Some(verdict) = self.verdict.take() {
            verdict.whole();
        }
        if let Some(lent) = self.lent.take() {
            self.pool.give_back(lent);
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            None => self.ended(),
            Some(Err(broken)) => {
                self.lent = None;
                if let Some(verdict) = self.verdict.take() {
                    verdict.broken(broken);
                }
            }
            Some(Ok(_)) => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.ended();
        }
    }
}
