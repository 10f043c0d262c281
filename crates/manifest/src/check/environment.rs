//! The variables a service sees: `permissions.env` decides which, `env` sets values.

use std::collections::BTreeMap;

use super::Check;
use crate::raw::{Named, RawEnv};
use document::source::Key;
use grant::env::{EnvGrant, EnvPattern};

/// Values of the host's environment for granted names, then those that the manifest sets.
///
/// `key` is the service's. All databases must have been checked: their variables are reserved.
pub(super) fn environment(
    check: &mut Check<'_>,
    key: &Key<'_>,
    permission: Option<RawEnv>,
    set: Named<String>,
) -> BTreeMap<String, String> {
    let grant = grant(check, &key.child("permissions").child("env"), permission);
    let mut visible = BTreeMap::new();
    for (name, value) in check.env {
        if grant.allows(name) && !check.reserved.contains(name) {
            visible.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in set {
        let key = key.child("env").child(&name);
        if let Some(fix) = refusal(&grant, &name) {
            check.wrong(&key, fix);
        } else if value.contains('\0') {
            check.wrong(&key, "has a NUL character, which no variable can hold; remove it");
        }
        visible.insert(name, value);
    }
    visible
}

fn refusal(grant: &EnvGrant, name: &str) -> Option<String> {
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

fn grant(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawEnv>) -> EnvGrant {
    match raw {
        None => EnvGrant::default(),
        Some(RawEnv::Allow(allow)) => EnvGrant { allow: allowed(check, key, &allow), deny: Vec::new() },
        Some(RawEnv::Lists(lists)) => EnvGrant {
            allow: allowed(check, &key.child("allow"), &lists.allow),
            deny: patterns(check, &key.child("deny"), &lists.deny).into_iter().map(|(_, pattern)| pattern).collect(),
        },
    }
}

fn allowed(check: &mut Check<'_>, key: &Key<'_>, texts: &[String]) -> Vec<EnvPattern> {
    let mut allowed = Vec::new();
    for (index, pattern) in patterns(check, key, texts) {
        let secret = check.reserved.iter().find(|name| pattern.matches(name)).cloned();
        match (secret, pattern.exact()) {
            (Some(name), Some(_)) => check.wrong(
                &key.item(index),
                format_args!("`{name}` is read by this manifest itself and cannot be granted; remove it"),
            ),
            (Some(name), None) => check.warn(
                &key.item(index),
                format_args!("`{pattern}` also covers `{name}`, which this manifest itself reads; the service does not see that one"),
            ),
            (None, _) => {}
        }
        allowed.push(pattern);
    }
    allowed
}

fn patterns(check: &mut Check<'_>, key: &Key<'_>, texts: &[String]) -> Vec<(usize, EnvPattern)> {
    let parse = |(index, text): (usize, &String)| Some((index, check.keep(&key.item(index), text.parse())?));
    texts.iter().enumerate().filter_map(parse).collect()
}
