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
    outbox::{self, Outbox, OutboxError, Terms, Writers},
};
use answer::Bounds;
use endpoint::Endpoint;
use grant::{DatabaseGrant, Granted, Mode};
use manifest::{DatabasePlace, DatabaseSettings};
use pool::{Site, Stock};

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
    /// Where services leave the events of their transactions, on the terms of this manifest.
    outboxes: BTreeMap<Arc<str>, (Arc<Outbox>, Arc<Terms>)>,
    warnings: Vec<String>,
}

/// The connections of one database: its services', and one for checks.
#[derive(Clone)]
struct Sites {
    services: Arc<Site>,
    check: Arc<Site>,
    /// What they were made for.
    settings: DatabaseSettings,
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
    #[error("`postgres.{database}` has no `url_read`, and a service may only read it")]
    NoReader { database: Arc<str> },
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
            started.tell_of_left_behind(name).await;
        }
        Ok(started)
    }

    /// Events in a database from which no service publishes any more.
    async fn tell_of_left_behind(&mut self, name: &Arc<str>) {
        let Some(owner) = self.owners.get(name).filter(|_| !self.outboxes.contains_key(name)) else { return };
        match outbox::left_behind(&owner.endpoint).await {
            Ok(0) => {}
            Ok(events) => self.warnings.push(format!(
                "{events} events wait in database `{name}`, from which no service publishes; they stay there until one does"
            )),
            Err(error) => tracing::debug!(database = %name, %error, "whether events wait there is not known"),
        }
    }

    /// The pool of one service, for what it was granted.
    pub fn pool(&self, grant: &Granted<DatabaseGrant>) -> Option<Arc<Pool>> {
        self.pools.get(grant.get()).cloned()
    }

    /// Where events of transactions wait to be carried on.
    pub fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.outboxes.values().map(|(outbox, _)| outbox)
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
    /// Does nothing for a database without a folder, nor for an optional one that cannot be reached now.
    pub async fn migrate(&self, database: &str) -> Result<usize, StartError> {
        let Some((name, owner)) = self.owners.get_key_value(database) else { return Ok(0) };
        let Some(migrations) = &owner.migrations else { return Ok(0) };
        let applied = match migrate::migrate(&owner.endpoint, migrations).await {
            Ok(applied) => applied,
            Err(MigrateError::Connect(error)) if self.is_optional(name) => {
                tracing::warn!(database = %name, %error, "an optional database is not available; its migrations were not run");
                return Ok(0);
            }
            Err(source) => return Err(StartError::Migrate { database: name.clone(), source }),
        };
        if let (Some(roles), Some(server), false) = (&owner.roles, &self.server, applied.is_empty()) {
            let granted = server::grant_tables(server, roles).await;
            granted.map_err(|source| StartError::Roles { database: name.clone(), source })?;
        }
        Ok(applied.len())
    }

    fn is_optional(&self, database: &str) -> bool {
        self.sites.get(database).is_some_and(|sites| sites.settings.optional)
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

    /// One more database, with all that were granted it; or one that is there, as it shall be now.
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
        // Of fewer connections, those that are lent come back one by one.
        let lent_max = self.sites.get(name).map_or(0, |sites| sites.settings.connections_max.get());
        let (sessions, timeout) = (settings.connections_max.get().max(lent_max), settings.statement_timeout);
        let prepared = match self.owners.get(name).and_then(|owner| owner.roles.clone()) {
            None => server::prepare(server, name, grants, sessions, timeout).await,
            Some(known) => server::extend(server, name, &known, grants, (sessions, timeout)).await,
        };
        let roles = prepared.map_err(refused)?;
        let owner = server.endpoint(&roles.database, &roles.owner.role, &roles.owner.password);
        // Those that wrote before, too: they may be at work still.
        let wrote = |grant: &DatabaseGrant| self.pools.get(grant).is_some_and(|pool| pool.outbox.is_some());
        let writers: BTreeMap<String, Arc<str>> = (roles.services.iter())
            .filter(|(grant, _)| writes_events(grant, publishers) || wrote(grant))
            .map(|(grant, access)| (access.role.clone(), grant.service.clone()))
            .collect();
        if !writers.is_empty() {
            self.leave_events(name, Terms::new(owner.clone(), Writers::Roles(writers))).await?;
        }
        migrate_to(name, &owner, settings, progress).await?;
        server::grant_tables(server, &roles).await.map_err(refused)?;
        let granted = roles.services.iter().filter(|(grant, _)| grants.iter().any(|wanted| wanted.get() == *grant));
        let services = granted
            .map(|(grant, access)| (grant.clone(), server.endpoint(&roles.database, &access.role, &access.password)));
        let services = services.collect();
        let (endpoint, migrations) = (owner.clone(), settings.migrations.clone());
        self.owners.insert(name.clone(), Owner { endpoint, migrations, roles: Some(Arc::new(roles)) });
        self.open(name, settings, services, owner, publishers);
        Ok(())
    }

    /// Makes the outbox of a database, or the one that is there as it shall be.
    async fn leave_events(&mut self, name: &Arc<str>, terms: Terms) -> Result<(), StartError> {
        terms.prepare().await.map_err(|source| StartError::Outbox { database: name.clone(), source })?;
        self.expect_events(name, terms);
        Ok(())
    }

    fn expect_events(&mut self, name: &Arc<str>, terms: Terms) {
        let terms = Arc::new(terms);
        let known = self.outboxes.get(name).map(|(outbox, _)| outbox.clone());
        let outbox = known.unwrap_or_else(|| Arc::new(Outbox::new(name.clone(), terms.clone())));
        self.outboxes.insert(name.clone(), (outbox, terms));
    }

    /// Makes the pools of one database; all share its bound. Those that are as they were go on.
    fn open(
        &mut self,
        name: &Arc<str>,
        settings: &DatabaseSettings,
        services: Vec<(DatabaseGrant, Endpoint)>,
        check: Endpoint,
        publishers: &BTreeSet<Arc<str>>,
    ) {
        let known = self.sites.get(name);
        let sites = match known.filter(|known| known.settings == *settings) {
            Some(same) => same.clone(),
            None => Sites::new(settings, known),
        };
        let outbox = self.outboxes.get(name).map(|(outbox, _)| outbox.clone());
        for (grant, endpoint) in services {
            let own = outbox.clone().filter(|_| writes_events(&grant, publishers));
            let known = self.pools.get(&grant).filter(|known| Arc::ptr_eq(&known.site, &sites.services));
            let pool = match known {
                Some(same) => Pool { outbox: own, ..Pool::clone(same) },
                None => pool(&sites.services, settings, endpoint, grant.mode, own),
            };
            self.pools.insert(grant, Arc::new(pool));
        }
        let known = self.checks.get(name).is_some_and(|known| Arc::ptr_eq(&known.site, &sites.check));
        if !known {
            self.checks.insert(name.clone(), Arc::new(pool(&sites.check, settings, check, Mode::Read, None)));
        }
        self.sites.insert(name.clone(), sites);
    }
}

impl Sites {
    /// `before` are those of other settings, for the same database.
    fn new(settings: &DatabaseSettings, before: Option<&Self>) -> Self {
        let bounds = Bounds { rows_max: settings.rows_max, bytes_max: settings.bytes_max };
        let (services, check) = match before {
            Some(before) => {
                (before.services.successor(settings.wait, bounds), before.check.successor(CHECK_TIMEOUT, bounds))
            }
            None => {
                let stock = Stock::new(settings.connections_max.get());
                (Site::new(stock, settings.wait, bounds), Site::new(Stock::new(1), CHECK_TIMEOUT, bounds))
            }
        };
        Self { services, check, settings: settings.clone() }
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
