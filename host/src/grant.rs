//! Decides what a component may reach.
//!
//! A [`Grants`] is built once from a manifest and never changes while its generation runs.
//! Nothing in this module performs I/O. A decision that says yes is a [`Granted`] value, which
//! the backends demand; a decision that says no names the line that would allow it.

pub mod env;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Something that has passed its grant check. Only this module can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T>(T);

impl<T> Granted<T> {
    pub fn get(&self) -> &T {
        &self.0
    }
}

/// What one service may reach.
#[derive(Debug, Clone)]
pub struct Grants {
    service: Arc<str>,
    /// The file to edit, for messages.
    manifest: PathBuf,
    permissions: Permissions,
}

/// What a manifest grants to one service, in checked form. The default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    pub postgres: BTreeMap<Arc<str>, Mode>,
}

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

    /// The file that grants, for messages.
    pub fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// The databases this service may use, by name.
    pub fn databases(&self) -> impl Iterator<Item = Granted<DatabaseGrant>> + '_ {
        self.permissions.postgres.iter().map(|(database, mode)| self.granted(database, *mode))
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

    fn granted(&self, database: &Arc<str>, mode: Mode) -> Granted<DatabaseGrant> {
        Granted(DatabaseGrant { service: self.service.clone(), database: database.clone(), mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        let postgres = BTreeMap::from([("users".into(), Mode::ReadWrite), ("stats".into(), Mode::Read)]);
        Grants::new("orders".into(), "manifests/shop.toml".into(), Permissions { postgres })
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
