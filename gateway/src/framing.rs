//! The strict HTTP/1 reader in front of hyper.
//!
//! [`Framed`] wraps a socket's reading side, follows every head and body in the bytes that
//! pass, and lets hyper see only whole, valid heads: what hyper would let pass, repair or
//! answer by itself never reaches it. A refused head ends the stream of requests for good;
//! [`Progress::refusal`] tells the connection, which answers once. Writes pass untouched.
//! What is valid is in `framing/`: start at [`Scanner`].

mod chunks;
mod fault;
mod head;
pub(crate) mod line;
mod scan;
#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use self::{
    fault::Fault,
    head::{FIELDS_MAX, HEAD_MAX},
    line::{METHOD_MAX, TARGET_MAX},
    scan::{Refusal, Scan, Scanner},
};

/// What the reader tells its connection, which cannot reach into hyper to ask.
#[derive(Debug, Default)]
pub struct Progress {
    heads: AtomicU64,
    in_head: AtomicBool,
    between_requests: AtomicBool,
    refusal: OnceLock<Fault>,
}

impl Progress {
    /// Whole heads that hyper has been or will be given.
    pub fn heads(&self) -> u64 {
        self.heads.load(Relaxed)
    }

    /// Part of a head has arrived and is held back.
    pub fn in_head(&self) -> bool {
        self.in_head.load(Relaxed)
    }

    /// Every body so far has arrived whole.
    pub fn is_between_requests(&self) -> bool {
        self.between_requests.load(Relaxed)
    }

    /// Why nothing after the heads counted so far is read. The connection owes one answer,
    /// after those to the earlier requests.
    pub fn refusal(&self) -> Option<Fault> {
        self.refusal.get().copied()
    }
}

/// A socket whose reads are checked. Bytes are scanned where they are; only a head that
/// arrives in pieces is copied aside, at most [`HEAD_MAX`] and one read of it.
#[derive(Debug)]
pub struct Framed<T> {
    io: T,
    scanner: Scanner,
    /// Bytes taken from the socket and not yet given to hyper.
    held: BytesMut,
    /// So many of `held`, from the start, may go.
    cleared: usize,
    refusal: Option<Refusal>,
    progress: Arc<Progress>,
}

impl<T> Framed<T> {
    pub fn new(io: T, progress: Arc<Progress>) -> Self {
        Self { io, scanner: Scanner::default(), held: BytesMut::new(), cleared: 0, refusal: None, progress }
    }

    /// The socket, and what was read from it and not given on, refused or not.
    pub fn into_parts(self) -> (T, BytesMut) {
        (self.io, self.held)
    }

    /// Scans `window` and notes what was found; gives how many bytes of it are cleared.
    fn scan(scanner: &mut Scanner, refusal: &mut Option<Refusal>, progress: &Progress, window: &[u8]) -> usize {
        let scan = scanner.scan(window);
        if scan.heads > 0 {
            progress.heads.fetch_add(scan.heads, Relaxed);
        }
        let between = scanner.is_between_requests();
        progress.between_requests.store(between, Relaxed);
        progress.in_head.store(between && scan.cleared < window.len(), Relaxed);
        if let Some(found) = scan.refusal {
            *refusal = Some(found);
            if let Refusal::Head(fault) = found {
                progress.refusal.get_or_init(|| fault);
            }
        }
        scan.cleared
    }

    fn give_held(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.cleared.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.held.advance(length);
        self.cleared -= length;
        if self.held.is_empty() {
            self.held = BytesMut::new(); // an idle connection keeps no memory of a large head
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Framed<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.cleared > 0 {
                this.give_held(buf);
                return Poll::Ready(Ok(()));
            }
            match this.refusal {
                // Never ready and never woken: the connection sees the refusal and takes over.
                Some(Refusal::Head(_)) => return Poll::Pending,
                Some(Refusal::Body(fault)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
                }
                None => {}
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let fresh = &buf.filled()[before..];
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let Self { scanner, refusal, progress, .. } = this;
            if this.held.is_empty() {
                let cleared = Self::scan(scanner, refusal, progress, fresh);
                this.held.extend_from_slice(&fresh[cleared..]);
                buf.set_filled(before + cleared);
                if cleared > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend_from_slice(fresh);
                buf.set_filled(before);
                this.cleared = Self::scan(scanner, refusal, progress, &this.held);
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Framed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
