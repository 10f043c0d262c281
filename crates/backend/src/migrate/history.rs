//! What was applied to a database, and by which of its folders.
//!
//! A database may have several names in manifests, each with a folder: each has a history of its own, under
//! the name. A name that is new looks whether its files were applied under another one: then it goes on
//! there, for a database may be renamed. Tables of before there were names have one history without any; it
//! becomes that of whoever has its files.

use tokio_postgres::{Client, Error};

use super::files::File;
use crate::postgres::{own, schema::Schema};

const NAME: &str = "public.archipel_migrations";
const TABLE: &str = "CREATE TABLE public.archipel_migrations \
                     (database text NOT NULL DEFAULT '', name text NOT NULL, sha256 text NOT NULL, \
                      at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (database, name))";
/// Of a table of before. A host of that time goes on writing the history without a name.
const NAMED: &str = "ALTER TABLE public.archipel_migrations ADD COLUMN database text NOT NULL DEFAULT '', \
                     DROP CONSTRAINT archipel_migrations_pkey, ADD PRIMARY KEY (database, name)";
/// The table of this name that stands where the files' own tables go, if it may be read, as SQL writes it. One that
/// stands anywhere else is another system's.
const OTHERS: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                      WHERE c.relname = 'archipel_migrations' AND c.relkind = 'r' \
                        AND n.nspname = pg_catalog.current_schema() \
                        AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') \
                        AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";
const IS_NAMED: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attname = 'database' \
                        AND attrelid = 'public.archipel_migrations'::pg_catalog.regclass)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) name: String,
    pub(super) sha256: String,
}

/// One history, and under which name it stands in the table.
pub(super) struct History {
    schema: Schema,
    database: String,
    pub(super) applied: Vec<Applied>,
}

impl History {
    /// That of the database's name in the manifest, made where there is none; within a transaction that has
    /// the turn.
    pub(super) async fn read(client: &Client, schema: &Schema, database: &str, files: &[File]) -> Result<Self, Error> {
        let table = schema.sql(NAME);
        if !own::is_there(client, &table).await? {
            own::make(client, &table, &schema.sql(TABLE)).await?;
        } else if !client.query_one(&*schema.sql(IS_NAMED), &[]).await?.try_get::<_, bool>(0)? {
            client.batch_execute(&schema.sql(NAMED)).await?;
        }
        let sql = "SELECT database, name, sha256 FROM public.archipel_migrations ORDER BY database, name COLLATE \"C\"";
        let rows = client.query(&*schema.sql(sql), &[]).await?;
        let rows =
            rows.iter().map(|row| Ok((row.try_get(0)?, Applied { name: row.try_get(1)?, sha256: row.try_get(2)? })));
        let rows = rows.collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { schema: schema.clone(), ..Self::of(database, files, rows) })
    }

    /// The table of the schema into which these files go, where the first of them was applied and the host's own schema
    /// has no history: they would run again.
    pub(super) async fn elsewhere(client: &Client, schema: &Schema, files: &[File]) -> Result<Option<String>, Error> {
        let Some(first) = files.first() else { return Ok(None) };
        if own::is_there(client, &schema.sql(NAME)).await? {
            return Ok(None);
        }
        for row in client.query(OTHERS, &[]).await? {
            let table: String = row.try_get(0)?;
            let sql = format!("SELECT EXISTS (SELECT FROM {table} WHERE name = $1 AND sha256 = $2)");
            if client.query_one(&*sql, &[&first.name, &first.sha256]).await?.try_get(0)? {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }

    fn of(database: &str, files: &[File], rows: Vec<(String, Applied)>) -> Self {
        let first = files.first();
        let begins = |was: &Applied| first.is_some_and(|file| file.name == was.name && file.sha256 == was.sha256);
        let is_ours = |was: &Applied| files.iter().any(|file| file.name == was.name);
        let database = match rows.iter().find(|(_, was)| begins(was)) {
            _ if rows.iter().any(|(of, _)| of == database) => database.to_owned(),
            Some((of, _)) => of.clone(),
            // Files that have changed since are no others'.
            None if rows.iter().any(|(of, was)| of.is_empty() && is_ours(was)) => String::new(),
            None => database.to_owned(),
        };
        let applied = rows.into_iter().filter(|(of, _)| *of == database).map(|(_, was)| was).collect();
        Self { schema: Schema::default(), database, applied }
    }

    /// Gives the one without a name to `database`, now that its files are known to be this one's.
    pub(super) async fn name(&mut self, client: &Client, database: &str) -> Result<(), Error> {
        if self.database.is_empty() {
            let sql = "UPDATE public.archipel_migrations SET database = $1 WHERE database = ''";
            client.execute(&*self.schema.sql(sql), &[&database]).await?;
            self.database = database.to_owned();
        }
        Ok(())
    }

    /// Remembers a file, in the transaction that has run it.
    pub(super) async fn remember(&self, client: &Client, file: &File) -> Result<(), Error> {
        let sql = "INSERT INTO public.archipel_migrations (database, name, sha256) VALUES ($1, $2, $3)";
        client.execute(&*self.schema.sql(sql), &[&self.database, &file.name, &file.sha256]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_name_has_its_own_history_and_a_new_one_goes_on_where_its_files_were_applied() {
        let file = |sha: &str| File {
            name: "1.sql".to_owned(),
            path: Path::new("m/1.sql").to_owned(),
            sql: String::new(),
            sha256: sha.to_owned(),
        };
        let row = |of: &str, sha: &str| (of.to_owned(), Applied { name: "1.sql".to_owned(), sha256: sha.to_owned() });
        let check = |files: &[File], rows: &[(String, Applied)], of: &str, count: usize| {
            let history = History::of("shop", files, rows.to_vec());
            assert_eq!((history.database.as_str(), history.applied.len()), (of, count), "{rows:?}");
        };
        check(&[file("a")], &[], "shop", 0);
        check(&[file("a")], &[row("shop", "a"), row("users", "b")], "shop", 1);
        check(&[file("a")], &[row("users", "b")], "shop", 0);
        check(&[file("a")], &[row("store", "a"), row("users", "b")], "store", 1);
        check(&[file("changed")], &[row("shop", "a"), row("users", "b")], "shop", 1);
        check(&[file("a")], &[row("", "a")], "", 1);
        check(&[file("changed")], &[row("", "a")], "", 1);
        check(&[], &[row("shop", "a")], "shop", 1);
        check(&[], &[row("", "a")], "shop", 0);
    }
}
