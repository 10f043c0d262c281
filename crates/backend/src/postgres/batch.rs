//! Many statements in one transaction, in as few round trips as they allow.
//!
//! Rows and code-free statements are prepared first and then sent in one flight. A batch with
//! anything else (definitions) goes one by one, because a later statement may only make sense
//! after an earlier one.

use super::{
    bounds::within_parameters,
    connection::Connection,
    error::{Error, Failure},
    pipeline::Scope,
    statement::{Effect, STATEMENT_BYTES_MAX, Statement},
    value::Value,
};

/// Statements in one batch.
pub(crate) const BATCH_MAX: usize = 1_000;

/// A statement of a batch and its parameters.
pub type BatchItem = (String, Vec<Value>);

/// A batch whose statements may all be sent.
pub(super) struct Batch<'a> {
    items: Vec<(&'a BatchItem, Statement)>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        items: &'a [BatchItem],
        permitted: impl Fn(&str) -> Result<Statement, Error>,
    ) -> Result<Self, Error> {
        if items.len() > BATCH_MAX {
            return Err(Error::Refused(format!("a batch has at most {BATCH_MAX} statements")));
        }
        // Reading them is work that nothing interrupts.
        if items.iter().map(|(sql, _)| sql.len()).sum::<usize>() > STATEMENT_BYTES_MAX {
            let message = format!("the statements of a batch are together longer than {STATEMENT_BYTES_MAX} bytes");
            return Err(Error::Refused(message));
        }
        let items = items.iter().map(|item| Ok((item, permitted(&item.0)?))).collect::<Result<_, Error>>()?;
        Ok(Self { items })
    }

    /// Whether nothing of it writes.
    pub(super) fn is_repeatable(&self) -> bool {
        self.items.iter().all(|(_, kind)| kind.is_repeatable())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn fits_one_flight(&self) -> bool {
        self.items.iter().all(|(_, kind)| kind.effect != Effect::Other)
    }
}

/// Runs a batch as a transaction of its own.
pub(super) async fn run_alone(connection: &mut Connection, batch: &Batch<'_>) -> Result<Vec<u64>, Failure> {
    if batch.fits_one_flight() {
        return match fly(connection, batch, Scope::Own).await {
            // Raised before the statement ran, and the rest with it was rolled back.
            Err(Failure::StalePlan(_)) => fly(connection, batch, Scope::Own).await,
            flown => flown,
        };
    }
    connection.begin("BEGIN").await?;
    let changed = one_by_one(connection, batch).await?;
    connection.end("COMMIT").await?;
    Ok(changed)
}

/// Runs a batch within the transaction the connection is in.
pub(super) async fn run_within(connection: &mut Connection, batch: &Batch<'_>) -> Result<Vec<u64>, Failure> {
    match batch.fits_one_flight() {
        true => fly(connection, batch, Scope::Within).await,
        false => one_by_one(connection, batch).await,
    }
}

async fn fly(connection: &mut Connection, batch: &Batch<'_>, scope: Scope) -> Result<Vec<u64>, Failure> {
    let mut prepared = Vec::with_capacity(batch.items.len());
    for ((sql, params), kind) in &batch.items {
        within_parameters(params)?;
        prepared.push((connection.prepare(sql, *kind).await?, params.as_slice()));
    }
    let flown = connection.execute_all(&prepared, scope).await;
    flown.map_err(|(place, failure)| {
        connection.forget_if_stale(&failure);
        at(place, failure)
    })
}

async fn one_by_one(connection: &mut Connection, batch: &Batch<'_>) -> Result<Vec<u64>, Failure> {
    let mut changed = Vec::with_capacity(batch.items.len());
    for (place, ((sql, params), kind)) in batch.items.iter().enumerate() {
        let rows = connection.execute(sql, *kind, params).await.map_err(|failure| at(place, failure))?;
        changed.push(rows);
    }
    Ok(changed)
}

/// Parameters are counted for each statement, so the text says which one.
fn at(place: usize, failure: Failure) -> Failure {
    let say = |error| match error {
        Error::Parameter { index, text } => {
            Error::Parameter { index, text: format!("in statement {}: {text}", place + 1) }
        }
        other => other,
    };
    match failure {
        Failure::Harmless(error) => Failure::Harmless(say(error)),
        Failure::Answered(error) => Failure::Answered(say(error)),
        other => other,
    }
}
