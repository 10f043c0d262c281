//! A database on an operator's server: reached by URL, used as the role of that URL.
//!
//! The host makes no roles there: all services share the URL's, and `read` grants the one of
//! `url_read`, without which there are none. Migrations run as the URL's role.

use std::{collections::BTreeSet, sync::Arc};

use super::{BESIDE_POOL, Databases, Owner, Progress, StartError, endpoint::Endpoint, migrate_to, writes_events};
use crate::outbox::{Terms, Writers};
use grant::{DatabaseGrant, Granted, Mode};
use manifest::{DatabasePlace, DatabaseSettings};

/// Adds one database, or brings one that is there up to its settings. Does nothing for a private one.
pub(super) async fn add(
    databases: &mut Databases,
    name: &Arc<str>,
    settings: &DatabaseSettings,
    grants: &[&Granted<DatabaseGrant>],
    publishers: &BTreeSet<Arc<str>>,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<(), StartError> {
    let Some((endpoint, reading)) = endpoints(name, settings)? else { return Ok(()) };
    let has_writers = grants.iter().any(|grant| writes_events(grant.get(), publishers));
    let terms = || Terms::new(endpoint.clone(), Writers::Shared);
    match inspect(&endpoint).await {
        Ok(seen) => {
            databases.warnings.extend(seen.warnings(name, settings));
            if has_writers {
                databases.leave_events(name, terms()).await?;
            }
            migrate_to(name, &endpoint, settings, progress).await?;
        }
        Err(error) if settings.optional => {
            let text =
                format!("database `{name}` is optional and not available now, its migrations were not run: {error}");
            databases.warnings.push(text);
            if has_writers {
                // Whoever carries events on makes what is missing.
                databases.expect_events(name, terms());
            }
        }
        Err(source) => return Err(StartError::Unreachable { database: name.clone(), source }),
    }
    let services = grants.iter().map(|grant| {
        let grant = grant.get().clone();
        let endpoint = match grant.mode {
            Mode::Read => reading.clone().ok_or_else(|| StartError::NoReader { database: name.clone() })?,
            Mode::ReadWrite => endpoint.clone(),
        };
        Ok((grant, endpoint))
    });
    let services = services.collect::<Result<_, StartError>>()?;
    let owner = Owner { endpoint: endpoint.clone(), migrations: settings.migrations.clone(), roles: None };
    databases.owners.insert(name.clone(), owner);
    databases.open(name, settings, services, endpoint, publishers);
    Ok(())
}

/// As the URL's role, and as the one that may only read if there is one. None: a private database.
fn endpoints(name: &Arc<str>, settings: &DatabaseSettings) -> Result<Option<(Endpoint, Option<Endpoint>)>, StartError> {
    let DatabasePlace::External { url, url_read, tls } = &settings.place else { return Ok(None) };
    let usable =
        |url| Endpoint::from_url(url, *tls).map_err(|source| StartError::Url { database: name.clone(), source });
    let endpoint = usable(url)?;
    let reading = url_read.as_ref().map(usable).transpose()?;
    Ok(Some((endpoint, reading)))
}

/// What a server says about the role of a URL and itself.
struct Seen {
    superuser: bool,
    sessions_max: usize,
}

async fn inspect(endpoint: &Endpoint) -> Result<Seen, super::ConnectError> {
    let session = endpoint.connect(1 << 20).await?;
    let sql = "SELECT rolsuper, current_setting('max_connections')::int8 FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let row = session.client.query_one(sql, &[]).await.map_err(|_| super::ConnectError::Handshake)?;
    Ok(Seen {
        superuser: row.try_get(0).unwrap_or(false),
        sessions_max: row
            .try_get::<_, i64>(1)
            .ok()
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(usize::MAX),
    })
}

impl Seen {
    fn warnings(&self, name: &str, settings: &DatabaseSettings) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.superuser {
            warnings.push(format!(
                "the role of `postgres.{name}.url` is a superuser: a service could read the server's files and run programs; use a role with rights on its tables only"
            ));
        }
        if settings.connections_max.get().saturating_add(BESIDE_POOL) > self.sessions_max {
            warnings.push(format!(
                "`postgres.{name}.connections_max` is {} and the server allows {} sessions in all; lower it",
                settings.connections_max, self.sessions_max
            ));
        }
        warnings
    }
}
