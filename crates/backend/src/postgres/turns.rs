//! Whose turn it is, of all hosts that use a database: to migrate it, to carry its events on.
//!
//! A turn is a row of a table that only the owner may touch, locked until a transaction ends. An advisory
//! lock would do, if it were not for every role to take: a service that may only read could keep a turn for
//! good.

use tokio_postgres::{Client, Error, error::SqlState};

use super::{own, schema::Schema};

const TABLE: &str = "public.archipel_turns";
const MAKE: &str = "CREATE TABLE public.archipel_turns (what text PRIMARY KEY);
                    INSERT INTO public.archipel_turns VALUES ('migrations'), ('outbox')";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    Migrations,
    Outbox,
}

impl Turn {
    fn name(self) -> &'static str {
        match self {
            Self::Migrations => "migrations",
            Self::Outbox => "outbox",
        }
    }

    /// Waits for it, as long as the session's `lock_timeout` lets it; it lasts until the transaction ends.
    pub(crate) async fn wait(self, client: &Client, schema: &Schema) -> Result<(), Error> {
        let sql = schema.sql("SELECT FROM public.archipel_turns WHERE what = $1 FOR UPDATE");
        client.query_one(&*sql, &[&self.name()]).await.map(drop)
    }

    /// Takes it until the transaction ends, unless somebody has it.
    pub(crate) async fn take(self, client: &Client, schema: &Schema) -> Result<bool, Error> {
        let sql = schema.sql("SELECT FROM public.archipel_turns WHERE what = $1 FOR UPDATE SKIP LOCKED");
        Ok(client.query_opt(&*sql, &[&self.name()]).await?.is_some())
    }
}

/// Makes the table of turns where there is none, and its schema. Must not be called within a transaction.
pub(crate) async fn prepare(client: &Client, schema: &Schema) -> Result<(), Error> {
    schema.prepare(client).await?;
    while !own::is_there(client, &schema.sql(TABLE)).await? {
        match make(client, schema).await {
            Ok(()) => break,
            // Another host makes it just now; it is there when that one's transaction has ended.
            Err(error)
                if [Some(&SqlState::UNIQUE_VIOLATION), Some(&SqlState::DUPLICATE_TABLE)].contains(&error.code()) =>
            {
                client.batch_execute("ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn make(client: &Client, schema: &Schema) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    own::make(client, &schema.sql(TABLE), &schema.sql(MAKE)).await?;
    client.batch_execute("COMMIT").await
}
