//! What holds for every statement of a service: what its mode may send, and how long it may take.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use super::{
    error::{Error, Failure},
    statement::{Effect, PARAMETERS_MAX, Statement, classify, too_many_parameters},
    value::Value,
};
use grant::Mode;

/// The server stops a statement by itself; the host only when it did not.
const SERVER_SLACK: Duration = Duration::from_millis(250);

/// What a mode may send. The role and a read-only session refuse writes too; a block of code is
/// refused here because it could leave the read-only session.
pub(super) fn permitted(mode: Mode, sql: &str) -> Result<Statement, Error> {
    let kind = classify(sql)?;
    match (mode, kind.effect) {
        (Mode::Read, Effect::Other) => Err(Error::Refused("this service may only read this database".to_owned())),
        _ => Ok(kind),
    }
}

pub(super) fn within_parameters(params: &[Value]) -> Result<(), Failure> {
    match params.len() <= PARAMETERS_MAX {
        true => Ok(()),
        false => Err(Failure::Harmless(Error::Refused(too_many_parameters()))),
    }
}

/// When the host stops waiting for a statement.
pub(super) fn cut(statement_timeout: Duration, deadline: Instant) -> Instant {
    deadline.min(Instant::now() + statement_timeout + SERVER_SLACK)
}

/// Drops the work when its time is over; a lease in it then cancels.
pub(super) async fn within<T>(cut: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout_at(cut.into(), work).await.unwrap_or(Err(Error::Timeout))
}
