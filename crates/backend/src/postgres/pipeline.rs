//! Many statements in one flight: all are sent before the first answer is awaited.

use std::{pin::Pin, task::Poll};

use tokio_postgres::{Client, Error, Statement};

use super::encode::Encoded;

type Sent<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Whether the flight is a transaction of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `BEGIN` before and `COMMIT` after, in the same flight. A failure makes the server turn
    /// the commit into a rollback.
    Own,
    /// Within a transaction that goes on.
    Within,
    /// Within a transaction, and `COMMIT` after, in the same flight: it is one only if all before it succeeded.
    Last,
}

/// Runs `items` in order and gives the rows each has changed, or the first failure and its
/// place. What comes after a failure was refused by the server. A commit's failure has the last
/// place.
pub(super) async fn fly(
    client: &Client,
    scope: Scope,
    items: Vec<(&Statement, Vec<Encoded>)>,
) -> Result<Vec<u64>, (usize, Error)> {
    let last = items.len().saturating_sub(1);
    let (opening, closing) = match scope {
        Scope::Own => (Some("BEGIN"), Some("COMMIT")),
        Scope::Within => (None, None),
        Scope::Last => (None, Some("COMMIT")),
    };
    let mut opening: Option<Flying<'_, ()>> = launch_control(client, opening).await;
    let mut flying = Vec::with_capacity(items.len());
    for (statement, values) in items {
        flying.push(launch(Box::pin(client.execute_raw(statement, values))).await);
    }
    let closing = launch_control(client, closing).await;

    if let Some(opening) = opening.take() {
        opening.landed().await.map_err(|error| (0, error))?;
    }
    let mut changed = Vec::with_capacity(flying.len());
    let mut failed = None;
    for (place, statement) in flying.into_iter().enumerate() {
        match statement.landed().await {
            Ok(rows) => changed.push(rows),
            Err(error) => failed = failed.or(Some((place, error))),
        }
    }
    if let Some(closing) = closing {
        let closed = closing.landed().await;
        failed = failed.or(closed.err().map(|error| (last, error)));
    }
    failed.map_or(Ok(changed), Err)
}

/// A statement that has been sent.
enum Flying<'a, T> {
    Landed(Result<T, Error>),
    Under(Sent<'a, T>),
}

impl<T> Flying<'_, T> {
    async fn landed(self) -> Result<T, Error> {
        match self {
            Self::Landed(outcome) => outcome,
            Self::Under(sent) => sent.await,
        }
    }
}

async fn launch_control<'a>(client: &'a Client, sql: Option<&'a str>) -> Option<Flying<'a, ()>> {
    match sql {
        Some(sql) => Some(launch(Box::pin(client.batch_execute(sql))).await),
        None => None,
    }
}

/// The driver sends when it is first polled.
async fn launch<T>(mut sent: Sent<'_, T>) -> Flying<'_, T> {
    match futures_util::poll!(&mut sent) {
        Poll::Ready(outcome) => Flying::Landed(outcome),
        Poll::Pending => Flying::Under(sent),
    }
}
