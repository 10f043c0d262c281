//! An answer on its way to the guest that asked for it.
//!
//! A task of its own reads the body and hands over one piece at a time: whoever writes the body,
//! another guest for instance, runs in that task and not in the reader's, and waits while the
//! reader does. The task ends with the answer, or when the guest drops it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gateway::body::{Body, BodyError};
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout_at,
};
use wasmtime_wasi_http::{Error, WasiBody};

/// Work that wasmtime spawns and ends with the answer.
pub(super) type IoWork = Box<dyn Future<Output = Result<(), Error>> + Send>;
pub(super) type Answered = Result<(Response<WasiBody>, IoWork), Error>;

/// How long the next piece of an answer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) between: Duration,
    pub(super) deadline: Instant,
}

enum Piece {
    Frame(Frame<Bytes>),
    Failed(Error),
    End,
}

/// The answer as a guest may read it; `permit` is held until it has ended.
pub(super) fn answered(
    response: Response<Body>,
    waits: Waits,
    permit: OwnedSemaphorePermit,
) -> (Response<WasiBody>, IoWork) {
    let (head, body) = response.into_parts();
    if body.is_whole() {
        let body = body.map_err(into_wasi).boxed_unsync();
        return (Response::from_parts(head, body), Box::new(std::future::ready(Ok(()))));
    }
    let (pieces, received) = mpsc::channel(1);
    let work = Box::new(async move {
        pump(body, waits, &pieces).await;
        drop(permit);
        Ok(())
    });
    (Response::from_parts(head, Piped { pieces: received, ended: false }.boxed_unsync()), work)
}

async fn pump(mut body: Body, waits: Waits, pieces: &mpsc::Sender<Piece>) {
    loop {
        let until = Instant::now().checked_add(waits.between).map_or(waits.deadline, |by| by.min(waits.deadline));
        let piece = match timeout_at(until.into(), body.frame()).await {
            Err(_elapsed) => Piece::Failed(Error::ConnectionReadTimeout),
            Ok(Some(Ok(frame))) => Piece::Frame(frame),
            Ok(Some(Err(error))) => Piece::Failed(into_wasi(error)),
            Ok(None) => Piece::End,
        };
        let is_last = !matches!(piece, Piece::Frame(_));
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

struct Piped {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl http_body::Body for Piped {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        self.ended = !matches!(piece, Some(Piece::Frame(_)));
        Poll::Ready(match piece {
            Some(Piece::Frame(frame)) => Some(Ok(frame)),
            Some(Piece::Failed(error)) => Some(Err(error)),
            Some(Piece::End) => None,
            // The task ended without a word: it was cut off.
            None => Some(Err(Error::HttpResponseIncomplete)),
        })
    }
}

fn into_wasi(error: BodyError) -> Error {
    match error {
        BodyError::TooLarge { limit } => Error::HttpResponseBodySize(Some(limit)),
        BodyError::TooSlow | BodyError::DeadlineExceeded => Error::HttpResponseTimeout,
        BodyError::Cut(_) => Error::HttpResponseIncomplete,
    }
}
