//! An answer from elsewhere on its way through: the place that it holds, its time, its end.
//!
//! Ends well only when the service ended it well. What breaks off or is late is an error of the body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gateway::body::BodyError;
use http_body::{Body as _, Frame, SizeHint};

use crate::{
    service::{
        breaker::Admitted,
        gate::Permit,
        leave::{Limits, Timer},
    },
    telemetry::counts::{ServiceCounts, Trouble},
};
use backend::upstream::Answer;

pub(super) struct Passing {
    /// None once it has ended or was cut.
    answer: Option<Answer>,
    whose: (Arc<str>, Arc<ServiceCounts>),
    admitted: Option<Admitted>,
    limits: Limits,
    /// Made when it first has to be waited for.
    timer: Timer,
    _permit: Permit,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Passing {
    pub(super) fn new(
        answer: Answer,
        whose: (Arc<str>, Arc<ServiceCounts>),
        (permit, admitted): (Permit, Admitted),
        limits: Limits,
    ) -> Self {
        let (answer, admitted) = (Some(answer), Some(admitted));
        Self { answer, whose, admitted, limits, timer: Timer::default(), _permit: permit }
    }

    fn ended(&mut self) {
        self.answer = None;
        if let Some(admitted) = self.admitted.take() {
            admitted.succeeded();
        }
    }

    fn cut(&mut self, trouble: Trouble, reason: &str) -> Polled {
        self.answer = None; // and its connection with it
        let (service, counts) = &self.whose;
        counts.troubles.count(trouble);
        if let Some(admitted) = self.admitted.take() {
            admitted.failed();
        }
        Poll::Ready(Some(Err(BodyError::Cut(format!("service `{service}`: {reason}")))))
    }

    fn late(&mut self) -> Polled {
        self.cut(Trouble::Timeout, "its answer took longer than `limits.timeout`")
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let Some(answer) = &mut this.answer else { return Poll::Ready(None) };
        match Pin::new(answer).poll_frame(cx) {
            Poll::Ready(None) => {
                this.ended();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => this.cut(Trouble::NoAnswer, &error.to_string()),
            // One that is always ready never meets the timer.
            Poll::Ready(Some(Ok(frame))) => match this.limits.are_over() && !this.is_end_stream() {
                true => this.late(),
                false => Poll::Ready(Some(Ok(frame))),
            },
            Poll::Pending => match this.timer.poll_over(&this.limits, cx) {
                Poll::Ready(_over) => this.late(),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.as_ref().map_or(SizeHint::with_exact(0), |answer| answer.size_hint())
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.answer.as_ref().is_some_and(|answer| answer.is_end_stream()) {
            self.ended();
        }
    }
}
