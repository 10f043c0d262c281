//! Permissions that an operator accepted together with a build, beyond what the manifest grants.
//!
//! They are exactly the lines that the build's own needs lack, they hold for its service until the
//! manifest grants them too or its file names another component, and they are written down with who
//! accepted them and when. Names that the manifest does not have stay refused, and so do events: the
//! manifest alone says who takes part in them. The ceiling is asked again at each start, and takes back
//! what it does not allow any more. What is called up here are values; whoever starts a
//! service asks for them.

use std::{collections::BTreeMap, sync::Arc};

use super::{beyond_ceiling, missing_needs};
use crate::component::{self, Accepted, Digest, Histories};
use grant::{
    Mode, Permissions, SignGrant,
    call::CallScope,
    keyvalue::KeyValueScope,
    net::{NetAllow, NetPattern},
};
use manifest::{DatabasePlace, Manifest, ServiceSettings, ttl};

/// `manifest` with what was accepted for its services.
///
/// What does not hold any more is left out: the manifest grants it, it names another component
/// file than when it was accepted, or a name in it is gone.
pub fn accepted(mut manifest: Manifest, histories: &Histories) -> (Manifest, Gone) {
    let as_written = manifest.clone();
    let mut gone = Gone::default();
    for settings in manifest.services.values_mut() {
        let mut kept = Vec::new();
        let before = histories.of(&settings.name).accepted;
        for accepted in holding(settings, histories) {
            // Kept, for another ceiling may allow it at another start.
            if !beyond_ceiling(std::slice::from_ref(&accepted.line), &settings.grants).is_empty() {
                let (service, line) = (&settings.name, &accepted.line);
                tracing::warn!(%service, line, "the operator's ceiling does not allow an accepted permission; it is not given");
                kept.push(accepted);
                continue;
            }
            match widened(settings, std::slice::from_ref(&accepted.line), &as_written) {
                Ok(wider) => {
                    *settings = wider;
                    kept.push(accepted);
                }
                Err(reason) => {
                    let (service, line) = (&settings.name, &accepted.line);
                    tracing::warn!(%service, line, reason, "an accepted permission is not given any more");
                }
            }
        }
        let over = before.into_iter().filter(|accepted| !kept.contains(accepted)).collect();
        gone.0.insert(settings.name.clone(), over);
    }
    (manifest, gone)
}

/// What was accepted and does not hold any more, by service.
#[derive(Default)]
pub struct Gone(BTreeMap<Arc<str>, Vec<Accepted>>);

impl Gone {
    /// Forgets it, once the manifest runs. Blocking; a failure is only a warning, for the same is
    /// found out again.
    pub fn settle(self, histories: &Histories) {
        for (service, gone) in self.0.into_iter().filter(|(_, gone)| !gone.is_empty()) {
            let forget = |history: &mut component::History| history.accepted.retain(|one| !gone.contains(one));
            if let Err(error) = histories.change(&service, None, forget) {
                tracing::warn!(%service, %error, "an accepted permission that is not needed any more cannot be forgotten");
            }
        }
    }
}

/// What was accepted for a service and is still beyond `settings`.
fn holding(settings: &ServiceSettings, histories: &Histories) -> Vec<Accepted> {
    let history = histories.of(&settings.name);
    if history.accepted.is_empty() {
        return Vec::new();
    }
    let file = component::read(&settings.component, None).ok().map(|wasm| Digest::of(&wasm));
    if file != history.file {
        return Vec::new();
    }
    let lacks = |accepted: &Accepted| !missing_needs(Some(&accepted.line), &settings.grants).is_empty();
    history.accepted.into_iter().filter(lacks).collect()
}

/// `settings` with the permissions of `lines`, as a manifest would write them.
///
/// # Errors
/// A line that names something the manifest does not have, or that no manifest could have.
pub fn widened(settings: &ServiceSettings, lines: &[String], manifest: &Manifest) -> Result<ServiceSettings, String> {
    let mut permissions = settings.grants.written().clone();
    for line in lines {
        let table: toml::Table = line.parse().map_err(|_| format!("`{line}` is no permission"))?;
        for (key, value) in &table {
            add(&mut permissions, key, value, manifest).map_err(|reason| format!("`{line}`: {reason}"))?;
        }
    }
    let grants = settings.grants.with(permissions);
    if let (Some(ceiling), Some(line)) = (grants.ceiling(), beyond_ceiling(lines, &grants).first()) {
        return Err(format!("`{line}`: the operator's ceiling {} does not allow it", ceiling.file().display()));
    }
    Ok(ServiceSettings { grants: Arc::new(grants), ..settings.clone() })
}

fn add(permissions: &mut Permissions, key: &str, value: &toml::Value, manifest: &Manifest) -> Result<(), String> {
    match key {
        "postgres" => {
            for (name, mode) in table(value)? {
                let (name, settings) =
                    manifest.databases.get_key_value(name.as_str()).ok_or_else(|| unknown("postgres", name))?;
                let mode = mode_of(mode);
                if mode == Mode::ReadWrite && !permissions.publish.is_empty() {
                    return Err(
                        "`read-write` of a service that publishes can be granted in the manifest only".to_owned()
                    );
                }
                if let (Mode::Read, DatabasePlace::External { url_read: None, .. }) = (mode, &settings.place) {
                    return Err(format!("`read` needs `url_read` in `[postgres.{name}]`"));
                }
                permissions.postgres.insert(name.clone(), mode);
            }
        }
        "keyvalue" => {
            for (name, mode) in table(value)? {
                let (name, _) =
                    manifest.keyvalue.get_key_value(name.as_str()).ok_or_else(|| unknown("keyvalue", name))?;
                let prefix = permissions.keyvalue.get(name).map_or_else(|| "".into(), |scope| scope.prefix.clone());
                permissions.keyvalue.insert(name.clone(), KeyValueScope { prefix, mode: mode_of(mode) });
            }
        }
        "passwords" => permissions.passwords |= value.as_bool() == Some(true),
        "sign" => permissions.sign = Some(sign(permissions.sign.take(), table(value)?, manifest)?),
        "call" if value.is_table() => {
            for (name, requests) in table(value)? {
                let (name, _) = manifest.services.get_key_value(&**name).ok_or_else(|| unknown("services", name))?;
                let mut more = Vec::new();
                for request in texts(requests)? {
                    more.push(request.parse().map_err(|error| format!("{error}"))?);
                }
                match permissions.call.entry(name.clone()).or_insert_with(|| CallScope::Only(Vec::new())) {
                    CallScope::Whole => {}
                    CallScope::Only(known) => known.extend(more),
                }
            }
        }
        "call" => {
            for name in texts(value)? {
                let (name, _) = manifest.services.get_key_value(name).ok_or_else(|| unknown("services", name))?;
                permissions.call.insert(name.clone(), CallScope::Whole);
            }
        }
        "net" => {
            let mut more = Vec::new();
            for entry in texts(value)? {
                let entry: NetPattern = entry.parse().map_err(|error| format!("{error}"))?;
                if permissions.net.denies(&entry) {
                    return Err(format!("`net.deny` of the manifest covers \"{entry}\""));
                }
                more.push(entry);
            }
            if let NetAllow::Only(known) = &permissions.net.allow {
                permissions.net.allow = NetAllow::Only(known.iter().cloned().chain(more).collect());
            }
        }
        other => return Err(format!("`{other}` can be granted in the manifest only")),
    }
    Ok(())
}

/// The roles that are there already stay.
fn sign(known: Option<SignGrant>, wanted: &toml::Table, manifest: &Manifest) -> Result<SignGrant, String> {
    let name = wanted.get("auth").and_then(toml::Value::as_str).unwrap_or_default();
    let (auth, settings) = manifest.issuers.get_key_value(name).ok_or_else(|| unknown("auth", name))?;
    if !settings.keys.can_sign() {
        return Err(format!("`[auth.{name}]` has keys that only verify"));
    }
    if let Some(other) = known.as_ref().filter(|known| known.auth != *auth) {
        return Err(format!("the service signs for `{}` already", other.auth));
    }
    let ttl_max = wanted.get("ttl_max").and_then(toml::Value::as_str).unwrap_or("1h");
    let mut grant = match known {
        Some(known) => known,
        None => SignGrant { auth: auth.clone(), roles: Vec::new(), ttl_max: ttl(ttl_max)? },
    };
    for role in wanted.get("roles").map(texts).transpose()?.unwrap_or_default() {
        if !grant.roles.iter().any(|known| **known == *role) {
            grant.roles.push(role.into());
        }
    }
    Ok(grant)
}

fn mode_of(value: &toml::Value) -> Mode {
    let word = value.get("mode").and_then(toml::Value::as_str).or(value.as_str());
    if word == Some("read") { Mode::Read } else { Mode::ReadWrite }
}

fn table(value: &toml::Value) -> Result<&toml::Table, String> {
    value.as_table().ok_or_else(|| "is no table".to_owned())
}

fn texts(value: &toml::Value) -> Result<Vec<&str>, String> {
    let items = value.as_array().ok_or("is no list")?;
    items.iter().map(|item| item.as_str().ok_or_else(|| "holds something else than texts".to_owned())).collect()
}

fn unknown(kind: &str, name: &str) -> String {
    format!("the manifest has no `[{kind}.{name}]`; a name must be there before it can be granted")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use manifest::Environment;

    #[test]
    fn what_was_accepted_and_does_not_hold_is_forgotten_only_once_the_manifest_runs() {
        let folder = tempfile::tempdir().unwrap();
        let wasm = b"a build";
        fs::write(folder.path().join("users.wasm"), wasm).unwrap();
        let file = folder.path().join("shop.toml");
        let histories = Histories::open(folder.path()).unwrap();
        let line = "keyvalue = { sessions = \"read\" }";
        let accepted_line = Accepted { line: line.to_owned(), by: "ci".to_owned(), at: String::new() };
        let accept = |history: &mut component::History| {
            history.file = Some(Digest::of(wasm));
            history.accepted = vec![accepted_line];
        };
        histories.change("users", None, accept).unwrap();
        let load = |rest: &str| {
            let text = format!("name = \"shop\"\n[services.users]\ncomponent = \"users.wasm\"\n{rest}");
            fs::write(&file, text).unwrap();
            Manifest::load(&file, &Environment::default()).unwrap_or_else(|problems| panic!("{problems}")).manifest
        };
        let stores = |manifest: &Manifest| manifest.services["users"].grants.stores().count();

        let (holds, gone) = accepted(load("[redis.main]\n[keyvalue.sessions]\nredis = \"main\"\n"), &histories);
        gone.settle(&histories);
        assert_eq!((stores(&holds), histories.of("users").accepted.len()), (1, 1));

        // The name is gone; a start that fails after this remembers what was accepted.
        let (without, gone) = accepted(load(""), &histories);
        assert_eq!(stores(&without), 0);
        drop(gone);
        assert_eq!(histories.of("users").accepted.len(), 1);
        let (_, gone) = accepted(load(""), &histories);
        gone.settle(&histories);
        assert!(histories.of("users").accepted.is_empty());
    }

    #[test]
    fn what_the_manifest_denies_cannot_be_accepted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("users.wasm"), b"a build").unwrap();
        let file = folder.path().join("shop.toml");
        let text = "name = \"shop\"\n[services.users]\ncomponent = \"users.wasm\"\n\
                    permissions.net = { allow = [\"a.example\"], deny = [\"10.0.0.0/8\"] }\n";
        fs::write(&file, text).unwrap();
        let manifest = Manifest::load(&file, &Environment::default()).unwrap().manifest;
        let accept = |line: &str| widened(&manifest.services["users"], &[line.to_owned()], &manifest);
        assert!(accept("net = [\"192.168.1.1:80\"]").is_ok());
        let refused = accept("net = [\"10.1.2.3:8080\"]").unwrap_err();
        assert!(refused.contains("`net.deny` of the manifest covers \"10.1.2.3:8080\""), "{refused}");
    }
}
