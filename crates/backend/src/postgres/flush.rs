//! Makes commits permanent together, on the host's own server.
//!
//! A session that writes there commits without waiting for the disk, so that its rows are free for others at once;
//! whoever asked for the write gets its answer only when the log is on the disk behind it. Few sessions see to that,
//! each for all that have committed by then. A row that everybody wants is so changed as often as the server can, not as
//! often as the disk flushes. The log is one for all databases of a server, and so is this.
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
};

use tokio::sync::Notify;

use super::statement::{Effect, Statement};

/// What holds in a session that asks for flushes itself.
pub(super) const SETTING: &str = "-c synchronous_commit=off";
/// Writes a word to the log, and so waits for all before it, whatever was set before.
pub(super) const FLUSH: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', true), \
                                pg_catalog.pg_logical_emit_message(true, 'archipel', '')";
/// It leaves nothing in the session.
pub(super) const KIND: Statement = Statement { effect: Effect::Query, plain: true };

/// So many may flush at the same time: the server has the next one at hand when the disk is done with one, and few ask
/// for what others do.
const TOGETHER_MAX: usize = 3;

/// A moment, counted in commits and sessions that began.
pub(super) type Moment = u64;

/// Who waits for the disk, and what is there.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    last: AtomicU64,
    /// What was begun at the first moment or later, and committed by the other one, is on the disk.
    done: Mutex<(Moment, Moment)>,
    /// How many flush just now.
    under_way: AtomicUsize,
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
        let own = self.next();
        let _leading = loop {
            let mut told = pin!(self.told.notified());
            told.as_mut().enable();
            if self.has(since, own) {
                return Ok(());
            }
            match Leading::begin(self) {
                Some(leading) => break leading,
                None => told.await,
            }
        };
        let until = self.now();
        flush.await?;
        self.did(began, until);
        Ok(())
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

/// While somebody flushes; the others look again afterwards, whatever came of it.
struct Leading<'a>(&'a Flushes);

impl<'a> Leading<'a> {
    fn begin(flushes: &'a Flushes) -> Option<Self> {
        let one_more = |under_way| (under_way < TOGETHER_MAX).then_some(under_way + 1);
        flushes.under_way.fetch_update(SeqCst, SeqCst, one_more).ok().map(|_before| Self(flushes))
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
        self.0.told.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, pin::Pin, rc::Rc};

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::oneshot;

    use super::*;

    const OLD: (Moment, Moment) = (0, 0);

    /// One that is under way until it is let go.
    type UnderWay<'a> = (oneshot::Sender<()>, Pin<Box<dyn Future<Output = Result<(), ()>> + 'a>>);

    /// As many as may be.
    fn under_way(flushes: &Flushes) -> Vec<UnderWay<'_>> {
        let begin = |_| {
            let (go, gone) = oneshot::channel();
            let mut flush = Box::pin(flushes.wait(OLD, async { gone.await.map_err(drop) }));
            assert!(flush.as_mut().now_or_never().is_none());
            (go, flush as Pin<Box<dyn Future<Output = _>>>)
        };
        (0..TOGETHER_MAX).map(begin).collect()
    }

    #[tokio::test]
    async fn those_that_commit_while_others_flush_are_flushed_together_by_the_next() {
        let (flushes, count) = (Flushes::default(), Cell::new(0));
        let mut first = under_way(&flushes);
        let next = || {
            flushes.wait(OLD, async {
                count.set(count.get() + 1);
                Ok::<_, ()>(())
            })
        };
        let mut others = pin!(join_all([next(), next(), next()]));
        assert!(others.as_mut().now_or_never().is_none(), "all have begun before these committed");
        let (go, flush) = first.pop().unwrap();
        go.send(()).unwrap();
        flush.await.unwrap();
        assert_eq!(others.await, [Ok(()); 3]);
        assert_eq!(count.get(), 1);
    }

    #[tokio::test]
    async fn a_failure_or_the_end_of_one_leaves_the_others_to_flush_themselves() {
        let flushes = Flushes::default();
        let mut first = under_way(&flushes);
        let own = Rc::new(Cell::new(false));
        let mut other = pin!(flushes.wait(OLD, async {
            own.set(true);
            Ok::<_, ()>(())
        }));
        assert!(other.as_mut().now_or_never().is_none());
        drop(first.pop());
        assert_eq!(other.now_or_never(), Some(Ok(())));
        assert!(own.get());
        assert_eq!(flushes.wait(OLD, async { Err(7) }).now_or_never(), Some(Err(7)));
        assert_eq!(flushes.wait(OLD, async { Ok::<_, ()>(()) }).now_or_never(), Some(Ok(())));
    }

    /// The server crashed in between: the older session's own question finds that out.
    #[tokio::test]
    async fn a_session_that_began_later_says_nothing_of_what_was_committed_before() {
        let flushes = Flushes::default();
        let since = flushes.now();
        // Here it commits, the server crashes and comes back, and somebody is quicker.
        let young = flushes.next();
        let mut quick = under_way(&flushes);
        let mut lost = pin!(flushes.wait((0, since), async { Err::<(), _>("the connection broke") }));
        assert!(lost.as_mut().now_or_never().is_none());
        drop(quick.pop());
        let others = flushes.wait((young, flushes.now()), async { Ok::<_, ()>(()) });
        assert_eq!(others.now_or_never(), Some(Ok(())));
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
