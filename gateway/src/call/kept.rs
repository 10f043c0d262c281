//! A request's body that can be sent a second time: what the first try read of it is kept, as
//! long as that is little.
//!
//! A body that turned out longer, or was still under way when its try failed, is gone with it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::{self, Body, BodyError, SMALL_MAX_BYTES};

/// What has been read of a body so far; shared with the [`Keeping`] that reads it.
#[derive(Clone)]
pub(super) struct Kept(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pieces: Vec<Bytes>,
    bytes: u64,
    state: Progress,
}

#[derive(Default, PartialEq, Eq)]
enum Progress {
    #[default]
    UnderWay,
    Ended,
    /// Too long, broken, or with trailers.
    Lost,
}

/// The body to send first, and what is kept of it.
pub(super) fn kept(body: Body) -> (Body, Kept) {
    let kept = Kept(Arc::default());
    let keeping = Keeping { body, kept: kept.clone() };
    (Body::new(keeping), kept)
}

impl Kept {
    /// The same body again, if all of it is here.
    pub(super) fn again(&self) -> Option<Body> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.state == Progress::Ended).then(|| body::full(state.pieces.concat()))
    }

    fn note(&self, frame: Option<&Result<Frame<Bytes>, BodyError>>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let data = match frame {
            None if state.state == Progress::UnderWay => return state.state = Progress::Ended,
            None => return,
            Some(Ok(frame)) => frame.data_ref(),
            Some(Err(_)) => None,
        };
        state.bytes += data.map_or(SMALL_MAX_BYTES + 1, |data| data.len() as u64);
        match data {
            Some(data) if state.state == Progress::UnderWay && state.bytes <= SMALL_MAX_BYTES => {
                state.pieces.push(data.clone());
            }
            _ => (state.state, state.pieces) = (Progress::Lost, Vec::new()),
        }
    }
}

struct Keeping {
    body: Body,
    kept: Kept,
}

impl http_body::Body for Keeping {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.kept.note(polled.as_ref());
        Poll::Ready(polled)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
