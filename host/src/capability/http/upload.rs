//! The body of a request that a guest sends, on its way out.
//!
//! wasmtime ends a body well when its guest is gone without having finished it; here it fails
//! then, so that nobody takes half a request for a whole one.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use gateway::body::{self, Body, BodyError};
use http_body::Frame;
use wasmtime_wasi_http::WasiBody;

/// Whether the guest of a request is still there.
#[derive(Debug, Clone, Default)]
pub(super) struct Alive {
    gone: Arc<AtomicBool>,
}

impl Alive {
    pub(super) fn end(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

pub(super) fn upload(body: WasiBody, alive: Alive) -> Body {
    match http_body::Body::is_end_stream(&body) {
        true => body::empty(),
        false => Body::new(Upload { body, alive }),
    }
}

struct Upload {
    body: WasiBody,
    alive: Alive,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match polled {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(BodyError::Cut(error.to_string()))),
            None if self.alive.gone.load(Ordering::Acquire) => {
                Some(Err(BodyError::Cut("its sender was gone before its end".into())))
            }
            None => None,
        })
    }
}
