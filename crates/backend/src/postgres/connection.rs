//! One session: prepared statements, bounded answers, and what was left behind in it.
//!
//! Every exchange marks the connection busy until its last message is read. A future that is
//! dropped in between leaves the mark, and the pool then cancels and closes instead of lending.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join};
use tokio_postgres::RowStream;

use super::{
    answer::{Answer, Bounds},
    bounds::within_parameters,
    cache::Cache,
    encode::encode,
    endpoint::{ConnectError, Endpoint, Session},
    error::{Error, Failure, is_of_a_standby},
    flush::{self, FLUSH, Flushes, Moment},
    pipeline::{Scope, fly},
    statement::{Effect, Statement},
    value::{Column, Rows, Value},
};
use crate::{embedded::resident, memory::Held};

/// No connection is older than this, or a fifth more: addresses change behind names.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// A process of a private server that has more for itself is ended: its plans keep what they were made of.
const PROCESS_BYTES_MAX: u64 = 64 << 20;
/// How often it is looked at when nothing was prepared.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a column and a parameter take in the host, at most.
const DESCRIPTION_BYTES: usize = 256;
/// Headroom over `bytes_max` for one message, so that reports always fit.
const MESSAGE_SLACK_BYTES: u64 = 64 << 10;
const FORGET_SEQUENCES: &str = "DISCARD SEQUENCES";

pub(super) struct Connection {
    session: Session,
    endpoint: Arc<Endpoint>,
    bounds: Bounds,
    statements: Cache<Prepared>,
    /// The schema that they are of.
    schema: u64,
    /// When its process was looked at, unless a statement was prepared since.
    looked: Option<Instant>,
    /// An exchange has begun and not ended.
    busy: bool,
    in_transaction: bool,
    /// Something that is not plain has run since the last reset.
    unclean: bool,
    sequences: Sequences,
    /// When it is too old to be lent again.
    pub(super) expires: Instant,
    /// The server turned out to be of no use for it.
    spent: bool,
    /// The transaction asked for a server that does not write.
    read_only: bool,
    /// When it was lent, as flushes count.
    lent_at: Moment,
}

/// Whose last sequence values (`currval`, `lastval`) the session may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sequences {
    Nobodys,
    /// Of whoever has the connection now.
    Own,
    /// Of somebody before; to be discarded before anything could read them.
    Inherited,
}

pub(super) struct Prepared {
    statement: tokio_postgres::Statement,
    columns: Arc<[Column]>,
    kind: Statement,
}

/// What has to happen to a connection before it may be lent again.
pub(super) enum Condition {
    Clean,
    NeedsReset,
    /// A statement may still run: cancel it and close.
    Busy,
    /// It broke, or its server is of no use: others may be like it.
    Gone,
    Expired,
}

impl Connection {
    pub(super) async fn open(endpoint: &Arc<Endpoint>, bounds: Bounds, schema: u64) -> Result<Self, ConnectError> {
        let session = endpoint.connect(bounds.bytes_max.saturating_add(MESSAGE_SLACK_BYTES)).await?;
        Ok(Self {
            session,
            endpoint: endpoint.clone(),
            bounds,
            statements: Cache::new(),
            schema,
            looked: None,
            busy: false,
            in_transaction: false,
            unclean: false,
            sequences: Sequences::Nobodys,
            expires: Instant::now() + AGE_MAX + AGE_MAX.mul_f64(0.2 * fastrand::f64()),
            spent: false,
            read_only: false,
            lent_at: 0,
        })
    }

    pub(super) fn condition(&self) -> Condition {
        if self.session.client.is_closed() {
            Condition::Gone
        } else if self.busy {
            Condition::Busy
        } else if Instant::now() >= self.expires {
            Condition::Expired
        } else if self.in_transaction || self.unclean {
            Condition::NeedsReset
        } else if self.spent {
            Condition::Gone
        } else {
            Condition::Clean
        }
    }

    /// Marks the change of hands, as does [`Self::handed_back`].
    pub(super) fn handed_out(&mut self) {
        if let Some(flushes) = self.endpoint.flushes() {
            self.lent_at = flushes.now();
        }
    }

    /// Marks the change of hands.
    pub(super) fn handed_back(&mut self) {
        if self.sequences == Sequences::Own {
            self.sequences = Sequences::Inherited;
        }
        // A plan may be made when a statement runs for the sixth time.
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() > LOOK_EVERY);
        if is_due && self.endpoint.is_private() {
            self.looked = Some(Instant::now());
            let process = resident::own_bytes(self.session.notes.process());
            if process.is_some_and(|bytes| bytes > PROCESS_BYTES_MAX) {
                self.expires = Instant::now();
            }
        }
    }

    /// Forgets statements and types that were made for another schema than this.
    pub(super) fn is_for(&mut self, schema: u64) {
        if self.schema != schema {
            self.schema = schema;
            self.forget_all();
        }
    }

    fn forget_all(&mut self) {
        self.statements.clear();
        self.session.client.clear_type_cache();
    }

    /// Ends any transaction and undoes what was done to the session, in one round trip.
    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        self.busy = true;
        let client = &self.session.client;
        let undoing = self.session.undoing();
        let (rolled_back, reset) = join(client.batch_execute("ROLLBACK"), client.batch_execute(&undoing)).await;
        rolled_back.and(reset).map_err(|error| self.failure(&error))?;
        self.busy = false;
        self.in_transaction = false;
        self.read_only = false;
        self.unclean = false;
        self.sequences = Sequences::Nobodys;
        Ok(())
    }

    /// Whether its server refused to write, and so will every time.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Whether it answers, and its server is of use. Drop it if this takes too long.
    pub(super) async fn is_alive(&mut self) -> bool {
        self.busy = true;
        let server = self.session.server().await;
        self.busy = false;
        server.is_ok_and(|server| !(server.is_standby && self.endpoint.writes))
    }

    /// Stops what runs on the server and ends the session.
    pub(super) async fn abandon(self) {
        self.endpoint.cancel(self.session.client.cancel_token()).await;
    }

    /// Runs one of our own statements: transaction control.
    pub(super) async fn control(&mut self, sql: &str) -> Result<(), Failure> {
        self.busy = true;
        let done = self.session.client.batch_execute(sql).await;
        self.settled(done)
    }

    /// Starts a transaction; what earlier borrowers' sequences gave is forgotten on the way.
    pub(super) async fn begin(&mut self, sql: &str) -> Result<(), Failure> {
        self.in_transaction = true;
        self.read_only = sql.contains(" READ ONLY");
        if self.sequences != Sequences::Inherited {
            return self.control(sql).await;
        }
        if sql.contains(" READ COMMITTED ") {
            self.control(&format!("{sql}; {FORGET_SEQUENCES}")).await?;
        } else {
            // Behind `BEGIN` it would take the one snapshot that a stricter isolation has.
            self.control(FORGET_SEQUENCES).await?;
            self.control(sql).await?;
        }
        self.sequences = Sequences::Nobodys;
        Ok(())
    }

    /// Ends a transaction that `begin` started.
    pub(super) async fn end(&mut self, sql: &str) -> Result<(), Failure> {
        let ended = self.control(sql).await;
        self.read_only = false;
        self.in_transaction = !matches!(ended, Ok(()) | Err(Failure::Answered(_)));
        ended
    }

    /// `held` grows with what is kept of the answer.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        kind: Statement,
        params: &[Value],
        held: Held,
    ) -> Result<Rows, Failure> {
        within_parameters(params)?;
        let prepared = self.prepare(sql, kind).await?;
        let values = encode(params, prepared.statement.params()).map_err(Failure::Harmless)?;
        self.will_run(kind);
        let answer = self.session.client.query_raw(&prepared.statement, values).await;
        let read = match answer {
            Ok(stream) => self.read(stream, &prepared, held).await,
            Err(error) => Err(self.failure(&error)),
        };
        read.inspect_err(|failure| self.forget_if_stale(failure))
    }

    pub(super) async fn execute(&mut self, sql: &str, kind: Statement, params: &[Value]) -> Result<u64, Failure> {
        within_parameters(params)?;
        let prepared = self.prepare(sql, kind).await?;
        let values = encode(params, prepared.statement.params()).map_err(Failure::Harmless)?;
        self.will_run(kind);
        let done = self.session.client.execute_raw(&prepared.statement, values).await;
        self.settled(done).inspect_err(|failure| self.forget_if_stale(failure))
    }

    /// Waits until what has been committed here is on the disk.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        self.execute(FLUSH, flush::KIND, &[]).await.map(drop)
    }

    /// Who sees to it that what is committed here gets to the disk, and when this was lent, as that one counts; nobody
    /// where each commit waits by itself.
    pub(super) fn flushes(&self) -> Option<(&Arc<Flushes>, Moment)> {
        Some((self.endpoint.flushes()?, self.lent_at))
    }

    /// Runs many statements in one flight; a failure comes with its place.
    pub(super) async fn execute_all(
        &mut self,
        items: &[(Arc<Prepared>, &[Value])],
        scope: Scope,
    ) -> Result<Vec<u64>, (usize, Failure)> {
        let mut encoded = Vec::with_capacity(items.len());
        for (place, (prepared, params)) in items.iter().enumerate() {
            let values =
                encode(params, prepared.statement.params()).map_err(|error| (place, Failure::Harmless(error)))?;
            encoded.push((&prepared.statement, values));
        }
        for (prepared, _) in items {
            self.will_run(prepared.kind);
        }
        let flown = fly(&self.session.client, scope, encoded).await;
        let flown = match flown {
            Ok(changed) => self.settled(Ok(changed)).map_err(|failure| (0, failure)),
            Err((place, error)) => Err((place, self.failure(&error))),
        };
        if scope == Scope::Last && !matches!(flown, Err((_, Failure::Lost(_)))) {
            // Committed, or rolled back by what failed before.
            self.in_transaction = false;
            self.read_only = false;
        }
        flown
    }

    /// The cached statement, or a new one.
    pub(super) async fn prepare(&mut self, sql: &str, kind: Statement) -> Result<Arc<Prepared>, Failure> {
        if !kind.plain && self.sequences == Sequences::Inherited {
            self.control(FORGET_SEQUENCES).await?;
            self.sequences = Sequences::Nobodys;
        }
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(prepared);
        }
        self.looked = None;
        self.busy = true;
        let prepared = self.session.client.prepare(sql).await;
        let statement = self.settled(prepared)?;
        let columns = statement.columns().iter().map(|column| Column {
            name: column.name().to_owned(),
            oid: column.type_().oid(),
            type_name: column.type_().name().to_owned(),
        });
        let prepared = Arc::new(Prepared { columns: columns.collect(), statement, kind });
        let described = prepared.columns.len() + prepared.statement.params().len();
        self.statements.put(sql, prepared.clone(), described * DESCRIPTION_BYTES);
        Ok(prepared)
    }

    /// Where one statement no longer fits the schema, others do not either; they are prepared anew.
    pub(super) fn forget_if_stale(&mut self, failure: &Failure) {
        if matches!(failure, Failure::StalePlan(_)) {
            self.forget_all();
        }
    }

    fn will_run(&mut self, kind: Statement) {
        self.busy = true;
        self.unclean |= !kind.plain;
        if kind.effect != Effect::Query {
            self.sequences = Sequences::Own;
        }
    }

    /// Reads an answer to its end, or stops a query that grows over the bounds. What is no query
    /// is read to its end in any case, so that it has happened, and so is one in a transaction,
    /// which goes on after it.
    async fn read(&mut self, stream: RowStream, prepared: &Prepared, held: Held) -> Result<Rows, Failure> {
        let is_query = prepared.kind.effect == Effect::Query;
        let may_stop = is_query && !self.in_transaction;
        let mut answer = Answer::new(self.bounds, held);
        let mut stream = pin!(stream);
        while let Some(row) = stream.next().await {
            let row = row.map_err(|error| self.failure(&error))?;
            match answer.push(&row).await {
                // Still busy: the pool cancels it.
                Err(error) if may_stop => return Err(Failure::Lost(error)),
                Err(_) | Ok(()) => {}
            }
        }
        self.busy = false;
        match answer.rows() {
            Ok((rows, held)) => Ok(Rows { columns: prepared.columns.clone(), rows, held }),
            // That would mean that nothing has happened.
            Err(Error::Overloaded) if !is_query => Err(Failure::Harmless(Error::TooLarge(self.bounds.bytes_max))),
            Err(error) => Err(Failure::Harmless(error)),
        }
    }

    fn settled<T>(&mut self, outcome: Result<T, tokio_postgres::Error>) -> Result<T, Failure> {
        match outcome {
            Ok(value) => {
                self.busy = false;
                Ok(value)
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// What a failure means; after one that the server answered, the connection is free.
    fn failure(&mut self, error: &tokio_postgres::Error) -> Failure {
        if self.session.is_oversized() {
            return Failure::Lost(Error::TooLarge(self.bounds.bytes_max));
        }
        let failure = Failure::of(error);
        // A primary that came back as a standby goes on answering.
        self.spent |= self.endpoint.writes && !self.read_only && is_of_a_standby(error);
        if !matches!(failure, Failure::Lost(_)) {
            self.busy = false;
        }
        failure
    }
}

impl Drop for Connection {
    /// Without this the driver would wait for the end of what still runs.
    fn drop(&mut self) {
        if self.busy {
            self.session.driver.abort();
        }
    }
}
