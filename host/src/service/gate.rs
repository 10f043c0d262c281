//! How many requests may be in a service, and how many may wait to enter.
//!
//! Requests whose bodies have still to come get half of the places at most: however slowly their
//! senders are, the other half is for those who are waiting for nobody.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// `limits.concurrency` and `limits.queue`.
pub(super) struct Gate {
    places: usize,
    permits: Arc<Semaphore>,
    /// For bodies that are still under way; each needs a place of `permits`, too.
    uploads: Arc<Semaphore>,
    waiting: AtomicU32,
    queue_max: u32,
    wait_max: Duration,
}

/// How much of a request's body is here when it asks to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Whole,
    UnderWay,
}

/// A place in the service, given back when dropped.
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _upload: Option<OwnedSemaphorePermit>,
    /// It had to be waited for.
    pub(super) has_queued: bool,
}

impl Gate {
    pub(super) fn new(concurrency: NonZeroU32, queue_max: u32, wait_max: Duration) -> Self {
        Self {
            places: concurrency.get() as usize,
            permits: Arc::new(Semaphore::new(concurrency.get() as usize)),
            uploads: Arc::new(Semaphore::new(concurrency.get().div_ceil(2) as usize)),
            waiting: AtomicU32::new(0),
            queue_max,
            wait_max,
        }
    }

    /// How many are in.
    pub(super) fn inside(&self) -> usize {
        self.places - self.permits.available_permits()
    }

    /// `None` when the service is full and the queue is full, or no place came free in time.
    /// Cancel safe.
    pub(super) async fn enter(&self, body: Arrival, deadline: Instant) -> Option<Permit> {
        let upload = match body {
            Arrival::Whole => None,
            Arrival::UnderWay => Some(self.uploads.clone().try_acquire_owned().ok()?),
        };
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(Permit { _permit: permit, _upload: upload, has_queued: false });
        }
        let _waiting = self.queue()?;
        let until = deadline.min(Instant::now() + self.wait_max);
        let permit = tokio::time::timeout_at(until.into(), self.permits.clone().acquire_owned()).await;
        Some(Permit { _permit: permit.ok()?.ok()?, _upload: upload, has_queued: true })
    }

    fn queue(&self) -> Option<Waiting<'_>> {
        let place = self.waiting.fetch_update(Relaxed, Relaxed, |n| (n < self.queue_max).then_some(n + 1));
        place.ok().map(|_| Waiting(&self.waiting))
    }
}

struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(queue_max: u32, wait_max: Duration) -> Gate {
        Gate::new(NonZeroU32::MIN, queue_max, wait_max)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let gate = gate(0, Duration::from_secs(10));
        let _first = gate.enter(Arrival::Whole, soon()).await.expect("free");
        assert!(gate.enter(Arrival::Whole, soon()).await.is_none());
    }

    #[tokio::test]
    async fn bodies_under_way_leave_half_of_the_places_to_others() {
        let gate = Gate::new(NonZeroU32::new(4).unwrap(), 0, Duration::ZERO);
        let upload = gate.enter(Arrival::UnderWay, soon()).await.expect("free");
        let _second = gate.enter(Arrival::UnderWay, soon()).await.expect("free");
        assert!(gate.enter(Arrival::UnderWay, soon()).await.is_none());
        let _whole = gate.enter(Arrival::Whole, soon()).await.expect("free");
        drop(upload);
        let _third = gate.enter(Arrival::UnderWay, soon()).await.expect("free again");
    }

    #[tokio::test]
    async fn a_place_that_comes_free_goes_to_who_waits() {
        let gate = gate(1, Duration::from_secs(10));
        let first = gate.enter(Arrival::Whole, soon()).await.expect("free");
        let (second, ()) = tokio::join!(gate.enter(Arrival::Whole, soon()), async { drop(first) });
        assert!(second.is_some());
        assert_eq!(gate.waiting.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_queue_allows() {
        let gate = gate(1, Duration::from_millis(20));
        let _first = gate.enter(Arrival::Whole, soon()).await.expect("free");
        assert!(gate.enter(Arrival::Whole, soon()).await.is_none());
    }
}
