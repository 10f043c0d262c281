//! Permissions that an operator accepted together with a build, beyond what the manifest grants.
//!
//! They are exactly the lines that the build's own needs lack, they hold for its service until the
//! manifest grants them too or its file names another component, and they are written down with who
//! accepted them and when. Names that the manifest does not have stay refused, and so do events: the
//! manifest alone says who takes part in them, who signs tokens and who hashes passwords. The ceiling is asked again at each start, and takes back
//! what it does not allow any more. What is called up here are values; whoever starts a
//! service asks for them.

use std::{collections::BTreeMap, sync::Arc};

use crate::component::{self, Accepted, Digest, Histories};
use grant::{Mode, Permissions};
use manifest::{Manifest, ServiceSettings};

/// What an operator may accept; everything else is granted in the manifest only: who may sign tokens or
/// handle passwords can become anybody.
const ACCEPTABLE: [&str; 4] = ["postgres", "keyvalue", "call", "net"];

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
            let beyond = settings.grants.beyond_ceiling(&permissions(&accepted.line).unwrap_or_default());
            if beyond != Permissions::default() {
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
    let lacks = |accepted: &Accepted| lacks(settings, &accepted.line);
    history.accepted.into_iter().filter(lacks).collect()
}

/// Whether `settings` lack something of an accepted line.
pub fn lacks(settings: &ServiceSettings, line: &str) -> bool {
    permissions(line).map_or(true, |needs| settings.grants.lacking(&needs) != Permissions::default())
}

fn permissions(line: &str) -> Result<Permissions, String> {
    Permissions::needs(line).map_err(|problems| format!("`{line}` is no permission: {}", problems.join("; ")))
}

/// `settings` with the permissions of `lines`, as a manifest would write them.
///
/// # Errors
/// A line that names something the manifest does not have, or that no manifest could have.
pub fn widened(settings: &ServiceSettings, lines: &[String], manifest: &Manifest) -> Result<ServiceSettings, String> {
    let mut written = settings.grants.written().clone();
    for line in lines {
        let more = permissions(line)?;
        let refused = |reason: String| format!("`{line}`: {reason}");
        acceptable(&more, &written).map_err(refused)?;
        manifest.has_what_it_names(&more).map_err(refused)?;
        written = written.plus(&more);
        let denied = written.lacking(&more).lines().join(", ");
        if !denied.is_empty() {
            return Err(refused(format!("the manifest stands against it: {denied}")));
        }
    }
    let grants = settings.grants.with(written);
    for line in lines {
        let beyond = grants.beyond_ceiling(&permissions(line)?);
        if let (Some(ceiling), Some(line)) = (grants.ceiling(), beyond.lines().first()) {
            return Err(format!("`{line}`: the operator's ceiling {} does not allow it", ceiling.file().display()));
        }
    }
    Ok(ServiceSettings { grants: Arc::new(grants), ..settings.clone() })
}

fn acceptable(more: &Permissions, written: &Permissions) -> Result<(), String> {
    if let Some(kind) = more.kinds().into_iter().find(|kind| !ACCEPTABLE.contains(kind)) {
        return Err(format!("`{kind}` can be granted in the manifest only"));
    }
    if more.net.is_everything() {
        return Err("`net = true` can be granted in the manifest only".to_owned());
    }
    let writes = more.postgres.0.values().any(|mode| *mode == Mode::ReadWrite);
    match writes && !written.publish.0.is_empty() {
        true => Err("`read-write` of a service that publishes can be granted in the manifest only".to_owned()),
        false => Ok(()),
    }
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
        assert!(refused.contains("the manifest stands against it: net = [\"10.1.2.3:8080\"]"), "{refused}");
    }
}
