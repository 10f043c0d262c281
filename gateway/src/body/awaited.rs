//! How long a request's service has waited for its client: time that is not the service's.
//!
//! A body that is read while it arrives stops the clock of whoever reads it, whenever nothing is
//! there to read. How slow its sender may be is `pace`'s to say, so this time ends by itself; there
//! is a bound all the same. Decides no deadline: it only puts them off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::pace::Pace;

/// The most that a deadline is put off, however large a body may be.
const PUT_OFF_MAX: Duration = Duration::from_secs(10 * 60);

/// How exactly a deadline is kept that is put off all the time.
const STEP: Duration = Duration::from_millis(10);

/// Shared by a request and its body; none of it for a body that is not waited for.
#[derive(Debug, Clone, Default)]
pub struct Awaited(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    made: Instant,
    max: Duration,
    /// Waited before, in nanoseconds.
    before: AtomicU64,
    /// Waiting since, in nanoseconds from `made` plus one; 0 while nobody waits.
    since: AtomicU64,
}

impl Awaited {
    /// For a body of `bytes` at most, whose sender may be as slow as any.
    pub(crate) fn of(bytes: u64) -> Self {
        let Pace { patience, bytes_per_second } = Pace::default();
        let max = patience.saturating_add(Duration::from_secs(bytes / u64::from(bytes_per_second.get())));
        let (before, since) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Some(Arc::new(Inner { made: now(), max: max.min(PUT_OFF_MAX), before, since })))
    }

    /// `deadline`, put off by as long as the client has been waited for until now. Later by and by
    /// while it is waited for, but never later than [`latest`](Self::latest).
    pub fn put_off(&self, deadline: Instant) -> Instant {
        match &self.0 {
            None => deadline,
            Some(inner) => deadline + inner.waited().min(inner.max),
        }
    }

    /// What [`put_off`](Self::put_off) makes `deadline` of, as long as nobody is waited for any more:
    /// for time that begins now, whatever was waited for before it.
    pub fn counted_from_now(&self, deadline: Instant) -> Instant {
        let waited = self.0.as_ref().map_or(Duration::ZERO, |inner| inner.waited().min(inner.max));
        deadline.checked_sub(waited).unwrap_or(deadline)
    }

    /// When to look again whether `deadline`, put off, is over; none: it is.
    pub fn look_again(&self, deadline: Instant) -> Option<Instant> {
        let (until, now) = (self.put_off(deadline), now());
        (until > now).then(|| until.max(now + STEP))
    }

    /// The latest that [`put_off`](Self::put_off) will ever give for `deadline`.
    pub fn latest(&self, deadline: Instant) -> Instant {
        deadline + self.0.as_ref().map_or(Duration::ZERO, |inner| inner.max)
    }

    /// Whether the client is waited for now: whoever is late now is late because of it.
    pub fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.since.load(Relaxed) != 0)
    }

    pub(super) fn begins(&self) {
        if let Some(inner) = &self.0
            && inner.since.load(Relaxed) == 0
        {
            inner.since.store(inner.clock() + 1, Relaxed);
        }
    }

    pub(super) fn ends(&self) {
        if let Some(inner) = &self.0
            && inner.since.load(Relaxed) != 0
        {
            // Only the body writes, and only one at a time can poll it.
            let waited = inner.waited();
            inner.since.store(0, Relaxed);
            inner.before.store(nanos(waited), Relaxed);
        }
    }
}

impl Inner {
    fn clock(&self) -> u64 {
        nanos(now().saturating_duration_since(self.made))
    }

    fn waited(&self) -> Duration {
        let since = self.since.load(Relaxed);
        let going_on = if since == 0 { 0 } else { self.clock().saturating_sub(since - 1) };
        Duration::from_nanos(self.before.load(Relaxed).saturating_add(going_on))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_time_in_which_somebody_waits_puts_a_deadline_off_and_only_so_far() {
        let (awaited, deadline) = (Awaited::of(1024), now() + Duration::from_secs(5));
        let advance = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let put_off = |awaited: &Awaited| awaited.put_off(deadline).saturating_duration_since(deadline).as_secs();

        advance(3).await;
        assert_eq!((put_off(&awaited), awaited.is_on()), (0, false));
        awaited.begins();
        advance(2).await;
        awaited.begins(); // polled again, and still nothing is there
        advance(2).await;
        assert_eq!((put_off(&awaited), awaited.is_on()), (4, true));
        awaited.ends();
        advance(10).await;
        assert_eq!((put_off(&awaited), awaited.is_on()), (4, false));
        awaited.begins();
        advance(1000).await;
        assert_eq!(put_off(&awaited), 31, "30 s of patience, and 1 KiB at 1 KiB/s");
        assert_eq!(awaited.put_off(deadline), awaited.latest(deadline));
        assert_eq!(Awaited::of(u64::MAX).latest(deadline), deadline + PUT_OFF_MAX);

        let begun = awaited.counted_from_now(now() + Duration::from_secs(5));
        assert_eq!(awaited.put_off(begun), now() + Duration::from_secs(5), "what was waited for before does not count");
        assert_eq!(awaited.look_again(begun), Some(now() + Duration::from_secs(5)));
        assert_eq!(awaited.look_again(deadline), None);

        let none = Awaited::default();
        none.begins();
        advance(1).await;
        assert_eq!((put_off(&none), none.is_on(), none.latest(deadline)), (0, false, deadline));
    }
}
