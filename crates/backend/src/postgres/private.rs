//! A database on the private server, which belongs to the host: made there, with a role for each grant.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    database::{Database, Owner, Ready, Wanted},
    start::StartError,
};
use crate::{
    embedded::{postgres::Server, roles},
    outbox::{Terms, Writers},
};
use grant::DatabaseGrant;

/// Makes one database, or brings the one that was there `before` up to what is wanted.
pub(super) async fn make(server: &Server, wanted: &Wanted<'_>, before: Option<&Database>) -> Result<Ready, StartError> {
    let refused = |source| StartError::Roles { database: wanted.name.clone(), source };
    let settings = wanted.settings;
    // Of fewer connections, those that are lent come back one by one.
    let lent_max = before.map_or(0, |before| before.settings.connections_max.get());
    let limits = roles::SessionLimits {
        sessions_max: settings.connections_max.get().max(lent_max),
        statement_timeout: settings.statement_timeout,
    };
    let prepared = match before.and_then(|before| before.owner.roles.as_deref()) {
        None => roles::prepare(server, wanted.name, &wanted.grants, limits).await,
        Some(known) => roles::extend(server, wanted.name, known, &wanted.grants, limits).await,
    };
    let roles = prepared.map_err(refused)?;
    let endpoint = server.endpoint(&roles.database, &roles.owner.role, &roles.owner.password).patient();

    // Before the migrations, so that a service's own tables and rights come after.
    let writers = event_writers(&roles, wanted, before);
    let events = (!writers.is_empty()).then(|| Terms::new(endpoint.clone(), Writers::Roles(writers)));
    if let Some(terms) = &events {
        wanted.prepare_events(terms).await?;
    }
    wanted.migrate(&endpoint).await?;
    roles::grant_tables(server, &roles).await.map_err(refused)?;

    let granted = roles.services.iter().filter(|(grant, _)| wanted.grants.iter().any(|wanted| wanted.get() == *grant));
    let services = granted
        .map(|(grant, access)| (grant.clone(), server.endpoint(&roles.database, &access.role, &access.password)));
    let services = services.collect();
    Ok(Ready { owner: Owner { endpoint, roles: Some(Arc::new(roles)) }, services, events })
}

/// The service of each role that may leave events.
fn event_writers(
    roles: &roles::DatabaseRoles,
    wanted: &Wanted<'_>,
    before: Option<&Database>,
) -> BTreeMap<String, Arc<str>> {
    // Those that wrote before, too: they may be at work still.
    let wrote = |grant: &DatabaseGrant| before.is_some_and(|before| before.wrote_events(grant));
    let writers = roles.services.iter().filter(|(grant, _)| wanted.writes_events(grant) || wrote(grant));
    writers.map(|(grant, access)| (access.role.clone(), grant.service.clone())).collect()
}
