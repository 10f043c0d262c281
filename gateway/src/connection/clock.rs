//! The time limits of one connection, on one timer.
//!
//! The timer is moved only when a limit comes nearer; when it rings early it is set to what
//! then is the limit. A busy connection so touches it about once a minute, not per request.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::futures::Notified,
    time::{Instant, Sleep},
};

use super::state::State;
use crate::drain::{Drain, Phase};

/// Rings at a deadline that may move.
pub(super) struct Alarm<'a> {
    sleep: Pin<&'a mut Sleep>,
}

impl<'a> Alarm<'a> {
    pub(super) fn new(sleep: Pin<&'a mut Sleep>) -> Self {
        Self { sleep }
    }

    /// True once `deadline` has passed; until then the task is woken for it.
    pub(super) fn rang(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            return false;
        };
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.sleep.deadline() >= deadline {
                return true;
            }
            self.sleep.as_mut().reset(deadline);
        }
        false
    }
}

/// Since when something has been as it is.
#[derive(Debug)]
pub(super) struct Since<T> {
    what: T,
    from: Instant,
}

impl<T: PartialEq> Since<T> {
    pub(super) fn now(what: T) -> Self {
        Self { what, from: Instant::now() }
    }

    /// The moment from which it was `what` at every look.
    pub(super) fn look(&mut self, what: T) -> Instant {
        if self.what != what {
            *self = Self::now(what);
        }
        self.from
    }
}

/// When a client that does not take what is written has had enough time.
pub(super) struct WriteStall {
    last: Since<Option<u64>>,
    max: Duration,
}

impl WriteStall {
    pub(super) fn new(max: Duration) -> Self {
        Self { last: Since::now(None), max }
    }

    pub(super) fn deadline(&mut self, state: &State) -> Option<Instant> {
        if !state.is_write_blocked() {
            return None;
        }
        Some(self.last.look(Some(state.written())) + self.max)
    }
}

/// The drain as one connection follows it. While serving, its waiter is registered once and
/// not at each poll: all connections share one list of waiters, under one lock.
pub(super) struct DrainWatch<'pin, 'drain> {
    drain: &'drain Drain,
    changed: Pin<&'pin mut Notified<'drain>>,
    registered: Option<Waker>,
}

impl<'pin, 'drain> DrainWatch<'pin, 'drain> {
    /// `changed` must have been made from `drain`.
    pub(super) fn new(drain: &'drain Drain, changed: Pin<&'pin mut Notified<'drain>>) -> Self {
        Self { drain, changed, registered: None }
    }

    pub(super) fn phase(&mut self, cx: &mut Context<'_>) -> Phase {
        let is_registered = self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !is_registered || self.drain.phase() != Phase::Serving {
            while let Poll::Ready(()) = self.changed.as_mut().poll(cx) {
                self.changed.set(self.drain.changed());
            }
            self.registered = Some(cx.waker().clone());
        }
        // Looked at after registering, so that no change falls in between.
        self.drain.phase()
    }
}

/// The nearer of two deadlines.
pub(super) fn nearer(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
