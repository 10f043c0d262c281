//! What a component says it needs, against what its manifest grants.

use crate::grant::{Grants, Mode};

/// The lines to add to `services.NAME.permissions`; empty when all needs are granted.
///
/// Needs grant nothing. Keys this host does not know are no needs it can judge: the imports are
/// compared all the same.
pub fn missing_needs(needs: Option<&str>, grants: &Grants) -> Vec<String> {
    let Some(Ok(needs)) = needs.map(str::parse::<toml::Table>) else { return Vec::new() };
    let mut lines = databases(&needs, grants);
    lines.extend(needs.get("sign").and_then(|sign| tokens(sign, grants)));
    if needs.get("passwords").and_then(toml::Value::as_bool) == Some(true) && grants.passwords().is_err() {
        lines.push("passwords = true".into());
    }
    lines
}

fn databases(needs: &toml::Table, grants: &Grants) -> Vec<String> {
    let Some(toml::Value::Table(databases)) = needs.get("postgres") else { return Vec::new() };
    let mut lines = Vec::new();
    for (name, mode) in databases {
        let needed = if mode.as_str() == Some("read") { Mode::Read } else { Mode::ReadWrite };
        let granted = grants.postgres(name).ok().map(|granted| granted.get().mode);
        if granted.is_none_or(|granted| granted < needed) {
            let mode = if needed == Mode::Read { "read" } else { "read-write" };
            lines.push(format!("postgres = {{ {name} = \"{mode}\" }}"));
        }
    }
    lines
}

/// The signer and the roles; how long tokens may be valid is the operator's own choice.
fn tokens(needed: &toml::Value, grants: &Grants) -> Option<String> {
    let auth = needed.get("auth").and_then(toml::Value::as_str)?;
    let listed = needed.get("roles").and_then(toml::Value::as_array);
    let roles: Vec<&str> = listed.into_iter().flatten().filter_map(toml::Value::as_str).collect();
    let granted = grants.signs().is_some_and(|granted| {
        *granted.auth == *auth && roles.iter().all(|role| granted.roles.iter().any(|granted| **granted == **role))
    });
    if granted {
        return None;
    }
    let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
    Some(format!("sign = {{ auth = {auth:?}, roles = [{}], ttl_max = \"1h\" }}", roles.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::grant::{Permissions, SignGrant};

    #[track_caller]
    fn check(needs: &str, granted: &[(&str, Mode)], lines: &[&str]) {
        let postgres: BTreeMap<_, _> = granted.iter().map(|(name, mode)| ((*name).into(), *mode)).collect();
        let grants =
            Grants::new("users".into(), "shop.toml".into(), Permissions { postgres, ..Permissions::default() });
        assert_eq!(missing_needs(Some(needs), &grants), lines);
    }

    #[test]
    fn exactly_what_is_missing_is_named() {
        let needs = "postgres = { users = \"read-write\", audit = \"read\" }";
        check(needs, &[("users", Mode::ReadWrite), ("audit", Mode::ReadWrite)], &[]);
        check(needs, &[("users", Mode::Read), ("audit", Mode::Read)], &["postgres = { users = \"read-write\" }"]);
        check(needs, &[("users", Mode::ReadWrite)], &["postgres = { audit = \"read\" }"]);
        check("", &[], &[]);
    }

    #[test]
    fn tokens_and_passwords_are_needs_too() {
        let needs = "sign = { auth = \"main\", roles = [\"user\"] }\npasswords = true";
        let lines = ["sign = { auth = \"main\", roles = [\"user\"], ttl_max = \"1h\" }", "passwords = true"];
        check(needs, &[], &lines);
        let grants = |roles: &[&str]| {
            let roles = roles.iter().map(|role| (*role).into()).collect();
            let sign = SignGrant { auth: "main".into(), roles, ttl_max: Duration::from_secs(60) };
            let permissions = Permissions { sign: Some(sign), passwords: true, ..Permissions::default() };
            Grants::new("users".into(), "shop.toml".into(), permissions)
        };
        assert_eq!(missing_needs(Some(needs), &grants(&["user", "admin"])), Vec::<String>::new());
        assert_eq!(missing_needs(Some(needs), &grants(&["admin"])), lines[..1]);
    }
}
