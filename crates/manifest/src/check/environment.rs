//! The variables a service sees: `permissions.env` decides which, `env` sets values.

use std::collections::BTreeMap;

use super::Check;
use crate::raw::Named;
use document::source::Key;
use grant::env::{Env, EnvPattern};

/// Values of the host's environment for granted names, then those that the manifest sets.
///
/// `key` is the service's. All databases must have been checked: their variables are reserved.
pub(super) fn environment(
    check: &mut Check<'_>,
    key: &Key<'_>,
    grant: &Env,
    set: Named<String>,
) -> BTreeMap<String, String> {
    let mut visible = BTreeMap::new();
    for (name, value) in check.env {
        if grant.allows(name) && !check.reserved.contains(name) {
            visible.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in set {
        let key = key.child("env").child(&name);
        if let Some(fix) = refusal(grant, &name) {
            check.wrong(&key, fix);
        } else if value.contains('\0') {
            check.wrong(&key, "has a NUL character, which no variable can hold; remove it");
        }
        visible.insert(name, value);
    }
    visible
}

fn refusal(grant: &Env, name: &str) -> Option<String> {
    let pattern = name.parse::<EnvPattern>().map_err(|error| error.to_string());
    match pattern {
        Err(error) => Some(error),
        Ok(pattern) if pattern.exact().is_none() => {
            Some(format!("`{name}` is no name of a variable; write it without `*`"))
        }
        Ok(_) if grant.allows(name) => None,
        Ok(_) if grant.deny.iter().any(|deny| deny.matches(name)) => {
            Some("is denied by `permissions.env`, so the service would not see it; remove one of the two".into())
        }
        Ok(_) => Some(format!("is not granted, so the service would not see it; add \"{name}\" to `permissions.env`")),
    }
}

/// What the manifest itself reads is nobody else's: `key` is that of `permissions.env`.
pub(crate) fn reserve(check: &mut Check<'_>, key: &Key<'_>, env: &Env) {
    let allow = key.child("allow");
    let list = if allow.is_written() { allow } else { key.clone() };
    for (index, pattern) in env.allow.iter().enumerate() {
        let key = list.item(index);
        let secret = check.reserved.iter().find(|name| pattern.matches(name)).cloned();
        match (secret, pattern.exact()) {
            (Some(name), Some(_)) => check.wrong(
                &key,
                format_args!("`{name}` is read by this manifest itself and cannot be granted; remove it"),
            ),
            (Some(name), None) => check.warn(
                &key,
                format_args!("`{pattern}` also covers `{name}`, which this manifest itself reads; the service does not see that one"),
            ),
            (None, _) => {}
        }
    }
}
