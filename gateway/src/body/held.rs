//! What an answer holds from admission to its last byte, and what it watches meanwhile.
//!
//! Decides that an answer is over time, or not as long as it said; both end it with an error, so
//! that the connection closes and nothing cut short looks whole. Dropping it, at the end or when
//! the client went away, returns the permit and writes the access log
//! and counts the request.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::warn;

use super::{BodyError, Fault, empty_frames::EmptyFrames};
use crate::{access::Record, admission::Permit, context::RequestContext, counts::Tally, headers};

pub(crate) struct Held {
    record: Option<Record>,
    /// None for a call between services, which its caller counts.
    tally: Option<Tally>,
    cx: Arc<RequestContext>,
    /// When the last byte must be there, but for the time in which the request's body is awaited; of a
    /// stream, the next one.
    due: std::time::Instant,
    /// Bytes still owed of the declared `Content-Length`.
    owed: Option<u64>,
    empty_frames: EmptyFrames,
    /// Made when the body is pending for the first time: most answers never need it.
    timer: Option<Pin<Box<Sleep>>>,
    /// Given back when the rest has been written down.
    permit: Option<Permit>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.record.is_none() && self.tally.is_none() {
            return;
        }
        let now = Instant::now().into_std();
        if let Some(record) = &self.record {
            record.ended(now);
        }
        if let Some(tally) = &self.tally {
            tally.ended(now, self.kept());
        }
    }
}

impl Held {
    pub(crate) fn new(
        (cx, due): (Arc<RequestContext>, std::time::Instant),
        permit: Option<Permit>,
        record: Option<Record>,
        tally: Option<Tally>,
    ) -> Box<Self> {
        let empty_frames = EmptyFrames::default();
        Box::new(Self { record, tally, cx, due, owed: None, empty_frames, timer: None, permit })
    }

    /// The head is about to go: `owed` is the `Content-Length` that the body must have.
    pub(crate) fn answered(&mut self, status: http::StatusCode, owed: Option<u64>) {
        self.owed = owed;
        self.goes_on();
        if let Some(record) = &mut self.record {
            record.answered(status);
        }
        if let Some(tally) = &mut self.tally {
            tally.answered(status);
        }
    }

    /// The answer's head was the last of the request: it is counted now, and its place free again.
    pub(crate) fn switched(&mut self) {
        if let Some(tally) = self.tally.take() {
            tally.ended(Instant::now().into_std(), self.kept());
        }
        self.permit = None;
    }

    /// The trace, if it will be kept as far as is known.
    fn kept(&self) -> Option<u128> {
        let spans = self.cx.spans.as_ref()?;
        spans.is_kept().then_some(self.cx.trace.trace_id)
    }

    /// Bytes in another protocol, from the client and to it.
    pub(crate) fn carried(&mut self, from: u64, to: u64) {
        if let Some(record) = &mut self.record {
            record.carried(from, to);
        }
    }

    /// What becomes of the request's body, for the log.
    pub(crate) fn reads(&mut self, body: Fault) {
        if let Some(record) = &mut self.record {
            record.reads(body);
        }
    }

    /// A frame of the answer is on its way.
    pub(super) fn sent(&mut self, frame: &Frame<Bytes>) {
        if let (Some(record), Some(data)) = (&mut self.record, frame.data_ref()) {
            record.sent(data.len());
        }
    }

    /// The last byte is on its way.
    pub(crate) fn completed(&mut self) {
        if let Some(record) = &mut self.record {
            record.completed();
        }
    }

    /// Nothing is owed that only the end of the body could show to be missing.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.owed, None | Some(0))
    }

    /// The next frame of the answer, or why there is none.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(self.poll_checked(cx, next)).transpose();
        Poll::Ready(polled.inspect_err(|error| self.say(error)).transpose())
    }

    fn poll_checked(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Poll::Ready(frame) = next(cx) else {
                ready!(self.timer(cx));
                return Poll::Ready(Some(Err(BodyError::DeadlineExceeded)));
            };
            let frame = match frame {
                None => return Poll::Ready(self.missing().map(Err)),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => frame,
            };
            match self.empty_frames.swallow(&frame) {
                Ok(true) => continue,
                Ok(false) => return Poll::Ready(Some(self.counted(frame))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// A stream has as long again.
    fn goes_on(&mut self) {
        if let Some(silence_max) = self.cx.stream {
            self.due = (Instant::now() + silence_max).into_std();
        }
    }

    fn timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.due.into())));
        loop {
            ready!(timer.as_mut().poll(cx));
            let Some(later) = self.cx.awaited.look_again(self.due) else { return Poll::Ready(()) };
            timer.as_mut().reset(later.into());
        }
    }

    /// A stream that is always ready never meets the timer, so each frame is held to the
    /// deadline; the last of a whole answer is let through. Trailers are cleaned like the head.
    fn counted(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let Some(trailers) = frame.trailers_mut() {
            headers::clean_answer(trailers);
        }
        if let (Some(owed), Some(data)) = (self.owed, frame.data_ref()) {
            let left = owed.checked_sub(data.len() as u64);
            self.owed =
                Some(left.ok_or_else(|| BodyError::Cut("the answer is longer than its `Content-Length`".into()))?);
            if self.owed == Some(0) {
                return Ok(frame);
            }
        }
        if Instant::now().into_std() >= self.cx.awaited.put_off(self.due) {
            return Err(BodyError::DeadlineExceeded);
        }
        self.goes_on();
        Ok(frame)
    }

    fn missing(&self) -> Option<BodyError> {
        let owed = self.owed.filter(|owed| *owed > 0)?;
        Some(BodyError::Cut(format!("the answer ended {owed} bytes before its `Content-Length`")))
    }

    fn say(&self, error: &BodyError) {
        warn!(traceId = %self.cx.trace, %error, "an answer was cut short");
    }
}
