//! The request's body on its way to a guest, watched: whether a guest waits for its client, and
//! whether the body has been let go.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use gateway::body::{Body, BodyError};
use http_body::{Frame, SizeHint};
use wasmtime_wasi_http::Error as WasiError;

/// What became of one request's body so far.
#[derive(Debug, Default)]
pub(super) struct Upload {
    waiting: AtomicBool,
    broken: AtomicBool,
}

impl Upload {
    /// Whether a failure now is the client's: the guest waits for its bytes, or they broke off.
    pub(super) fn is_to_blame(&self) -> bool {
        self.waiting.load(Relaxed) || self.broken.load(Relaxed)
    }

    /// Whether the guest, or its table, still holds the body.
    pub(super) fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }
}

/// The body a guest reads.
pub(super) struct Watched {
    body: Body,
    upload: Arc<Upload>,
}

impl Watched {
    pub(super) fn new(body: Body, upload: Arc<Upload>) -> Self {
        Self { body, upload }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.upload.waiting.store(polled.is_pending(), Relaxed);
        polled.map_err(|error| {
            self.upload.broken.store(true, Relaxed);
            into_wasi(error)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn into_wasi(error: BodyError) -> WasiError {
    match error {
        BodyError::TooLarge { limit } => WasiError::HttpRequestBodySize(Some(limit)),
        BodyError::TooSlow | BodyError::DeadlineExceeded => WasiError::ConnectionReadTimeout,
        BodyError::Cut(_) => WasiError::HttpProtocolError,
    }
}
