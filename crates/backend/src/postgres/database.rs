//! One database of a manifest: its settings, its connections, who owns it, where its events wait,
//! and a pool for each grant.
//!
//! All that is known of a database is one value, so that nothing of it can be there without the rest.
//! How it was made ready (`private`, `operators`) is over when it is put together here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    answer::Bounds,
    client::Pool,
    endpoint::Endpoint,
    error::Error,
    pool::{PoolCounts, Site, Stock, share_of},
    start::{Progress, StartError},
};
use crate::{
    embedded::{postgres::Server, roles},
    migrate::{self, MigrateError},
    outbox::{Outbox, Terms},
};
use gateway::places::Places;
use grant::{DatabaseGrant, Granted, Mode};
use manifest::DatabaseSettings;

/// How long a health check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Sessions of a database that no service uses: the one that checks, and the one that carries events on.
pub(super) const BESIDE_POOL: usize = 2;

/// What a manifest wants of one database, and whom the start is told to.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) settings: &'a DatabaseSettings,
    /// Of this database, of all services.
    pub(super) grants: Vec<&'a Granted<DatabaseGrant>>,
    /// Services that publish events.
    pub(super) publishers: &'a BTreeSet<Arc<str>>,
    pub(super) progress: &'a (dyn Fn(Progress<'_>) + Send + Sync),
}

/// What a server was made to have for it.
pub(super) struct Ready {
    pub(super) owner: Owner,
    /// As whom each grant of it connects.
    pub(super) services: Vec<(DatabaseGrant, Endpoint)>,
    /// New terms for its events; none leaves those that there are.
    pub(super) events: Option<Terms>,
}

/// Who changes the tables of a database.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) endpoint: Endpoint,
    /// Of the private server: whom new tables must be granted to.
    pub(super) roles: Option<Arc<roles::DatabaseRoles>>,
}

#[derive(Clone)]
pub(super) struct Database {
    pub(super) settings: DatabaseSettings,
    /// The connections of its services.
    site: Arc<Site>,
    /// One connection of its own, so that a full pool does not look like a dead server.
    check: Arc<Pool>,
    /// For migrations that come with a new build, and for new grants.
    pub(super) owner: Owner,
    /// Where services leave the events of their transactions, on the terms of this manifest.
    outbox: Option<(Arc<Outbox>, Arc<Terms>)>,
    pools: BTreeMap<DatabaseGrant, Arc<Pool>>,
}

impl Wanted<'_> {
    /// Whether events may be left in transactions of this grant.
    pub(super) fn writes_events(&self, grant: &DatabaseGrant) -> bool {
        grant.mode == Mode::ReadWrite && self.publishers.contains(&grant.service)
    }

    pub(super) fn has_event_writers(&self) -> bool {
        self.grants.iter().any(|grant| self.writes_events(grant.get()))
    }

    /// Makes the place where events wait, or brings the one that is there to these terms.
    pub(super) async fn prepare_events(&self, terms: &Terms) -> Result<(), StartError> {
        terms.prepare().await.map_err(|source| StartError::Outbox { database: self.name.clone(), source })
    }

    /// Applies the migrations, if it has any.
    pub(super) async fn migrate(&self, owner: &Endpoint) -> Result<(), StartError> {
        let Some(folder) = &self.settings.migrations else { return Ok(()) };
        let began = Instant::now();
        let applied = migrate::migrate(owner, self.name, folder).await;
        let files = applied.map_err(|source| StartError::Migrate { database: self.name.clone(), source })?.len();
        (self.progress)(Progress::Migrated { database: self.name, files, began });
        Ok(())
    }
}

impl Database {
    /// Puts it together. What `before` has for the same settings goes on; other settings get other
    /// connections, which share the bound of those that were there. Opens none.
    pub(super) fn open(wanted: &Wanted<'_>, ready: Ready, before: Option<&Self>) -> Self {
        let settings = wanted.settings;
        let same = before.filter(|before| before.settings == *settings);
        let site = match (same, before) {
            (Some(same), _) => same.site.clone(),
            (None, Some(before)) => before.site.successor(settings.wait, bounds(settings)),
            (None, None) => Site::new(Stock::new(settings.connections_max.get()), settings.wait, bounds(settings)),
        };
        let writes = wanted.grants.iter().any(|grant| grant.get().mode == Mode::ReadWrite);
        let of_checks = if writes { Mode::ReadWrite } else { Mode::Read };
        let check = match (same, before) {
            (Some(same), _) => same.check.clone(),
            (None, Some(before)) => {
                let site = before.check.site.successor(CHECK_TIMEOUT, bounds(settings));
                Arc::new(pool(&site, settings, &ready.owner.endpoint, of_checks))
            }
            (None, None) => {
                let site = Site::new(Stock::new(1), CHECK_TIMEOUT, bounds(settings));
                Arc::new(pool(&site, settings, &ready.owner.endpoint, of_checks))
            }
        };
        // An outbox stays as long as its database: somebody may still write who began before.
        let known = before.and_then(|before| before.outbox.clone());
        let outbox = match (ready.events.map(Arc::new), known) {
            (None, known) => known,
            (Some(terms), Some((outbox, _))) => Some((outbox, terms)),
            (Some(terms), None) => Some((Arc::new(Outbox::new(wanted.name.clone(), terms.clone())), terms)),
        };
        let mut pools = before.map(|before| before.pools.clone()).unwrap_or_default();
        for (grant, endpoint) in ready.services {
            let events = outbox.as_ref().map(|(outbox, _)| outbox.clone()).filter(|_| wanted.writes_events(&grant));
            let known = pools.get(&grant).filter(|known| Arc::ptr_eq(&known.site, &site));
            let made = match known {
                Some(same) => Pool::clone(same),
                None => pool(&site, settings, &endpoint, grant.mode),
            };
            pools.insert(grant, Arc::new(Pool { outbox: events, ..made }));
        }
        let database = Self { settings: settings.clone(), site, check, owner: ready.owner, outbox, pools };
        if before.is_none() {
            database.share_out();
        }
        database
    }

    /// No service may have all connections, where there are others.
    fn share_out(&self) {
        let share = share_of(self.settings.connections_max.get(), self.pools.len());
        self.pools.values().for_each(|pool| pool.share.resize(share));
    }

    /// Whether it is already all that is wanted of it.
    pub(super) fn is_as(&self, wanted: &Wanted<'_>) -> bool {
        let has_pool = |grant: &DatabaseGrant| {
            self.pools.get(grant).is_some_and(|pool| pool.outbox.is_some() == wanted.writes_events(grant))
        };
        self.settings == *wanted.settings && wanted.grants.iter().all(|grant| has_pool(grant.get()))
    }

    /// Whether services left events here under this grant.
    pub(super) fn wrote_events(&self, grant: &DatabaseGrant) -> bool {
        self.pools.get(grant).is_some_and(|pool| pool.outbox.is_some())
    }

    /// Forgets the pools of other grants.
    pub(super) fn keep_only(&mut self, grants: &[&Granted<DatabaseGrant>]) {
        self.pools.retain(|grant, _| grants.iter().any(|kept| kept.get() == grant));
    }

    pub(super) fn pool(&self, grant: &DatabaseGrant) -> Option<Arc<Pool>> {
        self.pools.get(grant).cloned()
    }

    pub(super) fn outbox(&self) -> Option<&Arc<Outbox>> {
        self.outbox.as_ref().map(|(outbox, _)| outbox)
    }

    /// How long it takes to answer.
    pub(super) async fn check(&self) -> Result<Duration, Error> {
        let begun = Instant::now();
        let is_standby = self.check.is_standby(begun + CHECK_TIMEOUT).await?;
        if is_standby && self.pools.keys().any(|grant| grant.mode == Mode::ReadWrite) {
            // Perhaps its name leads to another one by now.
            self.sites().iter().for_each(|site| site.suspect());
            return Err(Error::Unavailable("it is a standby, and services write to it".to_owned()));
        }
        Ok(begun.elapsed())
    }

    /// Applies what its folder of migrations has got since the start; gives back how many.
    pub(super) async fn migrate(&self, name: &Arc<str>, server: Option<&Server>) -> Result<usize, StartError> {
        let Some(migrations) = &self.settings.migrations else { return Ok(0) };
        let applied = match migrate::migrate(&self.owner.endpoint, name, migrations).await {
            Ok(applied) => applied,
            Err(MigrateError::Connect(error)) if self.settings.optional => {
                tracing::warn!(database = %name, %error, "an optional database is not available; its migrations were not run");
                return Ok(0);
            }
            Err(source) => return Err(StartError::Migrate { database: name.clone(), source }),
        };
        if !applied.is_empty() {
            self.site.schema_changed();
        }
        if let (Some(roles), Some(server), false) = (&self.owner.roles, server, applied.is_empty()) {
            let granted = roles::grant_tables(server, roles).await;
            granted.map_err(|source| StartError::Roles { database: name.clone(), source })?;
        }
        Ok(applied.len())
    }

    pub(super) fn counts(&self) -> PoolCounts {
        self.site.counts()
    }

    /// Of its services and of its checks.
    pub(super) fn sites(&self) -> [&Arc<Site>; 2] {
        [&self.site, &self.check.site]
    }

    /// From now on it has the connections of its settings and events go on by its terms.
    pub(super) fn take_effect(&self) {
        self.site.resize(self.settings.connections_max.get());
        self.share_out();
        if let Some((outbox, terms)) = &self.outbox {
            outbox.on(terms.clone());
        }
    }
}

fn bounds(settings: &DatabaseSettings) -> Bounds {
    Bounds { rows_max: settings.rows_max, bytes_max: settings.bytes_max }
}

fn pool(site: &Arc<Site>, settings: &DatabaseSettings, endpoint: &Endpoint, mode: Mode) -> Pool {
    let role = endpoint.clone().with_settings(&session_settings(settings, mode));
    Pool {
        site: site.clone(),
        share: Places::new(settings.connections_max.get()),
        role: Arc::new(match mode {
            Mode::Read => role,
            Mode::ReadWrite => role.for_writes(),
        }),
        mode,
        statement_timeout: settings.statement_timeout,
        outbox: None,
        account: None,
        waited: Arc::default(),
    }
}

/// What holds in every session, also after a reset.
fn session_settings(settings: &DatabaseSettings, mode: Mode) -> String {
    let timeout = settings.statement_timeout.as_millis().max(1);
    let read_only = if mode == Mode::Read { "on" } else { "off" };
    format!(
        "-c statement_timeout={timeout} -c idle_in_transaction_session_timeout=60000 -c timezone=UTC -c standard_conforming_strings=on -c default_transaction_read_only={read_only}"
    )
}
