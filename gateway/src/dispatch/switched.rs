//! A service's side of a connection that speaks another protocol from now on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::handed::Handed;

/// A connection on which anything may be said.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What is behind a 101: its implementor puts it into the response's extensions, and the gateway joins
/// it with the client's connection. Dropping it closes the service's side.
#[derive(Clone)]
pub struct Switched(Handed<Box<dyn Wire>>);

impl Switched {
    pub fn new(wire: impl Wire + 'static) -> Self {
        Self(Handed::new(Box::new(wire)))
    }

    /// The same, holding `kept` as long as the connection is there.
    #[must_use]
    pub fn keeping(self, kept: impl Send + Unpin + 'static) -> Self {
        match self.take() {
            Some(wire) => Self::new(Keeping { wire, _kept: kept }),
            None => self,
        }
    }

    /// None once it was taken.
    pub(crate) fn take(&self) -> Option<Box<dyn Wire>> {
        self.0.take()
    }
}

struct Keeping<K> {
    wire: Box<dyn Wire>,
    _kept: K,
}

impl<K: Unpin> AsyncRead for Keeping<K> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl<K: Unpin> AsyncWrite for Keeping<K> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
