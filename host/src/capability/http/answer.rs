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
pub(in crate::capability) type IoWork = Box<dyn Future<Output = Result<(), Error>> + Send>;
pub(in crate::capability) type Answered = Result<(Response<WasiBody>, IoWork), Error>;

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
        pump(body, waits, &pieces, permit).await;
        Ok(())
    });
    (Response::from_parts(head, Piped { pieces: received, ended: false }.boxed_unsync()), work)
}

async fn pump(mut body: Body, waits: Waits, pieces: &mpsc::Sender<Piece>, permit: OwnedSemaphorePermit) {
    let mut permit = Some(permit);
    loop {
        let until = Instant::now().checked_add(waits.between).map_or(waits.deadline, |by| by.min(waits.deadline));
        let piece = match timeout_at(until.into(), body.frame()).await {
            Err(_elapsed) => Piece::Failed(Error::ConnectionReadTimeout),
            Ok(Some(Ok(frame))) => Piece::Frame(frame),
            Ok(Some(Err(error))) => Piece::Failed(into_wasi(error)),
            Ok(None) => Piece::End,
        };
        let is_last = !matches!(piece, Piece::Frame(_));
        if is_last {
            // Before the guest learns of the end: it may return at once, with nothing under way.
            drop(permit.take());
        }
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::{Wake, Waker},
    };

    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    /// Notes, whenever the guest is woken, how many places are free.
    struct Guest(Arc<Semaphore>, AtomicUsize);

    impl Wake for Guest {
        fn wake(self: Arc<Self>) {
            self.1.store(self.0.available_permits(), SeqCst);
        }
    }

    #[tokio::test]
    async fn a_guest_that_learns_of_the_end_has_nothing_under_way() {
        let places = Arc::new(Semaphore::new(1));
        let permit = places.clone().try_acquire_owned().unwrap();
        let nothing = http_body_util::StreamBody::new(futures_util::stream::empty::<Result<Frame<Bytes>, BodyError>>());
        let waits = Waits { between: Duration::MAX, deadline: Instant::now() + Duration::from_secs(60) };
        let (response, work) = answered(Response::new(Body::new(nothing)), waits, permit);
        let mut body = response.into_body();
        let guest = Arc::new(Guest(places, AtomicUsize::new(usize::MAX)));
        let waker = Waker::from(guest.clone());
        assert!(http_body::Body::poll_frame(Pin::new(&mut body), &mut Context::from_waker(&waker)).is_pending());
        assert_eq!(guest.1.load(SeqCst), usize::MAX, "not woken yet");
        assert!(Box::into_pin(work).now_or_never().is_some_and(|done| done.is_ok()));
        assert_eq!(guest.1.load(SeqCst), 1, "free when it is told");
    }
}
