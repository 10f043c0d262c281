//! One HTTP/2 stream's task: ends a stream whose client stopped taking its answer.
//!
//! On HTTP/1 a client that does not read blocks the socket, and the driver sees that. On
//! HTTP/2 it can keep one stream's window shut while the socket moves, and nothing would
//! ever poll the body again.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

/// Whom an answer's body waits for. Odd: the client; each frame changes the number.
#[derive(Debug, Clone, Default)]
pub(super) struct Flow(Option<Arc<AtomicU64>>);

impl Flow {
    /// For HTTP/1, where nobody asks.
    pub(super) fn unwatched() -> Self {
        Self(None)
    }

    fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    pub(super) fn waits_for_client(&self) {
        if let Some(turns) = &self.0 {
            turns.store((turns.load(Relaxed) + 1) | 1, Relaxed);
        }
    }

    pub(super) fn waits_for_service(&self) {
        if let Some(turns) = &self.0 {
            turns.store((turns.load(Relaxed) + 1) & !1, Relaxed);
        }
    }

    fn turns(&self) -> u64 {
        self.0.as_ref().map_or(0, |turns| turns.load(Relaxed))
    }
}

/// Spawns hyper's stream futures, each under a [`Watched`].
///
/// hyper calls the service and then hands over the stream made from it, both on the
/// connection's task; so the flow made in between belongs to that stream. The tasks end with
/// the connection: hyper's stream futures notice that it is gone.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    next: Arc<Mutex<Flow>>,
    stall_max: Duration,
}

impl Streams {
    pub(super) fn new(stall_max: Duration) -> Self {
        Self { next: Arc::default(), stall_max }
    }

    /// The flow of the request that the service was just called with.
    pub(super) fn open(&self) -> Flow {
        let flow = Flow::watched();
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = flow.clone();
        flow
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let flow = std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::spawn(Watched { stream, flow, seen: 0, stall_max: self.stall_max, stalled: None });
    }
}

pin_project! {
    struct Watched<F> {
        #[pin]
        stream: F,
        flow: Flow,
        seen: u64,
        stall_max: Duration,
        // Made only when an answer first waits for its client.
        stalled: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let turns = this.flow.turns();
        if turns.is_multiple_of(2) {
            return Poll::Pending; // the handler or its body is working
        }
        let deadline = Instant::now() + *this.stall_max;
        let sleep = this.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if turns != *this.seen {
            *this.seen = turns;
            sleep.as_mut().reset(deadline);
        }
        // Dropping the stream future resets the stream.
        sleep.as_mut().poll(cx).map(|()| tracing::debug!("stream cut: its client does not read"))
    }
}
