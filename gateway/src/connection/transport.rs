//! The socket under one connection, plain or TLS, with the bytes already read from it.
//!
//! Notes every write that moves or blocks, so that the driver sees a client that does not
//! read. Decides nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::state::State;

/// What an HTTP/2 client says first: RFC 9113 section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connected socket before any HTTP.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    /// Boxed: a TLS session is large, and most of the size of this enum otherwise.
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Debug)]
pub(super) struct Transport {
    socket: Socket,
    /// Read while looking for the preface, not yet given on.
    early: [u8; PREFACE.len()],
    early_start: usize,
    early_end: usize,
    state: Arc<State>,
}

impl Transport {
    pub(super) fn new(socket: Socket, state: Arc<State>) -> Self {
        Self { socket, early: [0; PREFACE.len()], early_start: 0, early_end: 0, state }
    }

    /// Reads until it is clear whether the client speaks HTTP/2; what was read is read again
    /// by whoever reads next. Not cancel safe.
    pub(super) async fn starts_with_preface(&mut self) -> io::Result<bool> {
        while self.early_end < PREFACE.len() {
            let read = self.socket.read(&mut self.early[self.early_end..]).await?;
            self.early_end += read;
            if read == 0 || self.early[..self.early_end] != PREFACE[..self.early_end] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the close to come a reset, which no client takes for the end of an answer.
    pub(super) fn reset_on_close(&self) {
        let tcp = match &self.socket {
            Socket::Plain(tcp) => tcp,
            Socket::Tls(tls) => tls.get_ref().0,
        };
        // An error means that the socket is already gone.
        let _ = tcp.set_zero_linger();
    }

    fn note(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Pending => self.state.write_blocked(),
            Poll::Ready(written) => self.state.wrote(*written.as_ref().unwrap_or(&0)),
        }
        poll
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early_start < self.early_end {
            let end = self.early_end.min(self.early_start + buf.remaining());
            buf.put_slice(&self.early[self.early_start..end]);
            self.early_start = end;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        };
        self.note(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        };
        self.note(poll)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = match &mut self.socket {
            Socket::Plain(_) => Poll::Ready(Ok(())), // TCP has nothing of its own to flush
            Socket::Tls(socket) => Pin::new(socket).poll_flush(cx),
        };
        match &poll {
            Poll::Pending => self.state.write_blocked(),
            Poll::Ready(_) => self.state.flushed(),
        }
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.shut();
        let poll = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        };
        if poll.is_pending() {
            self.state.write_blocked();
        }
        poll
    }
}
