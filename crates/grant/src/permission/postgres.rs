//! `permissions.postgres`: which databases a service may use, and how.

use std::{collections::BTreeMap, sync::Arc};

use document::source::Key;

use super::{Mode, Permission, Reading, both, named, quoted, table_of};
use crate::{Denied, Granted, Grants, Permissions};

/// Databases by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Postgres(pub BTreeMap<Arc<str>, Mode>);

/// A database as one service may use it: the key of its role and its pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseGrant {
    pub service: Arc<str>,
    pub database: Arc<str>,
    pub mode: Mode,
}

impl Permission for Postgres {
    const KEY: &'static str = "postgres";
    type Raw = BTreeMap<String, Mode>;

    fn read(raw: Self::Raw, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        Self(raw.into_iter().map(|(name, mode)| (reading.name(&key.child(&name), &name), mode)).collect())
    }

    fn within(&self, ceiling: &Self) -> Self {
        Self(both(&self.0, &ceiling.0, |mode, most| Some(*mode.min(most))))
    }

    fn lacking(&self, need: &Self) -> Self {
        let lacks = |(name, needed): &(&Arc<str>, &Mode)| named(&self.0, name).is_none_or(|granted| granted < needed);
        Self(need.0.iter().filter(lacks).map(|(name, mode)| (name.clone(), *mode)).collect())
    }

    fn plus(&self, more: &Self) -> Self {
        let mut all = self.0.clone();
        for (name, mode) in &more.0 {
            all.entry(name.clone()).and_modify(|known| *known = (*known).max(*mode)).or_insert(*mode);
        }
        Self(all)
    }

    fn value(&self) -> Option<String> {
        table_of(self.0.iter().map(|(name, mode)| (&**name, quoted(mode.word()))))
    }

    fn words(&self) -> Vec<String> {
        self.0.iter().map(|(name, mode)| format!("postgres {name} ({})", mode.word())).collect()
    }
}

impl Grants {
    /// The databases this service may use, by name.
    pub fn databases(&self) -> impl Iterator<Item = Granted<DatabaseGrant>> + '_ {
        self.left.postgres.0.iter().map(|(database, mode)| Granted(self.database(database, *mode)))
    }

    /// # Errors
    /// [`Denied`] when the manifest does not grant this database to this service.
    pub fn postgres(&self, database: &str) -> Result<Granted<DatabaseGrant>, Denied> {
        match self.left.postgres.0.get_key_value(database) {
            Some((database, mode)) => {
                let index = self.written.postgres.0.keys().position(|name| name == database);
                let need =
                    || Permissions { postgres: Postgres([(database.clone(), *mode)].into()), ..Permissions::default() };
                Ok(self.granted(Postgres::KEY, index, need, self.database(database, *mode)))
            }
            None => Err(self.denied(
                format!("postgres {database}"),
                format!("`postgres` does not name `{database}`"),
                format!("postgres = {{ {database} = \"read-write\" }}"),
                self.written.postgres.0.contains_key(database),
            )),
        }
    }

    fn database(&self, database: &Arc<str>, mode: Mode) -> DatabaseGrant {
        DatabaseGrant { service: self.service.clone(), database: database.clone(), mode }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::grants;

    #[test]
    fn a_granted_database_comes_with_its_mode() {
        let grants = grants("orders", "postgres = { users = \"read-write\", stats = \"read\" }");
        let granted = grants.postgres("stats").unwrap();
        let expected = DatabaseGrant { service: "orders".into(), database: "stats".into(), mode: Mode::Read };
        assert_eq!(granted.get(), &expected);
        let all: Vec<_> = grants.databases().map(|granted| granted.get().database.clone()).collect();
        assert_eq!(all, ["stats", "users"].map(Arc::<str>::from));
    }

    #[test]
    fn a_denial_names_the_line_that_would_allow_it() {
        let denied = grants("orders", "").postgres("carts").unwrap_err().to_string();
        let expected = "`orders` may not reach `postgres carts`: `postgres` does not name `carts`; to allow it, add \
                        `postgres = { carts = \"read-write\" }` to `services.orders.permissions` in shop.toml";
        assert_eq!(denied, expected);
    }
}
