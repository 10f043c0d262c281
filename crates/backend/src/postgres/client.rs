//! What a guest may do with a database it was granted: a query, a change, a batch, a transaction.
//!
//! Each call takes a connection for itself and gives it back. The deadline covers everything,
//! the wait for a connection included; the database's statement timeout covers the statement. A
//! connection that breaks fails its own request only; a query that certainly writes nothing is
//! sent once more, over a new connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    batch::{self, Batch, BatchItem},
    bounds::{cut, permitted, within},
    endpoint::Endpoint,
    error::{Error, Failure, not_permanent},
    exchange::{Exchange, Execute, Query},
    pool::{Lease, Site},
    statement::{Effect, Statement},
    transaction::{Terms, Transaction, TxOptions},
    value::{Rows, Value},
};
use crate::{memory::Account, outbox::Outbox};
use gateway::places::Places;
use grant::Mode;

/// A database as one service may use it.
#[derive(Clone)]
pub struct Pool {
    pub(super) site: Arc<Site>,
    pub(super) role: Arc<Endpoint>,
    /// As many connections as this role may have at once.
    pub(super) share: Arc<Places>,
    pub(super) mode: Mode,
    pub(super) statement_timeout: Duration,
    /// Where the service leaves events, if it publishes.
    pub(super) outbox: Option<Arc<Outbox>>,
    /// What answers take their memory from; None for the host's own questions.
    pub(super) account: Option<Arc<dyn Account>>,
    /// Nanoseconds that its calls have waited for a connection.
    pub(super) waited: Arc<AtomicU64>,
}

impl Pool {
    /// The same, for somebody whose answers are paid from this account.
    pub fn paid_from(&self, account: Arc<dyn Account>) -> Self {
        Self { account: Some(account), waited: Arc::default(), ..self.clone() }
    }

    /// How long its calls have waited for a connection since this was asked last.
    pub fn take_waited(&self) -> Duration {
        Duration::from_nanos(self.waited.swap(0, Relaxed))
    }

    async fn lend(&self, deadline: Instant) -> Result<Lease, Error> {
        let lease = within(deadline, self.site.lend(&self.role, &self.share)).await?;
        if !lease.waited.is_zero() {
            let nanos = u64::try_from(lease.waited.as_nanos()).unwrap_or(u64::MAX);
            self.waited.fetch_add(nanos, Relaxed);
        }
        Ok(lease)
    }

    /// Runs one statement and reads its whole answer.
    ///
    /// Cancel safe: when the future is dropped or its time is over, the server is told to stop
    /// before the connection's place is lent again. The same holds for the other calls.
    pub async fn query(&self, sql: &str, params: &[Value], deadline: Instant) -> Result<Rows, Error> {
        let kind = self.permitted(sql)?;
        self.run(kind, deadline, Query { sql, kind, params, account: self.account.as_ref() }).await
    }

    /// Runs one statement; the number of rows it changed.
    pub async fn execute(&self, sql: &str, params: &[Value], deadline: Instant) -> Result<u64, Error> {
        let kind = self.permitted(sql)?;
        self.run(kind, deadline, Execute { sql, kind, params }).await
    }

    /// Runs statements one after the other in one transaction, all or nothing, in one flight
    /// once they are prepared. The numbers of rows changed.
    pub async fn batch(&self, items: &[BatchItem], deadline: Instant) -> Result<Vec<u64>, Error> {
        let batch = Batch::new(items, |sql| self.permitted(sql))?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut lease = self.lend(deadline).await?;
        let changed = within(self.cut(deadline), async {
            batch::run_alone(&mut lease, &batch).await.map_err(Failure::into_error)
        });
        let changed = changed.await?;
        if !batch.is_repeatable() {
            self.permanent(lease, deadline).await?;
        }
        Ok(changed)
    }

    /// Starts a transaction on a connection of its own.
    pub async fn begin(&self, options: TxOptions, deadline: Instant) -> Result<Transaction, Error> {
        let sql = options.sql(self.mode);
        let mut lease = self.lend(deadline).await?;
        let begun = within(self.cut(deadline), async { Ok(lease.begin(&sql).await) }).await?;
        match begun {
            Ok(()) => {}
            // Nothing of the transaction exists yet, so a dead connection is no loss.
            Err(failure) if lease.is_spent() || matches!(failure, Failure::Lost(_)) => {
                lease = within(deadline, lease.renewed()).await?;
                within(self.cut(deadline), async { lease.begin(&sql).await.map_err(Failure::into_error) }).await?;
            }
            Err(failure) => return Err(failure.into_error()),
        }
        let terms = Terms {
            mode: self.mode,
            statement_timeout: self.statement_timeout,
            outbox: self.outbox.clone(),
            account: self.account.clone(),
            begun_by: sql,
            read_only: options.read_only,
        };
        Ok(Transaction::new(lease, terms))
    }

    /// Whether its server takes no writes.
    pub(super) async fn is_standby(&self, deadline: Instant) -> Result<bool, Error> {
        let kind = Statement { effect: Effect::Query, plain: true };
        let sql = "SELECT pg_catalog.pg_is_in_recovery()";
        let answer = self.run(kind, deadline, Query { sql, kind, params: &[], account: None }).await?;
        Ok(answer.rows == [[Value::Bool(true)]])
    }

    async fn run<E: Exchange>(&self, kind: Statement, deadline: Instant, exchange: E) -> Result<E::Answer, Error> {
        let mut lease = self.lend(deadline).await?;
        let first = within(self.cut(deadline), async { Ok(exchange.on(&mut lease).await) }).await?;
        match first {
            // Raised before anything ran.
            Err(Failure::StalePlan(_)) => {}
            Err(Failure::Lost(Error::Unavailable(_))) if kind.is_repeatable() => {
                lease = within(deadline, lease.renewed()).await?;
            }
            // Nothing was written there; perhaps the address leads to another server by now.
            Err(_) if lease.is_spent() => {
                lease = within(deadline, lease.renewed()).await?;
            }
            outcome => return self.settled(kind, outcome, lease, deadline).await,
        }
        let again = within(self.cut(deadline), async { Ok(exchange.on(&mut lease).await) }).await?;
        self.settled(kind, again, lease, deadline).await
    }

    /// What was written is on the disk before anybody hears of it, also where its answer cannot be given.
    async fn settled<T>(
        &self,
        kind: Statement,
        outcome: Result<T, Failure>,
        lease: Lease,
        deadline: Instant,
    ) -> Result<T, Error> {
        match &outcome {
            _ if kind.is_repeatable() => {}
            Ok(_) | Err(Failure::Harmless(_)) => self.permanent(lease, deadline).await?,
            // It has happened and the session is gone, which alone could have flushed it.
            Err(Failure::Lost(Error::TooLarge(_))) if lease.flushes().is_some() => return Err(not_permanent()),
            Err(_) => {}
        }
        outcome.map_err(Failure::into_error)
    }

    async fn permanent(&self, lease: Lease, deadline: Instant) -> Result<(), Error> {
        within(self.cut(deadline), lease.permanent()).await.map_err(|_| not_permanent())
    }

    fn permitted(&self, sql: &str) -> Result<Statement, Error> {
        permitted(self.mode, sql)
    }

    fn cut(&self, deadline: Instant) -> Instant {
        cut(self.statement_timeout, deadline)
    }
}
