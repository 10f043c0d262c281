//! The databases of a manifest that changed while the host runs.
//!
//! What is as it was stays, with its connections: a new value holds what is common, and what is new. A
//! database with other settings gets other pools, which share the bound of those that were there: whoever
//! began with these finishes with them. Where a database is changes with a restart only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{BESIDE_POOL, Databases, StartError, pool::Site, writes_events};
use grant::{DatabaseGrant, Granted};
use manifest::{DatabasePlace, DatabaseSettings};

/// The private server has room for so many sessions at least, so that a database can be added.
pub(super) const SESSIONS_MIN: usize = 96;

/// Sessions that the private server is asked for at most.
pub(super) fn embedded_sessions(databases: &BTreeMap<Arc<str>, DatabaseSettings>) -> usize {
    let embedded = databases.values().filter(|settings| is_embedded(settings));
    embedded.map(|settings| settings.connections_max.get() + BESIDE_POOL).sum()
}

fn is_embedded(settings: &DatabaseSettings) -> bool {
    matches!(settings.place, DatabasePlace::Embedded)
}

impl Databases {
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
    ) -> Result<Self, StartError> {
        self.have_room(databases)?;
        let mut next = Self { warnings: Vec::new(), ..self.clone() };
        for (name, settings) in databases {
            let of_it: Vec<_> = grants.iter().filter(|grant| grant.get().database == *name).collect();
            if !next.is_as(name, settings, &of_it, publishers) {
                next.add(name, settings, &of_it, publishers, &|_| {}).await?;
            }
        }
        next.pools.retain(|grant, _| grants.iter().any(|kept| kept.get() == grant));
        next.checks.retain(|name, _| databases.contains_key(name));
        next.owners.retain(|name, _| databases.contains_key(name));
        next.sites.retain(|name, _| databases.contains_key(name));
        next.outboxes.retain(|name, _| databases.contains_key(name));
        Ok(next)
    }

    /// From now on these are used, and those of `before` by nobody but requests that began with them.
    pub fn take_over(&self, before: &Self) {
        for sites in self.sites.values() {
            sites.services.resize(sites.settings.connections_max.get());
        }
        let kept: Vec<_> = self.all_sites().collect();
        let is_kept = |site: &Arc<Site>| kept.iter().any(|kept| Arc::ptr_eq(kept, site));
        before.all_sites().filter(|site| !is_kept(site)).for_each(|site| site.retire());
        for (outbox, terms) in self.outboxes.values() {
            outbox.on(terms.clone());
        }
    }

    fn all_sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.sites.values().flat_map(|sites| [&sites.services, &sites.check])
    }

    /// # Errors
    /// The private server was not started, or not for so many sessions.
    fn have_room(&self, databases: &BTreeMap<Arc<str>, DatabaseSettings>) -> Result<(), StartError> {
        let room = self.server.as_ref().map_or(0, |server| server.sessions_max());
        if embedded_sessions(databases) <= room {
            return Ok(());
        }
        let wants_more = |name: &Arc<str>, settings: &DatabaseSettings| {
            let has = self.sites.get(name).map_or(0, |sites| sites.settings.connections_max.get());
            is_embedded(settings) && settings.connections_max.get() > has
        };
        match databases.iter().find(|(name, settings)| wants_more(name, settings)) {
            Some((name, _)) => Err(StartError::NeedsRestart { database: name.clone() }),
            None => Ok(()),
        }
    }

    fn is_as(
        &self,
        name: &Arc<str>,
        settings: &DatabaseSettings,
        grants: &[&Granted<DatabaseGrant>],
        publishers: &BTreeSet<Arc<str>>,
    ) -> bool {
        let has_pool = |grant: &DatabaseGrant| {
            let pool = self.pools.get(grant);
            pool.is_some_and(|pool| pool.outbox.is_some() == writes_events(grant, publishers))
        };
        self.sites.get(name).is_some_and(|sites| sites.settings == *settings)
            && grants.iter().all(|grant| has_pool(grant.get()))
    }
}
