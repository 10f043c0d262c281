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

/// The slowest that a client may read while an answer waits for it.
const READ_BYTES_PER_SECOND: u32 = 1024;

/// When a client that does not take what is written, or hardly, has had enough time.
///
/// Blocked writes use up `max`, bytes that move restore it at the slowest pace: silence is
/// cut after `max`, and a client that takes a byte now and then is not kept for ever.
pub(super) struct WriteStall {
    max: Duration,
    left: Duration,
    written: u64,
    blocked_since: Option<Instant>,
}

impl WriteStall {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, left: max, written: 0, blocked_since: None }
    }

    /// The moment to give up, if nothing changes; `None` while writes are not blocked.
    pub(super) fn deadline(&mut self, state: &State) -> Option<Instant> {
        let moved = state.written() - self.written;
        let is_blocked = state.is_write_blocked();
        if (moved > 0 || !is_blocked)
            && let Some(since) = self.blocked_since.take()
        {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.written += moved;
        if moved > 0 && self.left < self.max {
            let restored = Duration::from_secs(moved) / READ_BYTES_PER_SECOND;
            self.left = self.max.min(self.left + restored);
        }
        is_blocked.then(|| *self.blocked_since.get_or_insert_with(Instant::now) + self.left)
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

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_given_up() {
        let (state, mut stall) = (State::default(), WriteStall::new(MAX));
        let started = Instant::now();
        assert_eq!(stall.deadline(&state), None);
        while started.elapsed() < MAX * 2 {
            state.write_blocked();
            let next_bytes = Instant::now() + Duration::from_secs(1);
            let gives_up = stall.deadline(&state).expect("writes are blocked");
            if gives_up < next_bytes {
                return;
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            state.wrote(10);
        }
        panic!("kept after twice the time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_the_pace_may_block_as_long_as_it_needs() {
        let (state, mut stall) = (State::default(), WriteStall::new(MAX));
        for _ in 0..100 {
            state.write_blocked();
            assert_eq!(stall.deadline(&state), Some(Instant::now() + MAX));
            tokio::time::advance(Duration::from_secs(20)).await;
            state.wrote(20 * 1024);
        }
    }
}
