//! The databases of a manifest: all of them at the start, and those that changed while the host runs.
//!
//! A start is a change of none. What is as it was stays, with its connections: a new value holds what is
//! common, and what is new. A database with other settings gets other pools, which share the bound of those
//! that were there: whoever began with these finishes with them. Where a database is changes with a restart
//! only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Databases,
    database::{BESIDE_POOL, Database, Wanted},
    operators,
    pool::Site,
    private,
    start::{Progress, StartError},
};
use crate::{
    embedded::{DataFolder, Environment, postgres::Server},
    outbox,
};
use grant::{DatabaseGrant, Granted};
use manifest::{DatabasePlace, DatabaseSettings};

/// The private server has room for so many sessions at least, so that a database can be added.
const SESSIONS_MIN: usize = 96;

/// Sessions that the private server is asked for at most.
fn embedded_sessions(databases: &BTreeMap<Arc<str>, DatabaseSettings>) -> usize {
    let embedded = databases.values().filter(|settings| is_embedded(settings));
    embedded.map(|settings| settings.connections_max.get() + BESIDE_POOL).sum()
}

fn is_embedded(settings: &DatabaseSettings) -> bool {
    matches!(settings.place, DatabasePlace::Embedded)
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
        let mut started = Self::default();
        let sessions = embedded_sessions(databases);
        if sessions > 0 {
            progress(Progress::StartingServer);
            started.server = Some(Arc::new(Server::start(folder, environment, sessions.max(SESSIONS_MIN)).await?));
        }
        for (name, settings) in databases {
            progress(Progress::Preparing { database: name });
            let grants = grants.iter().filter(|grant| grant.get().database == *name).collect();
            if let Err(error) = started.add(&Wanted { name, settings, grants, publishers, progress }).await {
                started.stop().await;
                return Err(error);
            }
            started.tell_of_left_behind(name).await;
        }
        Ok(started)
    }

    /// Those of `databases` for these grants and publishers: new ones are made and migrated, changed ones too,
    /// new grants get their roles, and whoever publishes from now on an outbox. `self` goes on as it is;
    /// a database that both have must be in the same place. Start using it with [`take_over`](Self::take_over).
    ///
    /// # Errors
    /// One that cannot be made or reached now. Nothing has changed then, but for migrations that ran and roles
    /// nobody uses.
    pub async fn changed(
        &self,
        databases: &BTreeMap<Arc<str>, DatabaseSettings>,
        grants: &[Granted<DatabaseGrant>],
        publishers: &BTreeSet<Arc<str>>,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Self, StartError> {
        self.have_room(databases)?;
        let mut next = Self { warnings: Vec::new(), ..self.clone() };
        next.databases.retain(|name, _| databases.contains_key(name));
        for (name, settings) in databases {
            let of_it: Vec<_> = grants.iter().filter(|grant| grant.get().database == *name).collect();
            let wanted = Wanted { name, settings, grants: of_it, publishers, progress };
            if !next.databases.get(name).is_some_and(|database| database.is_as(&wanted)) {
                next.add(&wanted).await?;
            }
            if let Some(database) = next.databases.get_mut(name) {
                database.keep_only(&wanted.grants);
            }
        }
        Ok(next)
    }

    /// From now on these are used, and those of `before` by nobody but requests that began with them.
    pub fn take_over(&self, before: &Self) {
        self.databases.values().for_each(Database::take_effect);
        let kept: Vec<_> = self.sites().collect();
        let is_kept = |site: &Arc<Site>| kept.iter().any(|kept| Arc::ptr_eq(kept, site));
        before.sites().filter(|site| !is_kept(site)).for_each(|site| site.retire());
    }

    /// One more database, with all that were granted it; or one that is there, as it shall be now.
    async fn add(&mut self, wanted: &Wanted<'_>) -> Result<(), StartError> {
        let before = self.databases.get(wanted.name);
        let ready = match (&self.server, operators::make(wanted).await?) {
            (_, Some((ready, warnings))) => {
                self.warnings.extend(warnings);
                ready
            }
            (Some(server), None) => private::make(server, wanted, before).await?,
            (None, None) => return Err(StartError::NeedsRestart { database: wanted.name.clone() }),
        };
        let database = Database::open(wanted, ready, before);
        self.databases.insert(wanted.name.clone(), database);
        Ok(())
    }

    /// Events in a database from which no service publishes any more.
    async fn tell_of_left_behind(&mut self, name: &Arc<str>) {
        let Some(database) = self.databases.get(name).filter(|database| database.outbox().is_none()) else { return };
        match outbox::left_behind(&database.owner.endpoint).await {
            Ok(0) => {}
            Ok(events) => self.warnings.push(format!(
                "{events} events wait in database `{name}`, from which no service publishes; they stay there until one does"
            )),
            Err(error) => tracing::debug!(database = %name, %error, "whether events wait there is not known"),
        }
    }

    /// # Errors
    /// The private server was not started, or not for so many sessions.
    fn have_room(&self, databases: &BTreeMap<Arc<str>, DatabaseSettings>) -> Result<(), StartError> {
        let room = self.server.as_ref().map_or(0, |server| server.sessions_max());
        if embedded_sessions(databases) <= room {
            return Ok(());
        }
        let wants_more = |name: &Arc<str>, settings: &DatabaseSettings| {
            let has = self.databases.get(name).map_or(0, |database| database.settings.connections_max.get());
            is_embedded(settings) && settings.connections_max.get() > has
        };
        match databases.iter().find(|(name, settings)| wants_more(name, settings)) {
            Some((name, _)) => Err(StartError::NeedsRestart { database: name.clone() }),
            None => Ok(()),
        }
    }
}
