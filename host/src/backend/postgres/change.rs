//! The databases of a manifest that changed while the host runs.
//!
//! What was there stays as it is, with its connections: a new value holds what is common, and what
//! is new. Where a database is, and its bounds, change with a restart only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{BESIDE_POOL, Databases, StartError, operators, pool, server};
use crate::{
    grant::{DatabaseGrant, Granted, Mode},
    manifest::{DatabasePlace, DatabaseSettings},
};

/// The private server has room for so many sessions at least, so that a database can be added.
pub(super) const SESSIONS_MIN: usize = 96;

/// Sessions that the private server is asked for at most.
pub(super) fn embedded_sessions(databases: &BTreeMap<Arc<str>, DatabaseSettings>) -> usize {
    let embedded = databases.values().filter(|settings| matches!(settings.place, DatabasePlace::Embedded));
    embedded.map(|settings| settings.connections_max.get() + BESIDE_POOL).sum()
}

impl Databases {
    /// Those of `databases` for these grants: new ones are made and migrated, new grants get their
    /// roles. None of them gets an outbox: who carries events on is settled at the start. `self` goes on as it is; databases that both have must not differ.
    ///
    /// # Errors
    /// One that cannot be made or reached now. Nothing has changed then, but for roles nobody uses.
    pub async fn changed(
        &self,
        databases: &BTreeMap<Arc<str>, DatabaseSettings>,
        grants: &[Granted<DatabaseGrant>],
    ) -> Result<Self, StartError> {
        let mut next = self.clone();
        next.pools.retain(|grant, _| grants.iter().any(|kept| kept.get() == grant));
        next.checks.retain(|name, _| databases.contains_key(name));
        next.owners.retain(|name, _| databases.contains_key(name));
        next.sites.retain(|name, _| databases.contains_key(name));
        let sessions = embedded_sessions(databases);
        let nobody = BTreeSet::new();
        for (name, settings) in databases {
            let of_it = grants.iter().filter(|grant| grant.get().database == *name);
            let is_new = !next.sites.contains_key(name);
            let embedded = matches!(settings.place, DatabasePlace::Embedded);
            if is_new && embedded && next.server.as_ref().is_none_or(|server| server.sessions_max() < sessions) {
                return Err(StartError::NeedsRestart { database: name.clone() });
            }
            match is_new {
                true => next.add(name, settings, &of_it.collect::<Vec<_>>(), &nobody, &|_| {}).await?,
                false => {
                    let new: Vec<_> = of_it.filter(|grant| !next.pools.contains_key(grant.get())).collect();
                    next.extend(name, settings, &new).await?;
                }
            }
        }
        Ok(next)
    }

    /// Pools for new grants of a database that is there.
    async fn extend(
        &mut self,
        name: &Arc<str>,
        settings: &DatabaseSettings,
        new: &[&Granted<DatabaseGrant>],
    ) -> Result<(), StartError> {
        let Some(sites) = self.sites.get(name).filter(|_| !new.is_empty()).cloned() else { return Ok(()) };
        let mut add = |grant: &DatabaseGrant, endpoint| {
            self.pools.insert(grant.clone(), Arc::new(pool(&sites.services, settings, endpoint, grant.mode, None)));
        };
        if let Some((endpoint, reading)) = operators::endpoints(name, settings)? {
            let of = |mode| if mode == Mode::Read { reading.clone() } else { endpoint.clone() };
            new.iter().for_each(|grant| add(grant.get(), of(grant.get().mode)));
            return Ok(());
        }
        let (Some(server), Some(owner)) = (&self.server, self.owners.get_mut(name)) else { return Ok(()) };
        let Some(known) = &owner.roles else { return Ok(()) };
        let bounds = (settings.connections_max.get(), settings.statement_timeout);
        let made = server::extend(server, name, known, new, bounds).await;
        let made = made.map_err(|source| StartError::Roles { database: name.clone(), source })?;
        for (grant, access) in &made.services {
            add(grant, server.endpoint(&made.database, &access.role, &access.password));
        }
        let mut all = made;
        all.services.extend(known.services.iter().map(|(grant, access)| (grant.clone(), access.clone())));
        owner.roles = Some(Arc::new(all));
        Ok(())
    }
}
