//! A bound on what the server may make the host hold.
//!
//! The driver reads a whole message, so one row of a gigabyte, which any guest can ask for,
//! would be a gigabyte of the host's memory. This reader follows the message headers (chapter 55.7
//! of PostgreSQL's manual: a tag, then a length that counts itself) and breaks the connection
//! instead.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// What was seen in passing.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// A message was over the bound.
    oversized: AtomicBool,
    /// The process that the server, or whoever spoke for it, said it is.
    process: AtomicU32,
}

impl Notes {
    pub(super) fn is_oversized(&self) -> bool {
        self.oversized.load(Ordering::Acquire)
    }

    pub(super) fn process(&self) -> u32 {
        self.process.load(Ordering::Acquire)
    }
}

/// A stream whose messages are bounded, or not any more.
pub(super) struct Bounded<S> {
    inner: S,
    meter: Option<Meter>,
}

impl<S> Bounded<S> {
    /// `skip` bytes are not yet messages: the one that answers a request for TLS.
    pub(super) fn new(inner: S, message_max: u64, skip: u64, notes: Arc<Notes>) -> Self {
        Self { inner, meter: Some(Meter { message_max, body: skip, header: [0; 5], filled: 0, key: 0, notes }) }
    }
}

struct Meter {
    message_max: u64,
    /// Bytes until the next header.
    body: u64,
    header: [u8; 5],
    filled: usize,
    /// Bytes of a process number that are still to come.
    key: usize,
    notes: Arc<Notes>,
}

impl Meter {
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let of_body = usize::try_from(self.body).unwrap_or(usize::MAX).min(bytes.len());
            self.note_key(&bytes[..of_body]);
            self.body -= of_body as u64;
            bytes = &bytes[of_body..];
            let of_header = bytes.len().min(self.header.len() - self.filled);
            self.header[self.filled..self.filled + of_header].copy_from_slice(&bytes[..of_header]);
            self.filled += of_header;
            bytes = &bytes[of_header..];
            if self.filled == self.header.len() {
                let [tag, length @ ..] = self.header;
                self.key = if tag == b'K' { 4 } else { 0 };
                self.body = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
                self.filled = 0;
                if self.body > self.message_max {
                    self.notes.oversized.store(true, Ordering::Release);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is over the bound"));
                }
            }
        }
        Ok(())
    }

    /// The number stands at the beginning of the message.
    fn note_key(&mut self, body: &[u8]) {
        for byte in body.iter().take(self.key) {
            let before = self.notes.process.load(Ordering::Acquire);
            self.notes.process.store(before << 8 | u32::from(*byte), Ordering::Release);
        }
        self.key = self.key.saturating_sub(body.len());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        match &mut self.meter {
            Some(meter) => Poll::Ready(meter.pass(&buf.filled()[before..])),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Bounded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Makes TLS under which messages are bounded, instead of the bytes that carry it.
pub(super) struct BoundedTls<T> {
    pub(super) inner: T,
    pub(super) message_max: u64,
    pub(super) notes: Arc<Notes>,
}

impl<S, T> TlsConnect<Bounded<S>> for BoundedTls<T>
where
    T: TlsConnect<Bounded<S>, Future: Send + 'static, Stream: Send> + Send,
{
    type Stream = Bounded<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: Bounded<S>) -> Self::Future {
        let encrypted = Bounded { inner: stream.inner, meter: None };
        let connecting = self.inner.connect(encrypted);
        Box::pin(async move { Ok(Bounded::new(connecting.await?, self.message_max, 0, self.notes)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass_up_to_the_bound_however_they_are_cut() {
        let mut stream = vec![b'N'];
        for size in [0_u32, 10, 3, 10] {
            stream.push(b'D');
            stream.extend((size + 4).to_be_bytes());
            stream.extend(vec![0; size as usize]);
        }
        for piece in 1..stream.len() {
            let mut meter = meter(10, 1);
            assert!(stream.chunks(piece).all(|bytes| meter.pass(bytes).is_ok()), "{piece}");
        }
    }

    #[test]
    fn a_longer_message_breaks_the_connection_at_its_header() {
        let mut meter = meter(10, 0);
        assert!(meter.pass(&[b'D', 0, 0, 0]).is_ok());
        assert!(meter.pass(&[15]).is_err());
        assert!(meter.notes.is_oversized());
    }

    #[test]
    fn the_number_of_the_process_is_noted_however_it_is_cut() {
        let message = [b'K', 0, 0, 0, 12, 1, 2, 3, 4, 9, 9, 9, 9, b'Z', 0, 0, 0, 5, b'I'];
        for piece in 1..message.len() {
            let mut meter = meter(100, 0);
            assert!(message.chunks(piece).all(|bytes| meter.pass(bytes).is_ok()));
            assert_eq!(meter.notes.process(), 0x0102_0304, "{piece}");
        }
    }

    fn meter(message_max: u64, skip: u64) -> Meter {
        Meter { message_max, body: skip, header: [0; 5], filled: 0, key: 0, notes: Arc::default() }
    }
}
