//! Makes commits permanent together, on the host's own server.
//!
//! A session that writes there commits without waiting for the disk, so that its rows are free for others at once;
//! whoever asked for the write gets its answer only when the log is on the disk behind it. One session at a time sees to
//! that, for all that have committed by then, or none where a commit that waits for the disk anyway is under way. A row that
//! everybody wants is so changed as often as the server can, not as often as the disk flushes. The log is one for all
//! databases of a server, and so is this.
//!
//! A server that crashes and comes back may have lost what was not flushed, and sessions that began later know nothing
//! of it: a session's flush counts for those only that were at work when it was there already.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::statement::{Effect, Statement};

/// What holds in a session that asks for flushes itself.
pub(super) const SETTING: &str = "-c synchronous_commit=off";
/// Writes a word to the log, and so waits for all before it, whatever was set before.
pub(super) const FLUSH: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', true), \
                                pg_catalog.pg_logical_emit_message(true, 'archipel', '')";
/// It leaves nothing in the session.
pub(super) const KIND: Statement = Statement { effect: Effect::Query, plain: true };

/// As long as anybody waits for what others have under way: longer than a disk takes for two flushes. A session that hangs
/// holds nobody up.
const PATIENCE: Duration = Duration::from_millis(20);
/// So many may flush at the same time all the same.
const TOGETHER_MAX: usize = 3;

/// A moment, counted in commits and sessions that began.
pub(super) type Moment = u64;

/// Who waits for the disk, and what is there.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    last: AtomicU64,
    /// What was begun at the first moment or later, and committed by the other one, is on the disk.
    done: Mutex<(Moment, Moment)>,
    /// How many flush just now, and how many commit and wait for the disk by themselves.
    flushing: AtomicUsize,
    committing: AtomicUsize,
    told: Notify,
}

impl Flushes {
    /// To be asked before anything is written.
    pub(super) fn now(&self) -> Moment {
        self.last.load(SeqCst)
    }

    /// To be asked when a session has begun, or something is committed.
    pub(super) fn next(&self) -> Moment {
        self.last.fetch_add(1, SeqCst) + 1
    }

    /// Waits until what the caller has begun at `since` and committed is on the disk: `flush` does it, or somebody else
    /// did. `began` is when the caller's session did, over which both go.
    ///
    /// Cancel safe: whoever waits as well goes on with a flush of its own.
    ///
    /// # Errors
    /// Those of `flush`.
    pub(super) async fn wait<E>(
        &self,
        (began, since): (Moment, Moment),
        flush: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let (own, patient_until) = (self.next(), Instant::now() + PATIENCE);
        let mut is_patient = true;
        let _flushing = loop {
            let mut told = pin!(self.told.notified());
            told.as_mut().enable();
            if self.has(since, own) {
                return Ok(());
            }
            match self.may_flush(is_patient) {
                Some(flushing) => break flushing,
                None if is_patient => is_patient = timeout_at(patient_until, told).await.is_ok(),
                None => told.await,
            }
        };
        let until = self.now();
        flush.await?;
        self.did(began, until);
        Ok(())
    }

    /// Does `commit`, which waits for the disk by itself, over a session that began at `began`: it stands for all that
    /// have committed before.
    ///
    /// # Errors
    /// Those of `commit`.
    pub(super) async fn along<T, E>(&self, began: Moment, commit: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.committing.fetch_add(1, SeqCst);
        let _committing = UnderWay { flushes: self, count: &self.committing };
        let until = self.now();
        let done = commit.await?;
        self.did(began, until);
        Ok(done)
    }

    /// Nobody flushes beside another, while patient. What comes in the same moment may.
    fn may_flush(&self, is_patient: bool) -> Option<UnderWay<'_>> {
        if is_patient && self.committing.load(SeqCst) > 0 {
            return None;
        }
        let max = if is_patient { 1 } else { TOGETHER_MAX };
        let one_more = |flushing| (flushing < max).then_some(flushing + 1);
        let begun = self.flushing.fetch_update(SeqCst, SeqCst, one_more);
        begun.ok().map(|_before| UnderWay { flushes: self, count: &self.flushing })
    }

    fn has(&self, since: Moment, commit: Moment) -> bool {
        let (from, until) = *self.done.lock().unwrap_or_else(PoisonError::into_inner);
        from <= since && commit <= until
    }

    /// A session that was there from the one moment on has flushed what was committed by the other.
    fn did(&self, from: Moment, until: Moment) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        // Two whose times meet have seen the same server all the while. Otherwise only the later one is kept.
        if from <= done.1 && done.0 <= until {
            *done = (from.min(done.0), until.max(done.1));
        } else if until > done.1 {
            *done = (from, until);
        }
    }
}

/// While somebody flushes or commits; the others look again afterwards, whatever came of it.
struct UnderWay<'a> {
    flushes: &'a Flushes,
    count: &'a AtomicUsize,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, SeqCst);
        self.flushes.told.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, pin::Pin};

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::oneshot;

    use super::*;

    const OLD: (Moment, Moment) = (0, 0);

    /// One that is under way until it is let go.
    type UnderWay<'a> = (oneshot::Sender<()>, Pin<Box<dyn Future<Output = Result<(), ()>> + 'a>>);

    fn begun<'a>(gone: oneshot::Sender<()>, flush: impl Future<Output = Result<(), ()>> + 'a) -> UnderWay<'a> {
        let mut flush: Pin<Box<dyn Future<Output = Result<(), ()>> + 'a>> = Box::pin(flush);
        assert!(flush.as_mut().now_or_never().is_none());
        (gone, flush)
    }

    fn flushing(flushes: &Flushes) -> UnderWay<'_> {
        let (go, gone) = oneshot::channel();
        begun(go, flushes.wait(OLD, async { gone.await.map_err(drop) }))
    }

    /// A commit that waits for the disk by itself.
    fn committing(flushes: &Flushes) -> UnderWay<'_> {
        let (go, gone) = oneshot::channel();
        begun(go, flushes.along(0, async { gone.await.map_err(drop) }))
    }

    async fn end((go, flush): UnderWay<'_>) {
        go.send(()).unwrap();
        flush.await.unwrap();
    }

    /// One that counts.
    async fn counted(flushes: &Flushes, count: &Cell<usize>) -> Result<(), ()> {
        let flush = async {
            count.set(count.get() + 1);
            Ok(())
        };
        flushes.wait(OLD, flush).await
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_commit_while_another_flushes_are_flushed_together_by_the_next() {
        let (flushes, count) = (Flushes::default(), Cell::new(0));
        let first = flushing(&flushes);
        let mut others = pin!(join_all([(); 3].map(|()| counted(&flushes, &count))));
        assert!(others.as_mut().now_or_never().is_none(), "it has begun before these committed");
        end(first).await;
        assert_eq!(others.await, [Ok(()); 3]);
        assert_eq!(count.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_commits_before_another_commit_goes_to_the_disk_needs_no_flush() {
        let (flushes, count) = (Flushes::default(), Cell::new(0));
        let early = committing(&flushes);
        let mut between = pin!(counted(&flushes, &count));
        assert!(between.as_mut().now_or_never().is_none(), "that one may have been there before");
        let late = committing(&flushes);
        end(early).await;
        assert!(between.as_mut().now_or_never().is_none());
        end(late).await;
        assert_eq!((between.now_or_never(), count.get()), (Some(Ok(())), 0));
        // Nobody commits, and nobody would come.
        assert_eq!((counted(&flushes, &count).now_or_never(), count.get()), (Some(Ok(())), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_or_the_end_of_one_leaves_the_others_to_flush_themselves() {
        let (flushes, count) = (Flushes::default(), Cell::new(0));
        for begin in [flushing, committing] {
            let first = begin(&flushes);
            let mut other = pin!(counted(&flushes, &count));
            assert!(other.as_mut().now_or_never().is_none());
            drop(first);
            assert_eq!(other.now_or_never(), Some(Ok(())));
        }
        assert_eq!(count.get(), 2);
        assert_eq!(flushes.wait(OLD, async { Err(7) }).now_or_never(), Some(Err(7)));
        assert_eq!(flushes.along(0, async { Err::<(), _>(7) }).now_or_never(), Some(Err(7)));
        assert!(!flushes.has(0, flushes.now() + 1));
        assert_eq!(counted(&flushes, &count).now_or_never(), Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_hangs_holds_nobody_up() {
        for begin in [flushing, committing] {
            let (flushes, count) = (Flushes::default(), Cell::new(0));
            let _hanging = begin(&flushes);
            let began = Instant::now();
            tokio::time::timeout(Duration::from_secs(60), counted(&flushes, &count)).await.unwrap().unwrap();
            assert!(count.get() == 1 && began.elapsed() >= PATIENCE);
        }
    }

    /// The server crashed in between: the older session's own question finds that out.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_began_later_says_nothing_of_what_was_committed_before() {
        let flushes = Flushes::default();
        let since = flushes.now();
        // Here it commits, the server crashes and comes back, and somebody is quicker.
        let young = flushes.next();
        let quick = flushing(&flushes);
        let mut lost = pin!(flushes.wait((0, since), async { Err::<(), _>("the connection broke") }));
        assert!(lost.as_mut().now_or_never().is_none());
        flushes.along(young, async { Ok::<_, ()>(()) }).await.unwrap();
        assert!(lost.as_mut().now_or_never().is_none());
        drop(quick);
        assert_eq!(lost.now_or_never(), Some(Err("the connection broke")));
    }

    #[test]
    fn stretches_that_meet_are_one() {
        let flushes = Flushes::default();
        flushes.did(1, 5);
        flushes.did(4, 8);
        assert!(flushes.has(1, 8) && flushes.has(2, 6) && !flushes.has(0, 3) && !flushes.has(1, 9));
        flushes.did(10, 12);
        assert!(flushes.has(10, 12) && !flushes.has(9, 11) && !flushes.has(1, 8));
        flushes.did(2, 8);
        assert!(!flushes.has(2, 11), "one that is told of late says nothing of what came between");
    }
}
