//! In which schema of a database the host's own tables and its function stand.
//!
//! `public`, unless an operator says another: where a role may make nothing in `public`, or tables of others are not
//! to lie among its own. The statements are written for `public`; here they are put elsewhere.

use std::{borrow::Cow, sync::Arc};

use tokio_postgres::{Client, Error, error::SqlState};

/// What every name of the host's own begins with in its statements.
const IN_PUBLIC: &str = "public.archipel_";

/// None: `public`. The manifest has checked that it is a plain name; quoted, it may be a word of SQL's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schema(Option<Arc<str>>);

impl Schema {
    pub(super) fn new(name: Option<&Arc<str>>) -> Self {
        Self(name.cloned())
    }

    /// A statement that was written for `public`.
    pub(crate) fn sql<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        match &self.0 {
            None => Cow::Borrowed(sql),
            Some(name) => Cow::Owned(sql.replace(IN_PUBLIC, &format!("\"{name}\".archipel_"))),
        }
    }

    /// Makes it where there is none. Must not be called within a transaction.
    pub(crate) async fn prepare(&self, client: &Client) -> Result<(), Error> {
        let Some(name) = &self.0 else { return Ok(()) };
        let there = "SELECT pg_catalog.to_regnamespace($1) IS NOT NULL";
        if client.query_one(there, &[&format!("\"{name}\"")]).await?.try_get(0)? {
            return Ok(());
        }
        match client.batch_execute(&format!("CREATE SCHEMA \"{name}\"")).await {
            // Another host was quicker.
            Err(error)
                if [Some(&SqlState::UNIQUE_VIOLATION), Some(&SqlState::DUPLICATE_SCHEMA)].contains(&error.code()) =>
            {
                Ok(())
            }
            made => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_hosts_own_is_put_into_the_schema_and_nothing_else() {
        let sql = "SELECT public.archipel_publish($1) FROM public.archipel_outbox, public.items";
        assert_eq!(Schema::default().sql(sql), sql);
        let elsewhere = Schema::new(Some(&"ours".into()));
        assert_eq!(
            elsewhere.sql(sql),
            "SELECT \"ours\".archipel_publish($1) FROM \"ours\".archipel_outbox, public.items"
        );
    }
}
