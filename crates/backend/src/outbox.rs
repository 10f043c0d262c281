//! Events that wait in a service's own database until they are published: written by the transaction
//! that they belong to, and there if and only if it commits.
//!
//! Decides where they wait, who may write them and who carries them on (`relays`). Services reach none
//! of it but one function, which the host calls in their transactions; what they may publish was
//! decided before, and is decided again when an event is carried on.

mod publishers;
mod relay;
mod relays;
mod round;
mod row;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio_postgres::Client;

use super::postgres::endpoint::Endpoint;

pub use publishers::{Publisher, Publishers};
pub use relays::Relays;
pub(super) use schema::Writers;

/// Events that may wait in one database: while nobody carries them on, more are refused.
const WAITING_MAX: i64 = 1_000_000;

/// Calls the function that services' roles may call and nothing else of it; see `schema` for its
/// parameters.
pub(super) const PUT: &str = "SELECT public.archipel_publish($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// The events that wait in one database. It stays the same while manifests change.
pub struct Outbox {
    database: Arc<str>,
    terms: ArcSwap<Terms>,
    /// Told after each commit that has left an event here.
    committed: Notify,
    /// As many wait as may.
    full: AtomicBool,
    /// How many waited when they were counted last.
    waiting: AtomicU64,
    /// Some wait, and another session keeps the turn to carry them on.
    held: AtomicBool,
}

/// As whom the host works in an outbox, and who writes there: under one manifest.
pub(super) struct Terms {
    owner: Endpoint,
    writers: Writers,
}

/// Why the place of a database's events is not as it should be.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the outbox: {0}")]
pub struct OutboxError(String);

impl Outbox {
    /// The call that leaves an event, as this database has it.
    pub(super) fn put(&self) -> String {
        self.terms.load().owner.schema.sql(PUT).into_owned()
    }
}

impl Terms {
    pub(super) fn new(owner: Endpoint, writers: Writers) -> Self {
        Self { owner, writers }
    }

    /// Makes the table and the function, or finds them.
    pub(super) async fn prepare(&self) -> Result<(), OutboxError> {
        let connected = self.owner.connect(schema::MESSAGE_MAX_BYTES).await;
        let session = connected.map_err(|error| OutboxError(error.to_string()))?;
        self.make(&session.client).await
    }

    async fn make(&self, client: &Client) -> Result<(), OutboxError> {
        schema::make(client, &self.owner.schema, &self.writers).await.map_err(|error| OutboxError(words(&error)))
    }
}

/// Events that wait in a database from which no service publishes; none where there is no outbox.
pub(super) async fn left_behind(owner: &Endpoint) -> Result<u64, OutboxError> {
    let connected = owner.connect(schema::MESSAGE_MAX_BYTES).await;
    let session = connected.map_err(|error| OutboxError(error.to_string()))?;
    schema::waiting(&session.client, &owner.schema).await.map_err(|error| OutboxError(words(&error)))
}

impl Outbox {
    pub(super) fn new(database: Arc<str>, terms: Arc<Terms>) -> Self {
        let terms = ArcSwap::new(terms);
        let (full, waiting, held) = (AtomicBool::new(false), AtomicU64::new(0), AtomicBool::new(false));
        Self { database, terms, committed: Notify::new(), full, waiting, held }
    }

    /// From now on it is on these terms.
    pub(super) fn on(&self, terms: Arc<Terms>) {
        self.terms.store(terms);
    }

    /// Somebody's transaction has left an event here.
    pub(super) fn committed(&self) {
        self.committed.notify_one();
    }

    pub fn database(&self) -> &str {
        &self.database
    }

    /// How many events wait here, a few seconds ago.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether events wait although the database answers, because another session keeps the turn to carry them on.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

/// The server's own words, without the driver's about addresses.
fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| "the connection broke".to_owned(), |db| db.message().to_owned())
}
