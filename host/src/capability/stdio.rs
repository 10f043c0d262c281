//! What a guest prints: whole lines to the log, with service, trace id and a bound for each
//! request. Nothing of it reaches a client.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{
    exception::{Exception, Heard, Telling},
    said::Said,
};
use crate::telemetry::speaking;

/// What one request may print, both streams together; the rest is cut with a note.
const REQUEST_MAX_BYTES: usize = 64 << 10;
/// What a line of the log costs besides its text.
const LINE_COST_BYTES: usize = 256;
/// A longer line is logged in pieces of this size.
const LINE_MAX_BYTES: usize = 4 << 10;

/// Where both streams of an instance go.
#[derive(Debug)]
pub struct Output {
    service: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trace_id: u128,
    /// Bytes taken for the current request.
    taken: usize,
    cut: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// A failure that it is telling of; its lines are one for the log.
    telling: Option<Telling>,
    /// The last failure that it has told of in the current request.
    failed: Option<Exception>,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Output {
    pub fn new(service: Arc<str>) -> Arc<Self> {
        Arc::new(Self { service, state: Mutex::default() })
    }

    /// What is printed from now on belongs to this request.
    pub fn begin(&self, trace_id: u128) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trace_id = trace_id;
        state.taken = 0;
        state.cut = false;
        (state.telling, state.failed) = (None, None);
    }

    /// What its guest said of a failure of its own, if there was one since the request began and it is over.
    pub fn exception(&self) -> Option<Exception> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }

    /// The request is over: logs what was printed without a final newline.
    pub fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(state.buffer(stream));
            if !rest.is_empty() {
                self.line(&mut state, stream, &rest);
            }
        }
        self.failed(&mut state);
    }

    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line.chunks(LINE_MAX_BYTES)) {
            let cost = piece.len() + if piece.ends_with(b"\n") { LINE_COST_BYTES } else { 0 };
            if state.taken + cost > REQUEST_MAX_BYTES {
                return self.cut(&mut state);
            }
            state.taken += cost;
            let line = state.buffer(stream);
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.len() >= LINE_MAX_BYTES {
                let line = std::mem::take(line);
                self.line(&mut state, stream, line.strip_suffix(b"\n").unwrap_or(&line));
            }
        }
    }

    /// Logs a line, or keeps it with those of the failure that it is part of.
    fn line(&self, state: &mut State, stream: Stream, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if matches!(stream, Stream::Stdout) {
            return self.tell(state.trace_id, stream, &text);
        }
        match state.telling.as_mut().map(|telling| telling.hears(&text, LINE_MAX_BYTES)) {
            Some(Heard::Part) => return,
            Some(Heard::Last) => return self.failed(state),
            Some(Heard::Other) => self.failed(state),
            None => {}
        }
        if text.trim().is_empty() {
            return;
        }
        state.telling = Telling::begins(&text);
        if state.telling.is_none() {
            state.failed = Exception::of(&text).or(state.failed.take());
            self.tell(state.trace_id, stream, &text);
        }
    }

    /// Logs what a guest has said of its failure. What its language said goes before the panic that its runtime makes
    /// of it.
    fn failed(&self, state: &mut State) {
        let Some(exception) = state.telling.take().map(Telling::over) else { return };
        self.tell(state.trace_id, Stream::Stderr, &exception.to_string());
        let is_outdone = exception.is_panic() && state.failed.as_ref().is_some_and(|failed| !failed.is_panic());
        if !is_outdone {
            state.failed = Some(exception);
        }
    }

    /// Says once for each request that the rest is not logged.
    fn cut(&self, state: &mut State) {
        if !std::mem::replace(&mut state.cut, true) {
            speaking(&self.service, || {
                tracing::warn!(
                    target: "guest", service = %self.service, traceId = %format_args!("{:032x}", state.trace_id),
                    limit_bytes = REQUEST_MAX_BYTES, "output cut: the request printed more than its limit"
                );
            });
        }
        // Whatever else it prints is not looked at.
        state.taken = REQUEST_MAX_BYTES;
    }

    fn tell(&self, trace_id: u128, stream: Stream, text: &str) {
        let Said { level, message, fields } = Said::read(text);
        let level = level.unwrap_or(match stream {
            Stream::Stdout => Level::INFO,
            Stream::Stderr => Level::WARN,
        });
        self.event(trace_id, level, None, fields.as_deref(), &message);
    }

    /// A line with a level, about `context` if that says anything; within the bound of what is printed.
    pub(super) fn log(&self, level: Level, context: &str, message: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let end = (0..=LINE_MAX_BYTES.min(message.len())).rev().find(|end| message.is_char_boundary(*end));
        let message = &message[..end.unwrap_or(0)];
        if state.taken + message.len() + LINE_COST_BYTES > REQUEST_MAX_BYTES {
            return self.cut(&mut state);
        }
        state.taken += message.len() + LINE_COST_BYTES;
        self.event(state.trace_id, level, Some(context).filter(|context| !context.is_empty()), None, message);
    }

    fn event(&self, trace_id: u128, level: Level, context: Option<&str>, fields: Option<&str>, message: &str) {
        let (service, trace_id) = (&*self.service, format_args!("{trace_id:032x}"));
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "guest", service, traceId = %trace_id, context, fields, "{message}")
            };
        }
        speaking(&self.service, || match level {
            Level::ERROR => event!(error),
            Level::WARN => event!(warn),
            Level::INFO => event!(info),
            Level::DEBUG => event!(debug),
            Level::TRACE => event!(trace),
        });
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    fn buffer(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// One of the two streams, as wasmtime wants it.
#[derive(Debug, Clone)]
pub struct GuestStream {
    output: Arc<Output>,
    stream: Stream,
}

impl GuestStream {
    pub fn stdout(output: Arc<Output>) -> Self {
        Self { output, stream: Stream::Stdout }
    }

    pub fn stderr(output: Arc<Output>) -> Self {
        Self { output, stream: Stream::Stderr }
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(REQUEST_MAX_BYTES)
    }
}

#[async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.output.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_keeps_no_more_than_the_limit() {
        let output = Output::new("chatty".into());
        output.begin(1);
        for _ in 0..1000 {
            output.write(Stream::Stdout, &[b'x'; 1000]);
            output.write(Stream::Stderr, b"\n\n\n\n");
        }
        let state = output.state.lock().unwrap();
        assert_eq!(state.taken, REQUEST_MAX_BYTES);
        assert!(state.cut);
        assert!(state.stdout.len() <= LINE_MAX_BYTES);
    }
    #[test]
    fn a_panic_is_one_line_with_its_message() {
        #[derive(Clone, Default)]
        struct Said(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Said {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let said = Said::default();
        let writer = said.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), || {
            let output = Output::new("orders".into());
            output.begin(7);
            output.write(Stream::Stderr, b"before\n");
            // In pieces, as the standard library writes it.
            for piece in ["\nthread '<unnamed>' (1) panicked", " at src/lib.rs:3:5:\n", "no such order:\n7\n"] {
                output.write(Stream::Stderr, piece.as_bytes());
            }
            output.write(
                Stream::Stderr,
                b"note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            );
            output.write(Stream::Stderr, b"after\n");
            output.end();
        });
        let text = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.split("guest: ").nth(1).unwrap()).collect();
        let told = |text: &str| lines.iter().filter(|line| line.starts_with(text)).count();
        assert_eq!((lines.len(), told("before"), told("after")), (3, 1, 1), "{text}");
        assert_eq!(told("thread '<unnamed>' (1) panicked at src/lib.rs:3:5: no such order: 7"), 1, "{text}");
    }
}
