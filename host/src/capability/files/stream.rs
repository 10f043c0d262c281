//! The bytes of files, to and from a guest, in pieces: one piece of a stream is under way at a time.

use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime_wasi::{
    async_trait,
    filesystem::Descriptor,
    p2::{
        DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
        bindings::filesystem::types::{ErrorCode, HostDescriptor as _},
    },
    runtime::{AbortOnDropJoinHandle, spawn},
};

use super::{Jobs, now};

/// As much of a file as the host holds for one stream.
const PIECE_MAX_BYTES: usize = 32 << 10;

pub(super) struct FileReader {
    jobs: Jobs,
    from: Descriptor,
    position: u64,
    state: Reading,
}

enum Reading {
    Idle,
    Waiting(AbortOnDropJoinHandle<FsResult<(Vec<u8>, bool)>>),
    Ready(Bytes),
    Failed(FsError),
    Closed,
}

impl FileReader {
    pub(super) fn new(jobs: Jobs, from: Descriptor, position: u64) -> Self {
        Self { jobs, from, position, state: Reading::Idle }
    }

    fn begin(&mut self) {
        let (jobs, from, position) = (self.jobs.clone(), self.from.clone(), self.position);
        let length = PIECE_MAX_BYTES as u64;
        let piece = jobs.run([from], move |view, [from]| now(view.read(from, length, position)));
        self.state = Reading::Waiting(spawn(piece));
    }
}

#[async_trait]
impl InputStream for FileReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match &mut self.state {
            Reading::Idle if size > 0 => {
                self.begin();
                Ok(Bytes::new())
            }
            Reading::Idle | Reading::Waiting(_) => Ok(Bytes::new()),
            Reading::Ready(bytes) => {
                let piece = bytes.split_to(size.min(bytes.len()));
                self.position += piece.len() as u64;
                if bytes.is_empty() {
                    self.state = Reading::Idle;
                }
                Ok(piece)
            }
            Reading::Failed(_) => match std::mem::replace(&mut self.state, Reading::Closed) {
                Reading::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
            Reading::Closed => Err(StreamError::Closed),
        }
    }
}

#[async_trait]
impl Pollable for FileReader {
    async fn ready(&mut self) {
        if let Reading::Idle = self.state {
            self.begin();
        }
        if let Reading::Waiting(piece) = &mut self.state {
            self.state = match piece.await {
                Ok((bytes, _)) if bytes.is_empty() => Reading::Closed,
                Ok((bytes, _)) => Reading::Ready(bytes.into()),
                Err(error) => Reading::Failed(error),
            };
        }
    }
}

pub(super) struct FileWriter {
    jobs: Jobs,
    to: Descriptor,
    /// None: at its end.
    position: Option<u64>,
    state: Writing,
}

enum Writing {
    Idle,
    /// So many bytes.
    Waiting(u64, AbortOnDropJoinHandle<FsResult<()>>),
    Failed(FsError),
    Closed,
}

impl FileWriter {
    pub(super) fn new(jobs: Jobs, to: Descriptor, position: Option<u64>) -> Self {
        Self { jobs, to, position, state: Writing::Idle }
    }

    /// An error is told once; then the stream is closed.
    fn checked(&mut self) -> StreamResult<()> {
        match &self.state {
            Writing::Idle | Writing::Waiting(..) => Ok(()),
            Writing::Failed(_) => match std::mem::replace(&mut self.state, Writing::Closed) {
                Writing::Failed(error) => Err(failed(error)),
                _ => Err(StreamError::Closed),
            },
            Writing::Closed => Err(StreamError::Closed),
        }
    }
}

#[async_trait]
impl OutputStream for FileWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.checked()?;
        if matches!(self.state, Writing::Waiting(..)) || bytes.len() > PIECE_MAX_BYTES {
            return Err(StreamError::trap("more was written than `check-write` allows"));
        }
        let (jobs, to, position, count) = (self.jobs.clone(), self.to.clone(), self.position, bytes.len() as u64);
        let piece = jobs.run([to], move |view, [to]| {
            let stream: Resource<DynOutputStream> = match position {
                Some(position) => view.write_via_stream(to, position)?,
                None => view.append_via_stream(to)?,
            };
            let mut stream = view.table.delete(stream)?;
            now(async { stream.blocking_write_and_flush(bytes).await.map_err(of_stream) })
        });
        self.state = Writing::Waiting(count, spawn(piece));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.checked()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.checked()?;
        Ok(if matches!(self.state, Writing::Idle) { PIECE_MAX_BYTES } else { 0 })
    }

    /// What was taken is written before the stream is gone.
    async fn cancel(&mut self) {
        self.ready().await;
    }
}

#[async_trait]
impl Pollable for FileWriter {
    async fn ready(&mut self) {
        if let Writing::Waiting(count, piece) = &mut self.state {
            let count = *count;
            self.state = match piece.await {
                Ok(()) => {
                    self.position = self.position.map(|position| position + count);
                    Writing::Idle
                }
                Err(error) => Writing::Failed(error),
            };
        }
    }
}

/// The error of a file in a stream; `filesystem-error-code` finds it again.
fn failed(error: FsError) -> StreamError {
    match error.downcast() {
        Ok(code) => StreamError::LastOperationFailed(wasmtime::Error::new(code)),
        Err(trap) => StreamError::Trap(trap),
    }
}

fn of_stream(error: StreamError) -> FsError {
    match error {
        StreamError::LastOperationFailed(error) => match error.downcast_ref::<std::io::Error>() {
            Some(error) => ErrorCode::from(error).into(),
            None => ErrorCode::Io.into(),
        },
        StreamError::Closed => ErrorCode::Io.into(),
        StreamError::Trap(trap) => FsError::trap(trap),
    }
}
