//! Texts that all hosts of a manifest keep in an operator's database which no service reaches.
//!
//! One session of its own, made when it is needed and given up when anything fails. No guest is behind it: that no
//! service may be given the database is the manifest's rule.

use std::time::Duration;

use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::{Client, Error, error::SqlState};

use super::{
    endpoint::{ConnectError, Endpoint, Session},
    own,
    schema::Schema,
};

const TABLE: &str = "public.archipel_keys";
const MAKE: &str = "CREATE TABLE public.archipel_keys (name text PRIMARY KEY, keys text NOT NULL)";
/// What one question may take, with the session that it may need.
const WITHIN: Duration = Duration::from_secs(2);
/// A text is a file of keys.
const MESSAGE_MAX_BYTES: u64 = 1 << 20;

/// Why nothing was read or written. Names no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShelfError {
    #[error("the database does not answer in time")]
    Late,
    #[error("the database cannot be reached: {0}")]
    Connect(#[from] ConnectError),
    #[error("the database refused: {0}")]
    Refused(String),
}

impl From<Error> for ShelfError {
    fn from(error: Error) -> Self {
        Self::Refused(error.as_db_error().map_or("the connection broke".to_owned(), |db| db.message().to_owned()))
    }
}

/// Where the texts are.
pub(crate) struct Shelf {
    endpoint: Endpoint,
    session: Mutex<Option<Session>>,
}

impl Shelf {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self { endpoint: endpoint.clone().for_writes(), session: Mutex::new(None) }
    }

    /// The text under `name`. Cancel safe.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<String>, ShelfError> {
        let sql = self.endpoint.schema.sql("SELECT keys FROM public.archipel_keys WHERE name = $1");
        self.ask(async |client| {
            let row = client.query_opt(&*sql, &[&name]).await?;
            row.map(|row| row.try_get(0)).transpose()
        })
        .await
    }

    /// Puts `next` in the place of `known`; `false`: it was not that any more. Cancel safe.
    pub(crate) async fn replace(&self, name: &str, known: Option<&str>, next: &str) -> Result<bool, ShelfError> {
        let sql = self.endpoint.schema.sql(match known {
            None => "INSERT INTO public.archipel_keys VALUES ($1, $2) ON CONFLICT DO NOTHING",
            Some(_) => "UPDATE public.archipel_keys SET keys = $2 WHERE name = $1 AND keys = $3",
        });
        let written = self.ask(async |client| match known {
            None => client.execute(&*sql, &[&name, &next]).await,
            Some(known) => client.execute(&*sql, &[&name, &next, &known]).await,
        });
        Ok(written.await? == 1)
    }

    /// A session that was left in the middle of something is not used again.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, ShelfError> {
        let asking = async {
            let mut kept = self.session.lock().await;
            let session = match kept.take().filter(|session| !session.client.is_closed()) {
                Some(session) => session,
                None => {
                    let session = self.endpoint.connect(MESSAGE_MAX_BYTES).await?;
                    prepare(&session.client, &self.endpoint.schema).await?;
                    session
                }
            };
            let answer = question(&session.client).await?;
            *kept = Some(session);
            Ok(answer)
        };
        timeout(WITHIN, asking).await.unwrap_or(Err(ShelfError::Late))
    }
}

/// Makes the table where there is none, and its schema.
async fn prepare(client: &Client, schema: &Schema) -> Result<(), Error> {
    schema.prepare(client).await?;
    let table = schema.sql(TABLE);
    while !own::is_there(client, &table).await? {
        client.batch_execute("BEGIN").await?;
        match own::make(client, &table, &schema.sql(MAKE)).await {
            Ok(()) => client.batch_execute("COMMIT").await?,
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
