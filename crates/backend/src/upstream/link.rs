//! One connection to one address: HTTP/1.1, which carries one request at a time, or HTTP/2, which
//! carries many.
//!
//! Decides the sizes of heads and windows. Dropping a link ends its connection.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use gateway::body::Body;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

use super::dial::Dialled;

const HEAD_MAX_BYTES: usize = 64 << 10;
const HEAD_FIELDS_MAX: usize = 100;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests at once on one HTTP/2 connection; a server may allow fewer, and the others wait.
const STREAMS_MAX: usize = 100;

/// What drives a connection; ended with its link.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection that is there; a shared one keeps its place.
pub(super) enum Opened {
    Single(Single, OwnedSemaphorePermit),
    Shared(Shared),
}

/// An HTTP/1.1 connection, for whoever holds it.
pub(super) struct Single {
    sender: http1::SendRequest<Body>,
    /// Since when it waits for a request.
    idle_since: Instant,
    generation: u64,
    _driver: Driver,
}

/// An HTTP/2 connection.
pub(super) struct Shared {
    sender: http2::SendRequest<Body>,
    streams: AtomicUsize,
    generation: u64,
    _driver: Driver,
    _place: OwnedSemaphorePermit,
}

/// An answer's head, or the request itself where nothing of it was sent.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// `place` is its place among the connections of its address.
pub(super) async fn open(dialled: Dialled, place: OwnedSemaphorePermit) -> hyper::Result<Opened> {
    let generation = dialled.generation;
    if dialled.is_h2 {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(STREAM_WINDOW_BYTES as usize)
            .max_header_list_size(HEAD_MAX_BYTES as u32)
            // All requests to an address share it: a dead one must be found out.
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(dialled.wire)
            .await?;
        // Its end is told by the answers and by `is_closed`.
        let driver = Driver(tokio::spawn(async { drop(connection.await) }));
        return Ok(Opened::Shared(Shared {
            sender,
            streams: AtomicUsize::new(0),
            generation,
            _driver: driver,
            _place: place,
        }));
    }
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX_BYTES)
        .max_header_size(HEAD_MAX_BYTES)
        .max_headers(HEAD_FIELDS_MAX)
        .handshake(dialled.wire)
        .await?;
    // A 101 gives the connection away to whoever waits for it.
    let driver = Driver(tokio::spawn(async { drop(connection.with_upgrades().await) }));
    Ok(Opened::Single(Single { sender, idle_since: Instant::now(), generation, _driver: driver }, place))
}

impl Single {
    pub(super) async fn send(&mut self, request: Request<Body>) -> Sent {
        self.sender.try_send_request(request).await
    }

    /// Waits until the last request is over on both sides; false: it cannot have another. Cancel safe.
    pub(super) async fn is_free(&mut self) -> bool {
        let is_free = self.sender.ready().await.is_ok();
        self.idle_since = Instant::now();
        is_free
    }

    /// Whether it may carry a request now, having waited for less than `idle`, and made with these files.
    pub(super) fn is_fit(&self, idle: Duration, generation: u64) -> bool {
        self.sender.is_ready() && self.idle_since.elapsed() < idle && self.generation == generation
    }
}

impl Shared {
    /// A place on it; none: it is full, or ends.
    pub(super) fn enter(&self) -> bool {
        let entered = self.streams.fetch_update(Relaxed, Relaxed, |count| (count < STREAMS_MAX).then_some(count + 1));
        entered.is_ok()
    }

    pub(super) fn leave(&self) {
        self.streams.fetch_sub(1, Relaxed);
    }

    /// Whether it may carry more requests, made with these files.
    pub(super) fn is_open(&self, generation: u64) -> bool {
        !self.sender.is_closed() && self.generation == generation
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Sent {
        self.sender.clone().try_send_request(request).await
    }
}
