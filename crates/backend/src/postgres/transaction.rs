//! A transaction: a connection that is somebody's own until it ends.
//!
//! Dropping a [`Transaction`] rolls it back, whatever the reason, and its connection is lent
//! again only after that. A transaction within one (a savepoint) shares the connection; the
//! outer one answers [`Error::Closed`] while the inner one lives.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    batch::{Batch, BatchItem},
    bounds::{cut, permitted, within},
    error::{DbError, Error, Failure, not_permanent},
    exchange::{Control, Exchange, Execute, Query, Within},
    leave::{self, Leave, Left},
    pipeline::Scope,
    pool::Lease,
    statement::Statement,
    value::{Rows, Value},
};
use crate::{memory::Account, outbox::Outbox};
use grant::Mode;

/// Savepoints within savepoints.
const DEPTH_MAX: usize = 32;

/// How a transaction sees others and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TxOptions {
    pub isolation: Isolation,
    pub read_only: bool,
    /// Only matters to a serializable read-only one: it waits until it can run undisturbed.
    pub deferrable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl TxOptions {
    pub(super) fn sql(self, mode: Mode) -> String {
        let isolation = match self.isolation {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        };
        let access = if self.read_only || mode == Mode::Read { "READ ONLY" } else { "READ WRITE" };
        let deferrable = if self.deferrable { "DEFERRABLE" } else { "NOT DEFERRABLE" };
        format!("BEGIN ISOLATION LEVEL {isolation} {access} {deferrable}")
    }
}

/// An open transaction or a savepoint within one.
pub struct Transaction {
    shared: Arc<Shared>,
    /// 0 for the transaction itself.
    level: usize,
    /// Committed or rolled back by request.
    ended: bool,
}

/// What a transaction has from the pool that it is of.
pub(super) struct Terms {
    pub(super) mode: Mode,
    pub(super) statement_timeout: Duration,
    /// Where the service may leave events, if it may.
    pub(super) outbox: Option<Arc<Outbox>>,
    /// What answers take their memory from.
    pub(super) account: Option<Arc<dyn Account>>,
    /// What began it.
    pub(super) begun_by: String,
    pub(super) read_only: bool,
}

struct Shared {
    state: Mutex<State>,
    terms: Terms,
    /// Whether events were left.
    published: AtomicBool,
    /// Whether something may have been written.
    wrote: AtomicBool,
    /// Whether its commit waits for the disk: it has an event that no savepoint can undo.
    waits: AtomicBool,
}

struct State {
    /// Empty while a statement runs, and for ever once the transaction has ended.
    lease: Option<Lease>,
    over: bool,
    /// The level that may speak.
    level: usize,
    /// Whether a statement of a level failed: PostgreSQL then only takes its rollback.
    failed: Vec<bool>,
    /// Nothing of it has been asked for yet.
    fresh: bool,
    /// Events that go with what is asked next.
    left: Left,
    /// Savepoints dropped without an end, down to this level, still to be rolled back.
    abandoned_to: Option<usize>,
}

impl Transaction {
    pub(super) fn new(lease: Lease, terms: Terms) -> Self {
        let state = State {
            lease: Some(lease),
            over: false,
            level: 0,
            failed: vec![false],
            fresh: true,
            left: Left::default(),
            abandoned_to: None,
        };
        let shared = Shared {
            state: Mutex::new(state),
            terms,
            published: AtomicBool::new(false),
            wrote: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), level: 0, ended: false }
    }

    pub async fn query(&self, sql: &str, params: &[Value], deadline: Instant) -> Result<Rows, Error> {
        let kind = self.permitted(sql)?;
        self.run(deadline, Query { sql, kind, params, account: self.shared.terms.account.as_ref() }).await
    }

    pub async fn execute(&self, sql: &str, params: &[Value], deadline: Instant) -> Result<u64, Error> {
        let kind = self.permitted(sql)?;
        self.run(deadline, Execute { sql, kind, params }).await
    }

    /// Statements in one flight; a failure of one fails the transaction.
    pub async fn batch(&self, items: &[BatchItem], deadline: Instant) -> Result<Vec<u64>, Error> {
        let batch = Batch::new(items, |sql| self.permitted(sql))?;
        self.run(deadline, Within(batch)).await
    }

    fn permitted(&self, sql: &str) -> Result<Statement, Error> {
        let kind = permitted(self.shared.terms.mode, sql)?;
        if !kind.is_repeatable() && !self.shared.terms.read_only {
            self.shared.wrote.store(true, Ordering::Relaxed);
        }
        Ok(kind)
    }

    /// Starts a transaction within this one.
    pub async fn savepoint(&self, deadline: Instant) -> Result<Self, Error> {
        let level = self.level + 1;
        if level > DEPTH_MAX {
            return Err(Error::Refused(format!("savepoints nest at most {DEPTH_MAX} deep")));
        }
        self.run(deadline, Control { sql: format!("SAVEPOINT level_{level}"), ends: false }).await?;
        let mut state = self.state();
        state.level = level;
        state.failed.push(false);
        drop(state);
        Ok(Self { shared: self.shared.clone(), level, ended: false })
    }

    /// Makes it permanent, or for a savepoint a part of the outer transaction.
    ///
    /// # Errors
    /// SQLSTATE 25P02 if a statement of it failed: it is rolled back then, never half kept.
    pub async fn commit(mut self, deadline: Instant) -> Result<(), Error> {
        if self.has_failed() {
            self.finish(Ending::RollBack, deadline).await?;
            return Err(Error::Db(Box::new(DbError::transaction_failed())));
        }
        self.finish(Ending::Commit, deadline).await?;
        if let (0, true, Some(outbox)) = (self.level, self.shared.published.load(Ordering::Relaxed), self.outbox()) {
            outbox.committed();
        }
        Ok(())
    }

    pub async fn rollback(mut self, deadline: Instant) -> Result<(), Error> {
        self.finish(Ending::RollBack, deadline).await
    }

    pub(super) fn outbox(&self) -> Option<&Outbox> {
        self.shared.terms.outbox.as_deref()
    }

    /// Remembers that somebody is to be told when it commits.
    pub(super) fn remember_publishing(&self) {
        self.shared.published.store(true, Ordering::Relaxed);
        if self.level == 0 {
            self.shared.waits.store(true, Ordering::Relaxed);
        }
    }

    /// Keeps an event until something is asked, or gives it back: it is to be sent at once.
    pub(super) fn leave_later(&self, event: leave::Event, bytes: usize) -> Result<Option<leave::Event>, Error> {
        let mut state = self.state();
        if self.level != state.level || state.lease.is_none() {
            return Err(Error::Closed);
        }
        let waits = self.level == 0 && state.abandoned_to.is_none() && !state.failed.contains(&true);
        Ok(if waits { state.left.push(event, bytes) } else { Some(event) })
    }

    async fn finish(&mut self, ending: Ending, deadline: Instant) -> Result<(), Error> {
        let level = self.level;
        let left = match level {
            // Rolled back, they need not be sent; an inner level has none.
            0 => std::mem::take(&mut self.state().left),
            _ => Left::default(),
        };
        let finished = match ending {
            Ending::Commit if !left.is_empty() => self.run(deadline, Leave(&left, Scope::Last)).await,
            _ => self.run(deadline, Control { sql: ending.sql(level), ends: level == 0 }).await,
        };
        // Without an answer the drop below ends it.
        finished?;
        if matches!(ending, Ending::Commit) && level == 0 && self.is_to_be_flushed() {
            self.permanent(deadline).await?;
        }
        self.ended = true;
        let mut state = self.state();
        match level {
            0 => state.close(),
            _ => state.leave(level),
        }
        Ok(())
    }

    /// It is committed: its connection is needed no more.
    async fn permanent(&self, deadline: Instant) -> Result<(), Error> {
        let lease = self.state().lease.take().ok_or_else(not_permanent)?;
        let cut = cut(self.shared.terms.statement_timeout, deadline);
        within(cut, lease.permanent()).await.map_err(|_| not_permanent())
    }

    pub(super) async fn run<E: Exchange>(&self, deadline: Instant, exchange: E) -> Result<E::Answer, Error> {
        let Turn { mut lease, abandoned_to, fresh, left } = self.state().speak(self.level)?;
        let cut = cut(self.shared.terms.statement_timeout, deadline);
        // A dropped or late future takes the lease with it: the transaction is over.
        let outcome = within(cut, async {
            if let Some(level) = abandoned_to {
                let undone = lease.control(&Ending::RollBack.sql(level)).await;
                undone.map_err(Failure::into_error)?;
            }
            if !left.is_empty()
                && let Err(failure) = Leave(&left, Scope::Within).on(&mut lease).await
            {
                // Those events are gone: what is committed without them would be half of what was meant.
                return Ok(Err(failure.ends_transaction()));
            }
            match exchange.on(&mut lease).await {
                // Nothing has happened in it yet: it begins once more, for the schema that there is now.
                Err(Failure::StalePlan(_)) if fresh && left.is_empty() => {
                    lease.end("ROLLBACK").await.map_err(Failure::into_error)?;
                    lease.begin(&self.shared.terms.begun_by).await.map_err(Failure::into_error)?;
                    Ok(exchange.on(&mut lease).await)
                }
                outcome => Ok(outcome),
            }
        })
        .await;
        let outcome = outcome.inspect_err(|_| self.state().close())?;
        let mut state = self.state();
        match &outcome {
            Err(Failure::Lost(_)) => state.close(),
            Err(Failure::Harmless(_)) | Ok(_) => state.give_back(lease),
            Err(_) => {
                state.fail(self.level);
                state.give_back(lease);
            }
        }
        outcome.map_err(Failure::into_error)
    }

    /// One with events has waited for the disk itself: what has one must be permanent when others see it.
    fn is_to_be_flushed(&self) -> bool {
        let [wrote, waits] = [&self.shared.wrote, &self.shared.waits].map(|flag| flag.load(Ordering::Relaxed));
        wrote && !waits
    }

    fn has_failed(&self) -> bool {
        self.state().failed.get(self.level).copied().unwrap_or(false)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of the state is complete before the lock is free.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is at hand for one thing that is asked.
struct Turn {
    lease: Lease,
    /// A savepoint to go back to before.
    abandoned_to: Option<usize>,
    /// It is the first thing that is asked.
    fresh: bool,
    /// Events to send before.
    left: Left,
}

impl State {
    fn speak(&mut self, level: usize) -> Result<Turn, Error> {
        if level != self.level || self.over {
            return Err(Error::Closed);
        }
        Ok(Turn {
            lease: self.lease.take().ok_or(Error::Closed)?,
            abandoned_to: self.abandoned_to.take(),
            fresh: std::mem::take(&mut self.fresh),
            left: std::mem::take(&mut self.left),
        })
    }

    fn give_back(&mut self, lease: Lease) {
        if !self.over {
            self.lease = Some(lease);
        }
    }

    fn fail(&mut self, level: usize) {
        if let Some(failed) = self.failed.get_mut(level) {
            *failed = true;
        }
    }

    /// Ends everything; a lease that is here goes back to the pool, which rolls back.
    fn close(&mut self) {
        self.over = true;
        self.lease = None;
    }

    /// Back to the level outside of `level`.
    fn leave(&mut self, level: usize) {
        self.failed.truncate(level);
        self.level = level - 1;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut state = self.state();
        match self.level {
            0 => state.close(),
            level if level <= state.level => {
                state.leave(level);
                state.abandoned_to = Some(level);
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Commit,
    RollBack,
}

impl Ending {
    fn sql(self, level: usize) -> String {
        match (self, level) {
            (Self::Commit, 0) => "COMMIT".to_owned(),
            (Self::RollBack, 0) => "ROLLBACK".to_owned(),
            (Self::Commit, level) => format!("RELEASE SAVEPOINT level_{level}"),
            (Self::RollBack, level) => format!("ROLLBACK TO SAVEPOINT level_{level}; RELEASE SAVEPOINT level_{level}"),
        }
    }
}
