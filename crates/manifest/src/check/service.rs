//! `[services.NAME]`: the component, what it may reach and what it may use up.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    Check,
    environment::{environment, reserve},
    events,
    folder::folders,
    limits::limits,
    secrets::SecretsByName,
    swap::{self, health_path},
    upstream::only_with_url,
};
use crate::{
    HostSettings, Remote, ServiceSettings, defaults,
    names::{There, misfits},
    raw::RawService,
    settings::pulled,
};
use document::name::check as name;
use document::{source::Key, structure::nearest};
use grant::{Grants, Permissions, RawPermissions};

/// What services are checked against.
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a HostSettings,
    pub(crate) there: &'a There<'a>,
    /// `[permission-sets]`, by name.
    pub(crate) sets: &'a BTreeMap<Arc<str>, Permissions>,
    /// Those of `[secrets]` without mistakes.
    pub(crate) secrets: &'a SecretsByName,
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
    only_with_url(check, key);
    let version = raw.version.unwrap_or_else(|| defaults::VERSION.into());
    check.keep(&key.child("version"), version_is_right(&version));
    let permissions = permissions(check, &key.child("permissions"), raw.permissions, around);
    let health = raw.health.and_then(|raw| {
        let key = key.child("health").child("path");
        let path = check.required(&key, raw.path, "/health")?;
        check.keep(&key, health_path(path))
    });
    let (component, remote) = place(check, &key.child("component"), &component, around.host);
    if remote.is_some() && raw.build.is_some() {
        check.wrong(&key.child("build"), "is for a component that is a file; what is fetched is built elsewhere");
    }
    ServiceSettings {
        remote,
        env: environment(check, key, &permissions.env, raw.env),
        secrets: granted_secrets(&permissions, around.secrets),
        grants: Arc::new(Grants::new(service.clone(), key.file().into(), permissions)),
        name: service,
        component,
        build: raw.build,
        version,
        limits: limits(check, &key.child("limits"), raw.limits, around.host),
        health_path: health,
        ramp: swap::ramp(check, &key.child("swap"), &raw.swap),
        smoke: swap::smoke(check, &key.child("swap").child("smoke"), raw.swap.smoke),
        events: events::consumer(check, &key.child("events"), raw.events),
    }
}

/// The component's file, and what is fetched as that where it is none of this machine's own.
fn place(check: &mut Check<'_>, key: &Key<'_>, written: &str, host: &HostSettings) -> (PathBuf, Option<Remote>) {
    if !Remote::is_meant(written) {
        return (check.path(key, written).unwrap_or_default(), None);
    }
    let remote = written.parse::<Remote>().map_err(|reason| format!("`{written}` {reason}"));
    let remote = remote.and_then(|remote| match &remote {
        Remote::Address { .. } if !host.signed_by.is_empty() => Err(format!(
            "`{written}` has no signature, and `host.import.signed_by` wants one; put it into a registry, sign it there, and write `oci://…`"
        )),
        _ => Ok(remote),
    });
    match check.keep(key, remote) {
        Some(remote) => (pulled(&host.data).join(remote.file_name()), Some(remote)),
        None => (PathBuf::new(), None),
    }
}

/// What a service is granted: its own words, and those of the set that it uses.
fn permissions(check: &mut Check<'_>, key: &Key<'_>, raw: RawPermissions, around: &Surroundings<'_>) -> Permissions {
    let used = raw.used.clone();
    let own = Permissions::read(raw, key, &mut check.reading(around.host.allow_unrestricted));
    let set = used.and_then(|name| known_set(check, &key.child("use"), &name, around.sets));
    let mut permissions = set.map_or_else(|| own.clone(), |set| own.plus(set));
    for misfit in misfits(&permissions, around.there) {
        let key = key.child(misfit.key);
        // In a list the name has no key of its own: the list's is near enough.
        let named = misfit.name.map(|name| key.child(&name)).filter(Key::is_written);
        check.wrong(named.as_ref().unwrap_or(&key), misfit.message);
    }
    reserve(check, &key.child("env"), &permissions.env);
    folders(check, key, &mut permissions, around.host);
    permissions
}

fn granted_secrets(permissions: &Permissions, all: &SecretsByName) -> SecretsByName {
    let granted = permissions.secrets.0.iter().filter_map(|name| all.get_key_value(name));
    granted.map(|(name, settings)| (name.clone(), settings.clone())).collect()
}

fn known_set<'a>(
    check: &mut Check<'_>,
    key: &Key<'_>,
    name: &str,
    sets: &'a BTreeMap<Arc<str>, Permissions>,
) -> Option<&'a Permissions> {
    let set = sets.get(name);
    if set.is_none() {
        match nearest(name, sets.keys().map(AsRef::as_ref)) {
            Some(meant) => {
                check.wrong(key, format_args!("there is no `[permission-sets.{name}]`; did you mean `{meant}`?"))
            }
            None => check.wrong(key, format_args!("there is no `[permission-sets.{name}]`; add it, or remove this")),
        }
    }
    set
}

/// `[permission-sets.NAME]`.
pub(crate) fn set(check: &mut Check<'_>, key: &Key<'_>, raw: RawPermissions, unrestricted: bool) -> Permissions {
    check.keep(key, name(key.name()));
    if raw.used.is_some() {
        check.wrong(&key.child("use"), "a set uses no other set; write here what it would add");
    }
    Permissions::read(raw, key, &mut check.reading(unrestricted))
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
