//! PostgreSQL on behalf of services: every database of a manifest, and one pool for each grant.
//!
//! Addresses, roles and passwords end here; a service holds a [`Pool`] and gets values and typed
//! errors. Which statements may be sent is `statement`'s decision, what a connection must be like
//! before it is lent again is `pool`'s. Start at [`Databases::start`] (in `change`) and
//! [`Pool::query`].

mod answer;
mod array;
mod batch;
mod bounds;
mod cache;
mod change;
mod client;
mod connection;
mod database;
mod decode;
pub(crate) mod encode;
pub(crate) mod endpoint;
mod error;
mod exchange;
pub(crate) mod flush;
pub(crate) mod flusher;
mod frame;
mod harmless;
mod leave;
pub(crate) mod lexer;
mod masked;
mod numeric;
mod operators;
pub(crate) mod own;
mod pace;
mod permanent;
mod pipeline;
mod plain;
mod pool;
mod pooler;
mod private;
mod publish;
pub(crate) mod quote;
pub(crate) mod schema;
mod session;
pub(crate) mod shelf;
mod socket;
mod start;
mod statement;
#[cfg(test)]
mod tests;
mod time;
mod tls;
mod transaction;
mod tuning;
pub(crate) mod turns;
pub(crate) mod url;
mod value;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use batch::BatchItem;
pub use client::Pool;
pub use endpoint::{ConnectError, EndpointError};
pub use error::{DbError, Error};
pub use masked::masked;
pub use pace::Pace;
pub use pool::PoolCounts;
pub use start::{Progress, StartError};
pub use transaction::{Isolation, Transaction, TxOptions};
pub use value::{Column, Rows, Value};

use super::{embedded::postgres::Server, outbox::Outbox};
use database::Database;
use grant::{DatabaseGrant, Granted};
use pool::Site;
use shelf::Shelf;

/// All databases of a manifest, started and migrated.
#[derive(Clone, Default)]
pub struct Databases {
    databases: BTreeMap<Arc<str>, Database>,
    server: Option<Arc<Server>>,
    warnings: Vec<String>,
}

/// A database that does not answer. Holds no address and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error("no database `{0}` in the manifest")]
    Unknown(String),
    #[error("database `{database}` does not answer: {source}")]
    Failed { database: String, source: Error },
}

impl Databases {
    /// The pool of one service, for what it was granted.
    pub fn pool(&self, grant: &Granted<DatabaseGrant>) -> Option<Arc<Pool>> {
        let grant = grant.get();
        self.databases.get(&grant.database)?.pool(grant)
    }

    /// Where events of transactions wait to be carried on.
    pub fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.databases.values().filter_map(Database::outbox)
    }

    /// How long the database takes to answer, or that it did not within a second.
    pub async fn check(&self, database: &str) -> Result<Duration, CheckError> {
        let known = self.databases.get(database).ok_or_else(|| CheckError::Unknown(database.to_owned()))?;
        known.check().await.map_err(|source| CheckError::Failed { database: database.to_owned(), source })
    }

    /// Whether somebody has just waited in vain for one of its connections.
    pub fn is_crowded(&self, database: &str) -> bool {
        self.databases.get(database).is_some_and(|database| database.counts().crowded)
    }

    /// Applies the migrations that its folder has got since the start; gives back how many.
    /// Does nothing for a database without a folder, nor for an optional one that cannot be reached now.
    pub async fn migrate(&self, database: &str) -> Result<usize, StartError> {
        match self.databases.get_key_value(database) {
            Some((name, database)) => database.migrate(name, self.server.as_deref()).await,
            None => Ok(0),
        }
    }

    /// Where hosts keep in it what they share, and no service.
    pub(crate) fn shelf(&self, database: &str) -> Option<Shelf> {
        self.databases.get(database).map(|known| Shelf::new(&known.owner.endpoint))
    }

    /// What an operator should know: a superuser's URL, a server with too few sessions.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The pool of each database.
    pub fn pool_counts(&self) -> impl Iterator<Item = (&Arc<str>, PoolCounts)> {
        self.databases.iter().map(|(name, database)| (name, database.counts()))
    }

    /// Closes all idle connections, lends no more, and stops the private server. What still runs
    /// there is cut off. A second call does nothing.
    pub async fn stop(&self) {
        self.sites().for_each(|site| site.close());
        if let Some(server) = &self.server {
            server.stop().await;
        }
    }

    /// The same; a private server that takes longer is killed then, and recovers at its next start.
    pub async fn stop_by(&self, until: tokio::time::Instant) {
        self.sites().for_each(|site| site.close());
        if let Some(server) = &self.server {
            server.stop_by(until).await;
        }
    }

    /// Connections of all databases, those of checks too.
    fn sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.databases.values().flat_map(Database::sites)
    }
}
