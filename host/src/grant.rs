//! Decides what a component may reach.
//!
//! A [`Grants`] is built once from a manifest and never changes while its generation runs.
//! Nothing in this module performs I/O. A decision that says yes is a [`Granted`] value, which
//! the backends demand; a decision that says no names the line that would allow it.

pub mod call;
mod denial;
pub mod env;
pub mod keyvalue;
pub mod net;
pub mod topic;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use denial::{Denial, Fix};

/// Something that has passed its grant check. Only this module can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T>(T);

impl<T> Granted<T> {
    pub fn get(&self) -> &T {
        &self.0
    }
}

/// What one service may reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Grants {
    service: Arc<str>,
    /// The file to edit, for messages.
    manifest: PathBuf,
    permissions: Permissions,
}

/// What a manifest grants to one service, in checked form. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Permissions {
    pub postgres: BTreeMap<Arc<str>, Mode>,
    pub sign: Option<SignGrant>,
    pub passwords: bool,
    /// Services it may call.
    pub call: BTreeMap<Arc<str>, call::CallScope>,
    /// What it may reach outside.
    pub net: net::NetPermission,
    /// Key-value stores by name.
    pub keyvalue: BTreeMap<Arc<str>, keyvalue::KeyValueScope>,
    pub publish: Vec<topic::TopicPattern>,
    /// What it handles.
    pub subscribe: Vec<topic::TopicPattern>,
}

/// Which tokens a service may have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignGrant {
    pub auth: Arc<str>,
    pub roles: Vec<Arc<str>>,
    pub ttl_max: Duration,
}

/// A token that may be signed, by the name of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    pub auth: Arc<str>,
    pub roles: Vec<String>,
    pub ttl: Duration,
}

/// The use of password hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passwords;

/// How a service may use a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    Read,
    ReadWrite,
}

/// A database as one service may use it: the key of its role and its pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseGrant {
    pub service: Arc<str>,
    pub database: Arc<str>,
    pub mode: Mode,
}

/// A refusal. The guest sees only that it was refused; this text is for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{service}` may not use {what}; to allow it, add {line} to `services.{service}.permissions` in {}", .manifest.display())]
pub struct Denied {
    pub service: Arc<str>,
    pub what: String,
    pub line: String,
    pub manifest: PathBuf,
}

impl Grants {
    pub fn new(service: Arc<str>, manifest: PathBuf, permissions: Permissions) -> Self {
        Self { service, manifest, permissions }
    }

    /// All of them, for whoever makes other grants of them.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// The file that grants, for messages.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// The databases this service may use, by name.
    pub fn databases(&self) -> impl Iterator<Item = Granted<DatabaseGrant>> + '_ {
        self.permissions.postgres.iter().map(|(database, mode)| self.granted(database, *mode))
    }

    /// Every permission in a word or two, for people: `postgres users (read)`.
    pub fn list(&self) -> Vec<String> {
        let databases = self.permissions.postgres.iter().map(|(database, mode)| {
            let mode = if *mode == Mode::Read { "read" } else { "read-write" };
            format!("postgres {database} ({mode})")
        });
        let sign = self.signs().map(|sign| match sign.roles.is_empty() {
            true => format!("sign {}", sign.auth),
            false => format!("sign {} ({})", sign.auth, sign.roles.join(", ")),
        });
        let passwords = self.permissions.passwords.then(|| "passwords".to_owned());
        let net = match &self.permissions.net.allow {
            net::NetAllow::Everything => vec!["net: everything".to_owned()],
            net::NetAllow::Only(allow) => allow.iter().map(|entry| format!("net {entry}")).collect(),
        };
        let calls = self.callees().map(|callee| format!("call {callee}"));
        let stores = self.permissions.keyvalue.iter().map(|(store, scope)| match (scope.mode, &*scope.prefix) {
            (Mode::Read, "") => format!("keyvalue {store} (read)"),
            (Mode::ReadWrite, "") => format!("keyvalue {store} (read-write)"),
            (Mode::Read, prefix) => format!("keyvalue {store} (read, {prefix}…)"),
            (Mode::ReadWrite, prefix) => format!("keyvalue {store} (read-write, {prefix}…)"),
        });
        let publish = self.permissions.publish.iter().map(|topic| format!("publish {topic}"));
        let subscribe = self.permissions.subscribe.iter().map(|topic| format!("subscribe {topic}"));
        let inside = databases.chain(stores).chain(publish).chain(subscribe).chain(sign).chain(passwords);
        inside.chain(calls).chain(net).collect()
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this database to this service.
    pub fn postgres(&self, database: &str) -> Result<Granted<DatabaseGrant>, Denied> {
        match self.permissions.postgres.get_key_value(database) {
            Some((database, mode)) => Ok(self.granted(database, *mode)),
            None => Err(Denied {
                service: self.service.clone(),
                what: format!("the database `{database}`"),
                line: format!("`postgres = {{ {database} = \"read-write\" }}`"),
                manifest: self.manifest.clone(),
            }),
        }
    }

    /// Whether a token of `auth` with these roles and this lifetime may be signed.
    ///
    /// # Errors
    /// [`Denied`] with the whole line that would allow it.
    pub fn sign(&self, auth: &str, roles: Vec<String>, ttl: Duration) -> Result<Granted<Signing>, Denied> {
        let Some(grant) = self.permissions.sign.as_ref().filter(|grant| &*grant.auth == auth) else {
            return Err(self.no_sign(format!("the signer `{auth}`"), auth, &roles, ttl));
        };
        let granted = |role: &String| grant.roles.iter().any(|granted| **granted == **role);
        if let Some(role) = roles.iter().find(|role| !granted(role)) {
            let mut all: Vec<String> = grant.roles.iter().map(ToString::to_string).collect();
            all.push(role.clone());
            return Err(self.no_sign(format!("the role `{role}` in tokens"), auth, &all, grant.ttl_max));
        }
        if ttl > grant.ttl_max {
            let all: Vec<String> = grant.roles.iter().map(ToString::to_string).collect();
            return Err(self.no_sign(format!("tokens valid for {} s", ttl.as_secs()), auth, &all, ttl));
        }
        Ok(Granted(Signing { auth: grant.auth.clone(), roles, ttl }))
    }

    fn no_sign(&self, what: String, auth: &str, roles: &[String], ttl_max: Duration) -> Denied {
        let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
        let (roles, ttl) = (roles.join(", "), ttl_max.as_secs());
        let line = format!("`sign = {{ auth = {auth:?}, roles = [{roles}], ttl_max = \"{ttl}s\" }}`");
        Denied { service: self.service.clone(), what, line, manifest: self.manifest.clone() }
    }

    /// What may be signed at all.
    pub fn signs(&self) -> Option<&SignGrant> {
        self.permissions.sign.as_ref()
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant it to this service.
    pub fn passwords(&self) -> Result<Granted<Passwords>, Denied> {
        match self.permissions.passwords {
            true => Ok(Granted(Passwords)),
            false => Err(Denied {
                service: self.service.clone(),
                what: "password hashing".into(),
                line: "`passwords = true`".into(),
                manifest: self.manifest.clone(),
            }),
        }
    }

    fn granted(&self, database: &Arc<str>, mode: Mode) -> Granted<DatabaseGrant> {
        Granted(DatabaseGrant { service: self.service.clone(), database: database.clone(), mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        let postgres = BTreeMap::from([("users".into(), Mode::ReadWrite), ("stats".into(), Mode::Read)]);
        Grants::new("orders".into(), "manifests/shop.toml".into(), Permissions { postgres, ..Permissions::default() })
    }

    #[test]
    fn a_granted_database_comes_with_its_mode() {
        let granted = grants().postgres("stats").unwrap();
        let expected = DatabaseGrant { service: "orders".into(), database: "stats".into(), mode: Mode::Read };
        assert_eq!(granted.get(), &expected);
        let all: Vec<_> = grants().databases().map(|granted| granted.get().database.clone()).collect();
        assert_eq!(all, ["stats", "users"].map(Arc::<str>::from));
    }

    #[test]
    fn a_denial_names_the_line_that_would_allow_it() {
        let denied = grants().postgres("carts").unwrap_err().to_string();
        let expected = "`orders` may not use the database `carts`; to allow it, add `postgres = { carts = \"read-write\" }` \
                        to `services.orders.permissions` in manifests/shop.toml";
        assert_eq!(denied, expected);
    }

    #[test]
    fn a_service_without_grants_reaches_nothing() {
        let none = Grants::new("a".into(), "a.toml".into(), Permissions::default());
        assert_eq!(none.databases().count(), 0);
        assert!(none.postgres("users").is_err());
    }
}
