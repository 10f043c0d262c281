//! `[services.NAME]`: the component, what it may reach and what it may use up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Check,
    auth::Auths,
    environment::environment,
    events, folder, keyvalue,
    limits::limits,
    name, reach,
    secrets::{self, SecretsByName},
    swap,
};
use crate::{
    DatabasePlace, DatabaseSettings, HostSettings, ServiceSettings, defaults,
    raw::{Named, RawMode, RawService},
    source::Key,
    structure::nearest,
};
use grant::{Grants, Mode, Permissions};

/// What services are checked against.
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a HostSettings,
    pub(crate) databases: &'a BTreeMap<Arc<str>, DatabaseSettings>,
    /// Every name that is written, also where its table has mistakes.
    pub(crate) database_names: &'a BTreeSet<Arc<str>>,
    pub(crate) auths: &'a Auths<'a>,
    /// The same of key-value stores.
    pub(crate) store_names: &'a BTreeSet<Arc<str>>,
    pub(crate) secrets: &'a SecretsByName,
    /// The same of secrets.
    pub(crate) secret_names: &'a BTreeSet<Arc<str>>,
    /// Whether `[events]` is written.
    pub(crate) has_events: bool,
    /// The same of services.
    pub(crate) service_names: &'a BTreeSet<Arc<str>>,
}

pub(crate) fn service(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawService,
    around: &Surroundings<'_>,
) -> ServiceSettings {
    check.keep(key, name(key.name()));
    let service: Arc<str> = key.name().into();
    let component = check.required(&key.child("component"), raw.component, "service.wasm").unwrap_or_default();
    if let Some(wasi) = raw.wasi {
        check.keep(&key.child("wasi"), wasi_is_supported(&wasi));
    }
    let version = raw.version.unwrap_or_else(|| defaults::VERSION.into());
    check.keep(&key.child("version"), version_is_right(&version));
    let of = key.child("permissions");
    let secrets =
        secrets::granted(check, &of.child("secrets"), &raw.permissions.secrets, (around.secrets, around.secret_names));
    let permissions = Permissions {
        postgres: postgres(check, &of.child("postgres"), raw.permissions.postgres, around),
        sign: raw.permissions.sign.and_then(|raw| around.auths.sign(check, &of.child("sign"), raw)),
        passwords: raw.permissions.passwords.unwrap_or(false),
        call: reach::call(check, &of.child("call"), raw.permissions.call, around.service_names),
        net: reach::net(check, &of.child("net"), raw.permissions.net, around.host.allow_unrestricted),
        keyvalue: keyvalue::stores(check, &of.child("keyvalue"), raw.permissions.keyvalue, around.store_names),
        publish: events::topics(check, &of.child("publish"), &raw.permissions.publish, around.has_events),
        subscribe: events::topics(check, &of.child("subscribe"), &raw.permissions.subscribe, around.has_events),
        read: folder::folders(check, &of.child("read"), raw.permissions.read, around.host),
        write: folder::folders(check, &of.child("write"), raw.permissions.write, around.host),
        secrets: secrets.keys().cloned().collect(),
        sockets: raw.permissions.sockets.unwrap_or(false),
    };
    let health = raw.health.and_then(|raw| {
        let key = key.child("health").child("path");
        let path = check.required(&key, raw.path, "/health")?;
        check.keep(&key, health_path(path))
    });
    ServiceSettings {
        grants: Arc::new(Grants::new(service.clone(), key.file().into(), permissions)),
        name: service,
        component: check.path(&key.child("component"), &component).unwrap_or_default(),
        build: raw.build,
        version,
        env: environment(check, key, raw.permissions.env, raw.env),
        secrets,
        limits: limits(check, &key.child("limits"), raw.limits, around.host),
        health_path: health,
        ramp: swap::ramp(check, &key.child("swap"), &raw.swap),
        smoke: swap::smoke(check, &key.child("swap").child("smoke"), raw.swap.smoke),
        events: events::consumer(check, &key.child("events"), raw.events),
    }
}

fn wasi_is_supported(wasi: &str) -> Result<(), String> {
    match wasi {
        "0.2" => Ok(()),
        "0.3" => Err("WASI 0.3 is not yet supported; build the component for 0.2 and write `\"0.2\"`".into()),
        other => Err(format!("`{other}` is no WASI version of components; write `\"0.2\"`")),
    }
}

/// It becomes part of a response header, with the digest after a `+`.
fn version_is_right(version: &str) -> Result<(), String> {
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=64).contains(&version.len()) && version.chars().all(right) {
        return Ok(());
    }
    Err(format!("`{version}` is no version; write up to 64 letters, digits, `.`, `-` and `_`, such as `1.0.0`"))
}

pub(super) fn health_path(path: String) -> Result<String, String> {
    let right = path.starts_with('/') && !path.contains('#') && path.parse::<http::uri::PathAndQuery>().is_ok();
    if right { Ok(path) } else { Err(format!("`{path}` is no path; write it like `/health`")) }
}

fn postgres(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: Named<RawMode>,
    around: &Surroundings<'_>,
) -> BTreeMap<Arc<str>, Mode> {
    let mut granted = BTreeMap::new();
    for (database, written) in raw {
        let key = key.child(&database);
        let mode = mode(written);
        match around.databases.get_key_value(database.as_str()) {
            None if !check.whole || around.database_names.contains(database.as_str()) => {}
            None => check.wrong(&key, unknown_database(&database, around)),
            Some((name, settings)) => {
                if let (Mode::Read, DatabasePlace::External { url_read: None, .. }) = (mode, &settings.place) {
                    check.wrong(
                        &key,
                        format_args!(
                            "`read` needs a role that can only read, for a read-only transaction is no boundary; \
                         add `url_read` to `[postgres.{name}]`"
                        ),
                    );
                }
                granted.insert(name.clone(), mode);
            }
        }
    }
    granted
}

pub(super) fn mode(raw: RawMode) -> Mode {
    match raw {
        RawMode::Read => Mode::Read,
        RawMode::ReadWrite => Mode::ReadWrite,
    }
}

fn unknown_database(database: &str, around: &Surroundings<'_>) -> String {
    match nearest(database, around.database_names.iter().map(AsRef::as_ref)) {
        Some(meant) => format!("there is no `[postgres.{database}]`; did you mean `{meant}`?"),
        None => format!("there is no `[postgres.{database}]`; add it, or remove this permission"),
    }
}
