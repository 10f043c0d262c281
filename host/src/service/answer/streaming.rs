//! A body and the guest that is still writing it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use gateway::body::BodyError;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::WasiBody;

use super::Work;
use crate::{
    instance::Instance,
    service::{
        Failure, Version,
        breaker::Admitted,
        gate::Permit,
        leave::{Limits, Over, Timer},
        run::GuestRun,
    },
};

/// Empty frames a guest may write in a row before its answer is given up (GHSA-f8mm).
const EMPTY_FRAMES_MAX: u32 = 1_000;

pub(super) struct Streaming {
    guest: Arc<Mutex<Guest>>,
    body: WasiBody,
    /// Wakes a body that waits for a guest past its deadline.
    timer: Timer,
    limits: Limits,
    /// Ends the guest when its time is over and nobody polls this: a client that stopped reading.
    watchdog: JoinHandle<()>,
    version: Arc<Version>,
    empty_frames: u32,
}

enum Guest {
    Running {
        run: Box<GuestRun>,
        admitted: Admitted,
        _permit: Permit,
    },
    /// It has returned well; its instance is kept until the body has ended, because a body that
    /// the guest left open ends as if it were whole once its store is gone.
    Returned(Box<Instance>, Admitted),
    /// It has returned well and its body has ended.
    Done,
    /// Its time was over while nobody looked.
    Late(Over),
    Gone,
}

/// What the end of a body means.
enum End {
    Whole(Box<Instance>, Admitted),
    Told,
    /// The guest is still at work.
    Open,
    /// The body ended because its store is gone, not because the guest ended it.
    Cut(Failure),
}

impl Guest {
    fn end(&mut self) -> End {
        match std::mem::replace(self, Self::Done) {
            Self::Returned(instance, admitted) => End::Whole(instance, admitted),
            Self::Done => End::Told,
            running @ Self::Running { .. } => {
                *self = running;
                End::Open
            }
            Self::Late(over) => End::Cut(over.into()),
            Self::Gone => End::Cut(Failure::NoAnswer("it was gone before its body had ended".into())),
        }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl Streaming {
    pub(super) fn new(work: Work, body: WasiBody) -> Self {
        let Work { run, version, permit, admitted, .. } = work;
        let limits = run.limits.clone();
        let guest = Arc::new(Mutex::new(Guest::Running { run: Box::new(run), admitted, _permit: permit }));
        let watched = guest.clone();
        let over = limits.clone().over();
        let watchdog = tokio::spawn(async move {
            let over = over.await;
            let mut guest = lock(&watched);
            if matches!(*guest, Guest::Running { .. }) {
                *guest = Guest::Late(over);
            }
        });
        Self { guest, body, timer: Timer::default(), limits, watchdog, version, empty_frames: 0 }
    }

    /// Lets the guest go on.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut guest = lock(&self.guest);
        match &mut *guest {
            Guest::Running { run, .. } => match run.poll(cx) {
                Poll::Pending => Ok(()),
                Poll::Ready(Err(failure)) => Err(failure),
                Poll::Ready(Ok(instance)) => {
                    if let Guest::Running { admitted, .. } = std::mem::replace(&mut *guest, Guest::Gone) {
                        *guest = Guest::Returned(Box::new(instance), admitted);
                    }
                    Ok(())
                }
            },
            Guest::Late(over) => Err((*over).into()),
            Guest::Returned(..) | Guest::Done | Guest::Gone => Ok(()),
        }
    }

    /// The body has ended: the answer is whole once the guest has returned, too.
    fn ended(&mut self, cx: &mut Context<'_>) -> Polled {
        let end = lock(&self.guest).end();
        match end {
            End::Whole(instance, admitted) => {
                self.version.keep(*instance);
                admitted.succeeded();
                Poll::Ready(None)
            }
            End::Told => Poll::Ready(None),
            End::Open => self.waiting(cx),
            End::Cut(failure) => self.cut(&failure),
        }
    }

    fn waiting(&mut self, cx: &mut Context<'_>) -> Polled {
        let mut guest = lock(&self.guest);
        let failure = match &mut *guest {
            Guest::Running { run, .. } => match self.timer.poll_over(&self.limits, cx) {
                Poll::Ready(over) => run.failed(over.into()),
                Poll::Pending => return Poll::Pending,
            },
            Guest::Late(over) => (*over).into(),
            Guest::Returned(..) | Guest::Done | Guest::Gone => {
                Failure::NoAnswer("it returned without finishing its body".into())
            }
        };
        drop(guest);
        self.cut(&failure)
    }

    /// Ends the guest and the answer with it; whoever sends the answer logs the reason.
    fn cut(&mut self, failure: &Failure) -> Polled {
        self.version.counts().troubles.count(failure.trouble());
        let guest = std::mem::replace(&mut *lock(&self.guest), Guest::Gone);
        if let Guest::Running { admitted, .. } | Guest::Returned(_, admitted) = guest {
            admitted.failed_for(failure.blame());
        }
        let service = &self.version.component.service;
        Poll::Ready(Some(Err(BodyError::Cut(format!("service `{service}`: {failure}")))))
    }
}

impl http_body::Body for Streaming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        loop {
            if let Err(failure) = self.drive(cx) {
                return self.cut(&failure);
            }
            match poll_here(&mut self.body, cx) {
                Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => {
                    self.empty_frames += 1;
                    if self.empty_frames > EMPTY_FRAMES_MAX {
                        return self.cut(&Failure::NoAnswer("it wrote too many empty pieces".into()));
                    }
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.empty_frames = 0;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => {
                    return self.cut(&Failure::NoAnswer(format!("its body failed: {error}")));
                }
                Poll::Ready(None) => return self.ended(cx),
                Poll::Pending => return self.waiting(cx),
            }
        }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.watchdog.abort();
        // The watchdog's handle on it may live a moment longer; the guest ends now.
        *lock(&self.guest) = Guest::Gone;
    }
}

fn lock(guest: &Mutex<Guest>) -> MutexGuard<'_, Guest> {
    guest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Polls a body of wasmtime's without tokio's budget for one task: its channels say pending when
/// that is used up, which here would be taken for a body without an end.
pub(super) fn poll_here(
    body: &mut WasiBody,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, wasmtime_wasi_http::Error>>> {
    let next = std::pin::pin!(tokio::task::unconstrained(body.frame()));
    next.poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_ends_because_its_guest_was_ended_is_cut() {
        assert!(matches!(Guest::Late(Over::Deadline).end(), End::Cut(Failure::DeadlineExceeded)));
        assert!(matches!(Guest::Gone.end(), End::Cut(Failure::NoAnswer(_))));
        assert!(matches!(Guest::Done.end(), End::Told), "asked again after a good end");
    }
}
