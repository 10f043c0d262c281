//! Makes commits permanent together, on the host's own server.
//!
//! A session that writes there commits without waiting for the disk, so that its rows are free for others at once;
//! whoever asked for the write gets its answer only when the log is on the disk behind it. One session sees to that
//! for all (`flusher`): who waits for it has given its own back, so few sessions are at work at a time. A row that
//! everybody wants is so changed as often as the server can, not as often as the disk flushes. The log is one for all
//! databases of a server, and so is this.
//!
//! A server that crashes and comes back may have lost what was not flushed, and sessions that began later know nothing
//! of it: a flush counts for those only that were lent their session when the flushing one was there already. Others
//! flush themselves, over the session that wrote.

use std::{
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio::{sync::Notify, task::AbortHandle};

use super::statement::{Effect, Statement};

/// What holds in a session that does not wait by itself.
pub(super) const SETTING: &str = "-c synchronous_commit=off";
/// Writes a word to the log, and so waits for all before it, whatever was set before.
pub(super) const FLUSH: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'on', true), \
                                pg_catalog.pg_logical_emit_message(true, 'archipel', '')";
/// It leaves nothing in the session.
pub(super) const KIND: Statement = Statement { effect: Effect::Query, plain: true };

/// A moment, counted in commits and sessions that began.
pub(super) type Moment = u64;

/// Who waits for the disk, and what is there.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    last: AtomicU64,
    serving: Mutex<Option<Serving>>,
    /// Somebody has written.
    wanted: Notify,
    /// More is on the disk, or nobody sees to it any more.
    told: Notify,
}

/// The session that flushes for all.
#[derive(Debug)]
struct Serving {
    began: Moment,
    /// What was committed by then is on the disk.
    until: Moment,
    driver: AbortHandle,
}

/// The session that flushed for all has ended: what waited for it may be lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Flushes {
    /// To be asked before anything is written.
    pub(super) fn now(&self) -> Moment {
        self.last.load(SeqCst)
    }

    /// To be asked when a session has begun, or something is committed.
    fn next(&self) -> Moment {
        self.last.fetch_add(1, SeqCst) + 1
    }

    /// Whether somebody flushes for what was begun at `since`. Otherwise whoever wrote it does it, and the next find
    /// somebody.
    pub(super) fn serve_since(&self, since: Moment) -> bool {
        let serves = |serving: &Serving| serving.began <= since && !serving.driver.is_finished();
        let is_served = self.serving().as_ref().is_some_and(serves);
        if !is_served {
            self.wanted.notify_one();
        }
        is_served
    }

    /// Waits until what the caller has begun at `since` and committed is on the disk.
    ///
    /// Cancel safe.
    pub(super) async fn flushed(&self, since: Moment) -> Result<(), Gone> {
        let own = self.next();
        self.wanted.notify_one();
        loop {
            let mut told = pin!(self.told.notified());
            told.as_mut().enable();
            match &*self.serving() {
                Some(serving) if serving.began <= since && own <= serving.until => return Ok(()),
                Some(serving) if serving.began <= since => {}
                _ => return Err(Gone),
            }
            told.await;
        }
    }

    /// Until somebody has written.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Flushes for whoever writes, over the session of `driver` that is there now, until it fails.
    pub(super) async fn serve<E, F>(&self, driver: AbortHandle, flush: impl Fn() -> F) -> E
    where
        F: Future<Output = Result<(), E>>,
    {
        let _end = End(self);
        let began = self.next();
        *self.serving() = Some(Serving { began, until: began, driver });
        loop {
            self.wanted().await;
            let until = self.now();
            if let Err(error) = flush().await {
                return error;
            }
            if let Some(serving) = self.serving().as_mut() {
                serving.until = until;
            }
            self.told.notify_waiters();
        }
    }

    fn serving(&self) -> std::sync::MutexGuard<'_, Option<Serving>> {
        // It is replaced as a whole.
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who still wait hear that nobody flushes for them any more.
struct End<'a>(&'a Flushes);

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.0.serving() = None;
        self.0.told.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, pin::Pin};

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::oneshot;

    use super::*;

    fn alive() -> AbortHandle {
        tokio::spawn(std::future::pending::<()>()).abort_handle()
    }

    type Server<'a> = Pin<Box<dyn Future<Output = &'static str> + 'a>>;

    /// Somebody who flushes when told so, as often as `count` says.
    fn serve<'a>(
        flushes: &'a Flushes,
        count: &'a Cell<usize>,
        next: &'a Cell<Option<oneshot::Receiver<()>>>,
    ) -> Server<'a> {
        let mut server: Server<'a> = Box::pin(flushes.serve(alive(), || {
            count.set(count.get() + 1);
            let until = next.take();
            async { until.ok_or("nobody lets it flush")?.await.map_err(|_| "the connection broke") }
        }));
        assert!(server.as_mut().now_or_never().is_none());
        server
    }

    #[tokio::test]
    async fn those_that_commit_while_a_flush_is_under_way_are_flushed_together_by_the_next() {
        let (flushes, count, next) = (Flushes::default(), Cell::new(0), Cell::new(None));
        let mut server = serve(&flushes, &count, &next);
        let since = flushes.now();
        assert!(flushes.serve_since(since));
        let mut first = pin!(flushes.flushed(since));
        assert!(first.as_mut().now_or_never().is_none());
        let (go, until) = oneshot::channel();
        next.set(Some(until));
        assert!(server.as_mut().now_or_never().is_none(), "the first is under way");
        let mut others = pin!(join_all([(); 3].map(|()| flushes.flushed(since))));
        assert!(others.as_mut().now_or_never().is_none(), "it has begun before these committed");
        go.send(()).unwrap();
        let (go, until) = oneshot::channel();
        next.set(Some(until));
        assert!(server.as_mut().now_or_never().is_none());
        assert_eq!(first.now_or_never(), Some(Ok(())));
        assert!(others.as_mut().now_or_never().is_none());
        go.send(()).unwrap();
        assert!(server.as_mut().now_or_never().is_none());
        assert_eq!(others.now_or_never(), Some(vec![Ok(()), Ok(()), Ok(())]));
        assert_eq!(count.get(), 2);
    }

    #[tokio::test]
    async fn who_waits_hears_that_the_flushing_session_has_ended() {
        let (flushes, count, next) = (Flushes::default(), Cell::new(0), Cell::new(None));
        let mut server = serve(&flushes, &count, &next);
        let since = flushes.now();
        let mut waiting = pin!(flushes.flushed(since));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(server.as_mut().now_or_never(), Some("nobody lets it flush"));
        assert_eq!(waiting.now_or_never(), Some(Err(Gone)));
        assert!(!flushes.serve_since(since));
        assert!(flushes.wanted().now_or_never().is_some(), "another one is asked for");
    }

    /// The server crashed in between: only the session that wrote can find that out.
    #[tokio::test]
    async fn a_session_that_began_later_says_nothing_of_what_was_committed_before() {
        let (flushes, count, next) = (Flushes::default(), Cell::new(0), Cell::new(None));
        let since = flushes.now();
        let _server = serve(&flushes, &count, &next);
        assert!(!flushes.serve_since(since));
        assert_eq!(flushes.flushed(since).now_or_never(), Some(Err(Gone)));
        assert!(flushes.serve_since(flushes.now()));
    }

    #[tokio::test]
    async fn one_whose_connection_is_closed_serves_nobody() {
        let flushes = Flushes::default();
        let driver = tokio::spawn(async {});
        let mut server = pin!(flushes.serve(driver.abort_handle(), || async { Ok::<(), ()>(()) }));
        assert!(server.as_mut().now_or_never().is_none());
        driver.await.unwrap();
        assert!(!flushes.serve_since(flushes.now()));
    }
}
