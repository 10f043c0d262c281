//! Until when requests may go on that run on a version that is not live any more.
//!
//! Decides when they are over: `host.drain` after the version has left. A request whose own deadline
//! comes before that could ever matter is not watched at all, which with the defaults is every one.
//! A request's deadline is put off while its guest waits for the client (`gateway::body::Awaited`).

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use gateway::body::Awaited;
use tokio::{
    sync::watch,
    time::{Sleep, sleep_until},
};

use super::Failure;

/// The drain limit, the same for all versions, in milliseconds; it changes while they run.
#[derive(Debug, Clone)]
pub struct DrainLimit(Arc<AtomicU64>);

impl DrainLimit {
    pub fn new(limit: Duration) -> Self {
        let drain = Self(Arc::default());
        drain.set(limit);
        drain
    }

    /// For versions that leave from now on.
    pub fn set(&self, limit: Duration) {
        self.0.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

/// Longer than any stream.
const STREAM_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Whether one version is leaving.
pub(super) struct Leave {
    limit: DrainLimit,
    /// By when it must be gone; none while it is live, or on its way there.
    by: watch::Sender<Option<Instant>>,
}

impl Leave {
    pub(super) fn new(limit: DrainLimit) -> Self {
        Self { limit, by: watch::Sender::new(None) }
    }

    /// Its requests have the drain limit from now on.
    pub(super) fn begin(&self) {
        self.by.send_replace(Some(Instant::now() + self.limit.get()));
    }

    /// It is live again.
    pub(super) fn take_back(&self) {
        self.by.send_replace(None);
    }

    /// What ends the work of a request: its `deadline`, or this.
    pub(super) fn limits(&self, deadline: Deadline, now: Instant) -> Limits {
        let leaving = self.by.borrow().is_some();
        let matters = leaving || deadline.latest.saturating_duration_since(now) > self.limit.get();
        Limits { deadline, left: matters.then(|| self.by.subscribe()) }
    }
}

/// What is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Deadline,
    /// The time of a version that has left.
    Drain,
}

impl From<Over> for Failure {
    fn from(over: Over) -> Self {
        match over {
            Over::Deadline => Self::DeadlineExceeded,
            Over::Drain => Self::Left,
        }
    }
}

/// When a piece of work is late: its time is over, but for that in which the client was waited for.
#[derive(Clone)]
pub(super) struct Deadline {
    due: Instant,
    /// Nothing puts it off further.
    pub(super) latest: Instant,
    awaited: Awaited,
}

impl Deadline {
    /// `due`, but for what the client will be waited for, and `end` at the latest.
    pub(super) fn of(due: Instant, end: Instant, awaited: &Awaited) -> Self {
        let due = awaited.counted_from_now(due);
        Self { due, latest: end.min(awaited.latest(due)), awaited: awaited.clone() }
    }

    /// Of an answer that may take as long as it goes on; whoever sends it ends one that is silent.
    pub(super) fn endless() -> Self {
        (Instant::now() + STREAM_MAX).into()
    }

    /// As it stands now.
    fn now(&self) -> Instant {
        self.awaited.put_off(self.due).min(self.latest)
    }

    /// When to look again whether it has passed; none: it has.
    fn look_again(&self) -> Option<Instant> {
        let later = self.awaited.look_again(self.due)?.min(self.latest);
        (later > Instant::now()).then_some(later)
    }

    async fn passed(self) {
        let mut until = self.now();
        loop {
            sleep_until(until.into()).await;
            match self.look_again() {
                None => return,
                Some(later) => until = later,
            }
        }
    }
}

impl From<Instant> for Deadline {
    /// One that nothing puts off.
    fn from(due: Instant) -> Self {
        Self { due, latest: due, awaited: Awaited::default() }
    }
}

/// How long one piece of work may go on.
#[derive(Clone)]
pub(super) struct Limits {
    pub(super) deadline: Deadline,
    left: Option<watch::Receiver<Option<Instant>>>,
}

impl Limits {
    /// Of work that no version runs: only its time ends it.
    pub(super) fn of(deadline: Deadline) -> Self {
        Self { deadline, left: None }
    }

    /// Whether its time is over.
    pub(super) fn are_over(&self) -> bool {
        self.deadline.look_again().is_none()
    }

    /// The same work, done by `end` at the latest.
    pub(super) fn by(&self, end: Instant) -> Self {
        let latest = end.min(self.deadline.latest);
        Self { deadline: Deadline { latest, ..self.deadline.clone() }, left: self.left.clone() }
    }

    /// Waits until one of them is over. Cancel safe.
    pub(super) async fn over(self) -> Over {
        let deadline = self.deadline.passed();
        match self.left {
            None => {
                deadline.await;
                Over::Deadline
            }
            Some(left) => tokio::select! {
                () = deadline => Over::Deadline,
                () = gone(left) => Over::Drain,
            },
        }
    }

    /// `work`, as far as it comes within the limits. Dropping it ends the work.
    pub(super) async fn bound<T>(self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            worked = work => worked,
            over = self.over() => Err(over.into()),
        }
    }
}

/// Waits until the version has left, and its requests' time is over.
async fn gone(mut left: watch::Receiver<Option<Instant>>) {
    loop {
        let by = *left.borrow_and_update();
        match by {
            None if left.changed().await.is_err() => return std::future::pending().await,
            None => {}
            Some(by) => tokio::select! {
                () = sleep_until(by.into()) => return,
                Ok(()) = left.changed() => {}
            },
        }
    }
}

/// A timer that exists only once something has had to wait.
#[derive(Default)]
pub(super) enum Timer {
    #[default]
    Unset,
    Deadline(Pin<Box<Sleep>>),
    Both(Pin<Box<dyn Future<Output = Over> + Send>>),
}

impl Timer {
    /// Why it is over, if it is.
    pub(super) fn poll_over(&mut self, limits: &Limits, cx: &mut Context<'_>) -> Poll<Over> {
        if matches!(self, Self::Unset) {
            *self = match limits.left {
                None => Self::Deadline(Box::pin(sleep_until(limits.deadline.now().into()))),
                Some(_) => Self::Both(Box::pin(limits.clone().over())),
            };
        }
        match self {
            Self::Unset => Poll::Pending,
            Self::Deadline(sleep) => loop {
                ready!(sleep.as_mut().poll(cx));
                let Some(later) = limits.deadline.look_again() else { return Poll::Ready(Over::Deadline) };
                sleep.as_mut().reset(later.into());
            },
            Self::Both(over) => over.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(drain_ms: u64) -> Leave {
        Leave::new(DrainLimit::new(Duration::from_millis(drain_ms)))
    }

    fn within(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn work_ends_with_its_deadline_or_the_drain_limit_of_its_version() {
        let never = || std::future::pending::<Result<(), Failure>>();
        let leaving = leave(5);
        let limits = leaving.limits(within(60).into(), Instant::now());
        leaving.begin();
        assert!(matches!(limits.bound(never()).await, Err(Failure::Left)));
        assert!(
            matches!(leaving.limits(within(60).into(), Instant::now()).bound(never()).await, Err(Failure::Left)),
            "begun after it"
        );
        let soon = Instant::now() + Duration::from_millis(5);
        assert!(matches!(
            leave(1000).limits(soon.into(), Instant::now()).bound(never()).await,
            Err(Failure::DeadlineExceeded)
        ));
        assert!(leave(1000).limits(soon.into(), Instant::now()).left.is_none(), "not watched");
    }

    #[tokio::test]
    async fn a_version_that_comes_back_keeps_its_requests() {
        let leave = leave(20);
        let limits = leave.limits((Instant::now() + Duration::from_millis(100)).into(), Instant::now());
        leave.begin();
        leave.take_back();
        assert_eq!(limits.over().await, Over::Deadline);
    }
}
