//! What a component says it needs, against what its manifest grants.

use crate::grant::{Grants, Mode};

/// The lines to add to `services.NAME.permissions`; empty when all needs are granted.
///
/// Needs grant nothing. Keys this host does not know are no needs it can judge: the imports are
/// compared all the same.
pub fn missing_needs(needs: Option<&str>, grants: &Grants) -> Vec<String> {
    let Some(Ok(needs)) = needs.map(str::parse::<toml::Table>) else { return Vec::new() };
    let mut lines = databases(&needs, grants);
    let missing = |key: &str, granted: &dyn Fn(&str) -> bool| {
        let all = needs.get(key).and_then(toml::Value::as_array).into_iter().flatten();
        let one = all.filter_map(toml::Value::as_str).filter(|one| !granted(one));
        let list: Vec<String> = one.map(|one| format!("\"{one}\"")).collect();
        (!list.is_empty()).then(|| format!("{key} = [{}]", list.join(", ")))
    };
    lines.extend(missing("call", &|callee| grants.callees().any(|granted| &**granted == callee)));
    lines.extend(missing("net", &|entry| grants.covers(entry)));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::grant::{
        Permissions,
        net::{NetAllow, NetPermission},
    };

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
        check(
            "call = [\"products\"]\nnet = [\"a.example:443\", \"*.b.example:443\"]",
            &[],
            &["call = [\"products\"]", "net = [\"a.example:443\", \"*.b.example:443\"]"],
        );
    }

    #[test]
    fn a_need_to_dial_is_met_by_the_same_entry_or_by_one_that_allows_its_host() {
        let allow = ["*.example.com:443", "10.0.0.0/8"].map(|entry| entry.parse().unwrap());
        let net = NetPermission { allow: NetAllow::Only(allow.into()), ..NetPermission::default() };
        let grants = Grants::new("a".into(), "a.toml".into(), Permissions { net, ..Permissions::default() });
        let needs = "net = [\"api.example.com:443\", \"*.example.com:443\", \"api.example.com:80\", \"10.0.0.0/8\"]";
        assert_eq!(missing_needs(Some(needs), &grants), ["net = [\"api.example.com:80\"]"]);
    }
}
