//! What a component says it needs, against what its manifest grants.

use crate::grant::{Grants, Mode};

/// The lines to add to `services.NAME.permissions`; empty when all needs are granted.
///
/// Needs grant nothing. Keys this host does not know are no needs it can judge: the imports are
/// compared all the same.
pub fn missing_needs(needs: Option<&str>, grants: &Grants) -> Vec<String> {
    let Some(Ok(needs)) = needs.map(str::parse::<toml::Table>) else { return Vec::new() };
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
    use crate::grant::Permissions;

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
}
