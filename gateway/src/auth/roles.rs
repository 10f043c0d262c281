//! Where a token says which roles its subject has: `roles` of ours, `realm_access.roles` of others.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value, json};

const TEXT_BYTES_MAX: usize = 255;
const DEPTH_MAX: usize = 8;
/// Where our own tokens have them.
const USUAL: &str = "roles";

/// The claim that has the roles: the name of one, or names with dots between for one within others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolesClaim(String);

/// Why a text names no claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no claim; write it like `roles` or `realm_access.roles`")]
pub struct NoClaim(String);

impl Default for RolesClaim {
    fn default() -> Self {
        Self(USUAL.to_owned())
    }
}

impl FromStr for RolesClaim {
    type Err = NoClaim;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
        let is_path = text.split('.').all(is_name) && text.split('.').count() <= DEPTH_MAX;
        match is_path && text.len() <= TEXT_BYTES_MAX {
            true => Ok(Self(text.to_owned())),
            false => Err(NoClaim(text.to_owned())),
        }
    }
}

impl fmt::Display for RolesClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RolesClaim {
    /// The roles in `claims`; none where there is no such claim. A claim that was named may also be one
    /// text with spaces between, as `scope` is.
    ///
    /// # Errors
    /// The reason for which the token is refused: it is something else.
    pub(super) fn read<'a>(&self, claims: &'a Map<String, Value>) -> Result<Vec<&'a str>, &'static str> {
        let wrong = "the signature is right, but its roles are no list of texts";
        match self.find(claims) {
            None => Ok(Vec::new()),
            Some(Value::Array(roles)) => roles.iter().map(Value::as_str).collect::<Option<_>>().ok_or(wrong),
            Some(Value::String(roles)) if self.0 != USUAL => Ok(roles.split_ascii_whitespace().collect()),
            Some(_) => Err(wrong),
        }
    }

    /// By its whole name before by its parts: some names are addresses, with dots in them.
    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(value) = claims.get(&self.0) {
            return Some(value);
        }
        let mut parts = self.0.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// Says `roles` where they are read.
    pub fn write(&self, claims: &mut Map<String, Value>, roles: &[String]) {
        let mut parts = self.0.split('.').rev();
        let Some(last) = parts.next() else { return };
        let (mut name, mut value) = (last, json!(roles));
        for part in parts {
            value = json!({ name: value });
            name = part;
        }
        claims.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(claim: &str, claims: Value, roles: Option<&[&str]>) {
        let claim: RolesClaim = claim.parse().unwrap();
        let Value::Object(claims) = claims else { panic!("{claims}") };
        assert_eq!(claim.read(&claims).ok().as_deref(), roles, "{claim} in {claims:?}");
    }

    #[test]
    fn roles_are_found_where_others_keep_them() {
        check("roles", json!({ "roles": ["user", "admin"] }), Some(&["user", "admin"]));
        check("realm_access.roles", json!({ "realm_access": { "roles": ["user"] } }), Some(&["user"]));
        check("https://shop.example/roles", json!({ "https://shop.example/roles": ["user"] }), Some(&["user"]));
        check("a.b.c", json!({ "a": { "b": { "c": ["user"] } } }), Some(&["user"]));
        check("scope", json!({ "scope": "read write" }), Some(&["read", "write"]));
        check("groups", json!({ "roles": ["admin"] }), Some(&[]));
        check("realm_access.roles", json!({ "realm_access": "admin", "roles": ["admin"] }), Some(&[]));
        check("realm_access.roles", json!({ "realm_access": { "roles": { "admin": true } } }), None);
        check("scope", json!({ "scope": [1] }), None);
        check("roles", json!({ "roles": "admin" }), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["roles", "realm_access.roles", "https://shop.example/roles", "a.b.c"] {
            let (claim, mut claims): (RolesClaim, _) = (text.parse().unwrap(), Map::new());
            claim.write(&mut claims, &["user".to_owned(), "admin".to_owned()]);
            assert_eq!(claim.read(&claims).unwrap(), ["user", "admin"], "{claims:?}");
            assert_eq!(claim.to_string(), text);
        }
        for wrong in ["", ".", "a.", ".a", "a..b", "a\nb", "a.b.c.d.e.f.g.h.i", &"a".repeat(256)] {
            assert!(wrong.parse::<RolesClaim>().is_err(), "{wrong:?}");
        }
    }
}
