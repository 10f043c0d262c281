//! A database on an operator's server: reached by URL, used as the role of that URL.
//!
//! The host makes no roles there: all services share the URL's, and `read` grants the one of
//! `url_read`, without which there are none. Migrations run as the URL's role.

use std::sync::Arc;

use super::{
    database::{BESIDE_POOL, Owner, Ready, Wanted},
    endpoint::{ConnectError, Endpoint},
    start::StartError,
};
use crate::outbox::{Terms, Writers};
use grant::Mode;
use manifest::{DatabasePlace, DatabaseSettings};

/// Looks at one database and brings it up to what is wanted, with what an operator should know. None:
/// it is a private one.
pub(super) async fn make(wanted: &Wanted<'_>) -> Result<Option<(Ready, Vec<String>)>, StartError> {
    let (name, settings) = (wanted.name, wanted.settings);
    let Some((endpoint, reading)) = endpoints(name, settings)? else { return Ok(None) };
    let events = wanted.has_event_writers().then(|| Terms::new(endpoint.clone(), Writers::Shared));
    let mut warnings = Vec::new();
    match inspect(&endpoint).await {
        Ok(seen) => {
            warnings.extend(seen.warnings(name, settings));
            if let Some(terms) = &events {
                wanted.prepare_events(terms).await?;
            }
            wanted.migrate(&endpoint).await?;
        }
        // Its events are expected all the same: whoever carries them on makes what is missing.
        Err(error) if settings.optional => warnings
            .push(format!("database `{name}` is optional and not available now, its migrations were not run: {error}")),
        Err(source) => return Err(StartError::Unreachable { database: name.clone(), source }),
    }
    let services = wanted.grants.iter().map(|grant| {
        let grant = grant.get().clone();
        let endpoint = match grant.mode {
            Mode::Read => reading.clone().ok_or_else(|| StartError::NoReader { database: name.clone() })?,
            Mode::ReadWrite => endpoint.clone(),
        };
        Ok((grant, endpoint))
    });
    let services = services.collect::<Result<_, StartError>>()?;
    Ok(Some((Ready { owner: Owner { endpoint, roles: None }, services, events }, warnings)))
}

/// As the URL's role, and as the one that may only read if there is one. None: a private database.
fn endpoints(name: &Arc<str>, settings: &DatabaseSettings) -> Result<Option<(Endpoint, Option<Endpoint>)>, StartError> {
    let DatabasePlace::External { url, url_read, tls, schema } = &settings.place else { return Ok(None) };
    let usable = |url| {
        let endpoint = Endpoint::from_url(url, *tls).map(|endpoint| endpoint.with_schema(schema.as_ref()));
        endpoint.map_err(|source| StartError::Url { database: name.clone(), source })
    };
    let endpoint = usable(url)?;
    let reading = url_read.as_ref().map(usable).transpose()?;
    Ok(Some((endpoint, reading)))
}

/// What a server says about the role of a URL and itself.
struct Seen {
    superuser: bool,
    sessions_max: usize,
}

async fn inspect(endpoint: &Endpoint) -> Result<Seen, ConnectError> {
    let session = endpoint.connect(1 << 20).await?;
    let sql = "SELECT rolsuper, current_setting('max_connections')::int8 FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let row = session.client.query_one(sql, &[]).await.map_err(|_| ConnectError::Handshake)?;
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
