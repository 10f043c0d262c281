//! A request's body that can be sent a second time: what a try reads of it is kept, as long as
//! that is little, and the next try reads it again and goes on where the last one stopped.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame};

use crate::body::{Body, BodyError, SMALL_MAX_BYTES};

/// One body, and what its tries have read of it.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<State>>);

struct State {
    body: Body,
    pieces: Vec<Bytes>,
    bytes: u64,
    /// Too long, broken, or with trailers: no other try can have it.
    lost: bool,
    ended: bool,
}

impl Kept {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(State { body, pieces: Vec::new(), bytes: 0, lost: false, ended: false })))
    }

    /// The whole body from its start; none when it can no longer be had. Reads of an earlier try
    /// must have ended.
    pub(super) fn again(&self) -> Option<Body> {
        let lost = self.0.lock().unwrap_or_else(PoisonError::into_inner).lost;
        (!lost).then(|| Body::new(Reading { kept: self.clone(), read: 0 }))
    }
}

/// One try's reading of it.
struct Reading {
    kept: Kept,
    /// Kept pieces that it has had.
    read: usize,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl State {
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            None => self.ended = true,
            Some(Ok(frame)) if frame.is_data() => self.keep(frame.data_ref().cloned().unwrap_or_default()),
            Some(_) => self.lose(),
        }
        Poll::Ready(polled)
    }

    fn keep(&mut self, piece: Bytes) {
        self.bytes += piece.len() as u64;
        match self.lost || self.bytes > SMALL_MAX_BYTES {
            true => self.lose(),
            false => self.pieces.push(piece),
        }
    }

    fn lose(&mut self) {
        (self.lost, self.pieces) = (true, Vec::new());
    }
}

impl http_body::Body for Reading {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let mut state = this.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = state.pieces.get(this.read) {
            this.read += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let polled = state.poll_more(cx);
        this.read = state.pieces.len();
        polled
    }
}
