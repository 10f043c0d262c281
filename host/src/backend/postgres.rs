//! PostgreSQL on behalf of services: every database of a manifest, and one pool for each grant.
//!
//! Addresses, roles and passwords end here; a service holds a [`Pool`] and gets values and typed
//! errors. Which statements may be sent is `statement`'s decision, what a connection must be like
//! before it is lent again is `pool`'s. Start at [`Databases::start`] and [`Pool::query`].

mod answer;
mod array;
mod batch;
mod change;
mod client;
mod connection;
mod decode;
pub(crate) mod encode;
pub(crate) mod endpoint;
mod error;
mod exchange;
mod frame;
mod harmless;
pub(crate) mod lexer;
mod numeric;
mod operators;
mod pipeline;
mod pool;
mod publish;
pub(crate) mod quote;
mod socket;
mod statement;
#[cfg(test)]
mod tests;
mod time;
mod tls;
mod transaction;
mod url;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

pub use client::{BatchItem, Pool};
pub use endpoint::{ConnectError, EndpointError};
pub use error::{DbError, Error};
pub use pool::PoolCounts;
pub use transaction::{Isolation, Transaction, TxOptions};
pub use value::{Column, Rows, Value};

use super::{
    embedded::{
        DataFolder, Environment,
        postgres::{self as server, RolesError, Server, ServerError},
    },
    migrate::{self, MigrateError},
    outbox::{Outbox, OutboxError, Writers},
};
use crate::{
    grant::{DatabaseGrant, Granted, Mode},
    manifest::{DatabasePlace, DatabaseSettings},
};
use answer::Bounds;
use endpoint::Endpoint;
use pool::Site;

/// How long a health check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Sessions of a database that no service uses: the one that checks, and the one that carries events on.
const BESIDE_POOL: usize = 2;

/// All databases of a manifest, started and migrated.
#[derive(Clone)]
pub struct Databases {
    pools: BTreeMap<DatabaseGrant, Arc<Pool>>,
    /// One connection each, so that a full pool does not look like a dead server.
    checks: BTreeMap<Arc<str>, Arc<Pool>>,
    sites: BTreeMap<Arc<str>, Sites>,
    server: Option<Arc<Server>>,
    /// For migrations that come with a new build, and for new grants.
    owners: BTreeMap<Arc<str>, Owner>,
    /// Where services leave the events of their transactions.
    outboxes: BTreeMap<Arc<str>, Arc<Outbox>>,
    warnings: Vec<String>,
}

/// The connections of one database: its services', and one for checks.
#[derive(Clone)]
struct Sites {
    services: Arc<Site>,
    check: Arc<Site>,
}

/// Who changes the tables of a database.
#[derive(Clone)]
struct Owner {
    endpoint: Endpoint,
    migrations: Option<PathBuf>,
    /// Of the private server: whom new tables must be granted to.
    roles: Option<Arc<server::DatabaseRoles>>,
}

/// Why a manifest's databases cannot be used. Nothing keeps running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start the private PostgreSQL")]
    Server(#[from] ServerError),
    #[error("cannot prepare database `{database}`")]
    Roles {
        database: Arc<str>,
        #[source]
        source: RolesError,
    },
    #[error("`postgres.{database}.url` cannot be used")]
    Url {
        database: Arc<str>,
        #[source]
        source: EndpointError,
    },
    #[error(
        "the server of `postgres.{database}.url` cannot be used; is it running, and are host, port, role and password right?"
    )]
    Unreachable {
        database: Arc<str>,
        #[source]
        source: ConnectError,
    },
    #[error("cannot prepare database `{database}` for events")]
    Outbox {
        database: Arc<str>,
        #[source]
        source: OutboxError,
    },
    #[error("the migrations of database `{database}` failed")]
    Migrate {
        database: Arc<str>,
        #[source]
        source: MigrateError,
    },
    #[error(
        "the private PostgreSQL is not running or has no room for database `{database}`; restart the host for it, or lower `connections_max`"
    )]
    NeedsRestart { database: Arc<str> },
}

/// What is happening during the start, for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    StartingServer,
    Preparing { database: &'a str },
    Migrated { database: &'a str, files: usize },
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
    /// Starts the private server if one is needed, makes roles, and runs migrations as owner.
    ///
    /// `grants` are all grants of all services, `publishers` those of them that publish events: each
    /// finds an outbox in every database that it may write. Pools open their connections when they are
    /// needed. An operator's server that cannot be reached is an error unless the database is
    /// optional.
    pub async fn start(
        databases: &BTreeMap<Arc<str>, DatabaseSettings>,
        grants: &[Granted<DatabaseGrant>],
        publishers: &BTreeSet<Arc<str>>,
        folder: &DataFolder,
        environment: &Environment,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Self, StartError> {
        let mut started = Self {
            pools: BTreeMap::new(),
            checks: BTreeMap::new(),
            sites: BTreeMap::new(),
            server: None,
            owners: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            warnings: Vec::new(),
        };
        let embedded = change::embedded_sessions(databases);
        if embedded > 0 {
            progress(Progress::StartingServer);
            let sessions_max = embedded.max(change::SESSIONS_MIN);
            started.server = Some(Arc::new(Server::start(folder, environment, sessions_max).await?));
        }
        for (name, settings) in databases {
            progress(Progress::Preparing { database: name });
            let grants: Vec<_> = grants.iter().filter(|grant| grant.get().database == *name).collect();
            if let Err(error) = started.add(name, settings, &grants, publishers, progress).await {
                started.stop().await;
                return Err(error);
            }
        }
        Ok(started)
    }

    /// The pool of one service, for what it was granted.
    pub fn pool(&self, grant: &Granted<DatabaseGrant>) -> Option<Arc<Pool>> {
        self.pools.get(grant.get()).cloned()
    }

    /// Where events of transactions wait to be carried on.
    pub fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.outboxes.values()
    }

    /// How long the database takes to answer, or that it did not within a second.
    pub async fn check(&self, database: &str) -> Result<Duration, CheckError> {
        let pool = self.checks.get(database).ok_or_else(|| CheckError::Unknown(database.to_owned()))?;
        let begun = Instant::now();
        match pool.query("SELECT 1", &[], begun + CHECK_TIMEOUT).await {
            Ok(_) => Ok(begun.elapsed()),
            Err(source) => Err(CheckError::Failed { database: database.to_owned(), source }),
        }
    }

    /// Applies the migrations that its folder has got since the start; gives back how many.
    /// Does nothing for a database without a folder.
    pub async fn migrate(&self, database: &str) -> Result<usize, StartError> {
        let Some((name, owner)) = self.owners.get_key_value(database) else { return Ok(0) };
        let Some(migrations) = &owner.migrations else { return Ok(0) };
        let applied = migrate::migrate(&owner.endpoint, migrations).await;
        let applied = applied.map_err(|source| StartError::Migrate { database: name.clone(), source })?;
        if let (Some(roles), Some(server), false) = (&owner.roles, &self.server, applied.is_empty()) {
            let granted = server::grant_tables(server, roles).await;
            granted.map_err(|source| StartError::Roles { database: name.clone(), source })?;
        }
        Ok(applied.len())
    }

    /// What an operator should know: a superuser's URL, a server with too few sessions.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The pool of each database.
    pub fn pool_counts(&self) -> impl Iterator<Item = (&Arc<str>, PoolCounts)> {
        self.sites.iter().map(|(name, sites)| (name, sites.services.counts()))
    }

    /// Closes all idle connections, lends no more, and stops the private server. What still runs
    /// there is cut off. A second call does nothing.
    pub async fn stop(&self) {
        for sites in self.sites.values() {
            sites.services.close();
            sites.check.close();
        }
        if let Some(server) = &self.server {
            server.stop().await;
        }
    }

    /// One more database, with all that were granted it.
    async fn add(
        &mut self,
        name: &Arc<str>,
        settings: &DatabaseSettings,
        grants: &[&Granted<DatabaseGrant>],
        publishers: &BTreeSet<Arc<str>>,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<(), StartError> {
        match (&settings.place, self.server.clone()) {
            (DatabasePlace::Embedded, Some(server)) => {
                self.add_embedded(&server, name, settings, grants, publishers, progress).await
            }
            _ => operators::add(self, name, settings, grants, publishers, progress).await,
        }
    }

    async fn add_embedded(
        &mut self,
        server: &Server,
        name: &Arc<str>,
        settings: &DatabaseSettings,
        grants: &[&Granted<DatabaseGrant>],
        publishers: &BTreeSet<Arc<str>>,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<(), StartError> {
        let refused = |source| StartError::Roles { database: name.clone(), source };
        let sessions = settings.connections_max.get();
        let prepared = server::prepare(server, name, grants, sessions, settings.statement_timeout).await;
        let roles = prepared.map_err(refused)?;
        let owner = server.endpoint(&roles.database, &roles.owner.role, &roles.owner.password);
        let writers: BTreeMap<String, Arc<str>> = (roles.services.iter())
            .filter(|(grant, _)| writes_events(grant, publishers))
            .map(|(grant, access)| (access.role.clone(), grant.service.clone()))
            .collect();
        let outbox =
            (!writers.is_empty()).then(|| Arc::new(Outbox::new(name.clone(), owner.clone(), Writers::Roles(writers))));
        if let Some(outbox) = &outbox {
            prepare_outbox(name, outbox).await?;
        }
        migrate_to(name, &owner, settings, progress).await?;
        server::grant_tables(server, &roles).await.map_err(refused)?;
        let services = roles
            .services
            .iter()
            .map(|(grant, access)| (grant.clone(), server.endpoint(&roles.database, &access.role, &access.password)));
        let services = services.collect();
        let (endpoint, migrations) = (owner.clone(), settings.migrations.clone());
        self.owners.insert(name.clone(), Owner { endpoint, migrations, roles: Some(Arc::new(roles)) });
        self.open(name, settings, services, owner, outbox.map(|outbox| (outbox, publishers)));
        Ok(())
    }

    /// Makes the pools of one database; all share its bound.
    fn open(
        &mut self,
        name: &Arc<str>,
        settings: &DatabaseSettings,
        services: Vec<(DatabaseGrant, Endpoint)>,
        check: Endpoint,
        outbox: Option<(Arc<Outbox>, &BTreeSet<Arc<str>>)>,
    ) {
        let bounds = Bounds { rows_max: settings.rows_max, bytes_max: settings.bytes_max };
        let sites = Sites {
            services: Site::new(settings.connections_max.get(), settings.wait, bounds),
            check: Site::new(1, CHECK_TIMEOUT, bounds),
        };
        self.checks.insert(name.clone(), Arc::new(pool(&sites.check, settings, check, Mode::Read, None)));
        for (grant, endpoint) in services {
            let own = outbox.as_ref().filter(|(_, publishers)| writes_events(&grant, publishers));
            let own = own.map(|(outbox, _)| outbox.clone());
            let mode = grant.mode;
            self.pools.insert(grant, Arc::new(pool(&sites.services, settings, endpoint, mode, own)));
        }
        self.outboxes.extend(outbox.map(|(outbox, _)| (name.clone(), outbox)));
        self.sites.insert(name.clone(), sites);
    }
}

fn pool(
    site: &Arc<Site>,
    settings: &DatabaseSettings,
    endpoint: Endpoint,
    mode: Mode,
    outbox: Option<Arc<Outbox>>,
) -> Pool {
    Pool {
        site: site.clone(),
        role: Arc::new(endpoint.with_settings(&session_settings(settings, mode))),
        mode,
        statement_timeout: settings.statement_timeout,
        outbox,
    }
}

/// Whether events may be left in transactions of this grant.
fn writes_events(grant: &DatabaseGrant, publishers: &BTreeSet<Arc<str>>) -> bool {
    grant.mode == Mode::ReadWrite && publishers.contains(&grant.service)
}

async fn prepare_outbox(name: &Arc<str>, outbox: &Outbox) -> Result<(), StartError> {
    outbox.prepare().await.map_err(|source| StartError::Outbox { database: name.clone(), source })
}

/// Applies the migrations of a database, if it has any.
async fn migrate_to(
    name: &Arc<str>,
    owner: &Endpoint,
    settings: &DatabaseSettings,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<(), StartError> {
    let Some(folder) = &settings.migrations else { return Ok(()) };
    let applied = migrate::migrate(owner, folder).await;
    let files = applied.map_err(|source| StartError::Migrate { database: name.clone(), source })?.len();
    progress(Progress::Migrated { database: name, files });
    Ok(())
}

/// What holds in every session, also after a reset.
fn session_settings(settings: &DatabaseSettings, mode: Mode) -> String {
    let timeout = settings.statement_timeout.as_millis().max(1);
    let read_only = if mode == Mode::Read { "on" } else { "off" };
    format!(
        "-c statement_timeout={timeout} -c idle_in_transaction_session_timeout=60000 -c timezone=UTC -c default_transaction_read_only={read_only}"
    )
}
