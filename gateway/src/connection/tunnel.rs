//! A client's connection after its service has agreed to another protocol: bytes both ways until both have ended.
//!
//! Decides when that is over: both sides have said all they had, one broke, nothing moved for the idle time,
//! or the drain cuts. What the bytes mean is nobody's business here. A side that has ended leaves the other
//! to finish. Memory: two buffers of [`BUFFER_BYTES`], and nothing is read that was not written on.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

use super::clock::{Alarm, DrainWatch};
use crate::{
    body::{Body, Held, empty},
    context::RequestContext,
    counts::TunnelCounts,
    dispatch::Wire,
    drain::{Drain, Phase},
    handed::Handed,
};

/// What each direction may hold of what was read and not written on.
const BUFFER_BYTES: usize = 8 * 1024;

/// The service's side of a tunnel and what it holds until its end.
pub(crate) struct Tunnel {
    service: Box<dyn Wire>,
    held: Box<Held>,
    idle: Duration,
    counts: Arc<TunnelCounts>,
}

impl Tunnel {
    /// Silent in both directions for as long as the route of `cx` lets its streams be. `held` stays until the end, without its place among the
    /// requests: from now on it is a connection.
    pub(crate) fn new(
        service: Box<dyn Wire>,
        mut held: Box<Held>,
        cx: &RequestContext,
        counts: Arc<TunnelCounts>,
    ) -> Self {
        held.switched();
        counts.opened.count();
        Self { service, held, idle: cx.stream.unwrap_or_default(), counts }
    }

    /// Goes along with the 101 that opens it.
    pub(crate) fn behind(self, response: Response<Body>) -> Response<Body> {
        let mut response = response.map(|_none| empty());
        response.extensions_mut().insert(Handed::new(self));
        response
    }

    /// What is behind an answer.
    pub(super) fn of(response: &mut Response<Body>) -> Option<Self> {
        response.extensions_mut().remove::<Handed<Self>>()?.take()
    }

    /// Joins both sides. `early` is what the client had said already. Whether both ended in order.
    pub(super) async fn join<C>(&mut self, client: &mut C, early: &[u8], drain: &Drain) -> Result<(), Ended>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut to_service, mut to_client) = (Flow::holding(early), Flow::holding(&[]));
        let Self { service, held, idle, counts } = self;
        let changed = pin!(drain.changed());
        let mut watch = DrainWatch::new(drain, changed);
        let mut until = Instant::now() + *idle;
        let sleep = pin!(sleep_until(until));
        let mut alarm = Alarm::new(sleep);
        let ended = poll_fn(|cx| {
            let there = to_service.poll(cx, client, service);
            let back = to_client.poll(cx, service, client);
            let moved = (to_service.take_moved(), to_client.take_moved());
            if moved != (0, 0) {
                counts.bytes_in.add(moved.0);
                counts.bytes_out.add(moved.1);
                held.carried(moved.0, moved.1);
                until = Instant::now() + *idle;
            }
            match (there, back) {
                (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                    return Poll::Ready(Err(Ended::Broken(error)));
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ok(())),
                _ => {}
            }
            if watch.phase(cx) == Phase::Cut {
                return Poll::Ready(Err(Ended::Cut));
            }
            match alarm.rang(cx, Some(until)) {
                true => Poll::Ready(Err(Ended::Silent)),
                false => Poll::Pending,
            }
        })
        .await;
        if ended.is_ok() {
            self.held.completed();
        }
        ended
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.counts.closed.count();
    }
}

/// Why a tunnel ended before both sides had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("one side broke: {0}")]
    Broken(io::Error),
    #[error("nothing was said for the route's `idle`")]
    Silent,
    #[error("cut by the drain")]
    Cut,
}

/// One direction.
struct Flow {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    moved: u64,
    is_unflushed: bool,
    has_ended: bool,
    is_shut: bool,
}

impl Flow {
    fn holding(early: &[u8]) -> Self {
        let mut buffer = vec![0; BUFFER_BYTES.max(early.len())].into_boxed_slice();
        buffer[..early.len()].copy_from_slice(early);
        Self { buffer, start: 0, end: early.len(), moved: 0, is_unflushed: false, has_ended: false, is_shut: false }
    }

    /// Bytes written on since it was last asked.
    fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved)
    }

    /// Ready once `from` has ended and `to` was told so.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            while self.start < self.end {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.start..self.end]))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                (self.start, self.moved, self.is_unflushed) = (self.start + written, self.moved + written as u64, true);
            }
            if self.is_shut {
                return Poll::Ready(Ok(()));
            }
            if self.has_ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.is_shut = true;
                continue;
            }
            let mut read = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut *from).poll_read(cx, &mut read)? {
                Poll::Ready(()) => (self.start, self.end) = (0, read.filled().len()),
                Poll::Pending => {
                    if self.is_unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        self.is_unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
            self.has_ended = self.end == 0;
        }
    }
}
