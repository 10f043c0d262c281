//! A statement as a span, in the words of OpenTelemetry's conventions for databases: its text without
//! values, how long a connection was waited for, what came of it.

use std::sync::Arc;

use span::{Active, Kind, Value};

use crate::capability::asking::Asking;
use backend::postgres::{Error, Pool, Rows, masked};

pub(super) struct Told(Active);

impl Told {
    pub(super) fn of(asking: &Asking, database: &Arc<str>, sql: &str) -> Self {
        let mut span = asking.span(Kind::Client, || Value::Static(""));
        if let Some(span) = span.span() {
            let (text, operation) = masked(sql);
            span.name = Value::from(format!("{operation} {database}"));
            span.set("db.system.name", "postgresql");
            span.set("db.namespace", database.clone());
            span.set("db.operation.name", operation);
            span.set("db.query.text", text);
        }
        Self(span)
    }

    pub(super) fn of_batch<T>(asking: &Asking, database: &Arc<str>, items: &[(String, T)]) -> Self {
        let mut told = Self::of(asking, database, items.first().map_or("", |(sql, _)| sql));
        if let Some(span) = told.0.span() {
            span.name = Value::from(format!("BATCH {database}"));
            span.set("db.operation.batch.size", items.len());
        }
        told
    }

    /// For a connection, apart from the work.
    pub(super) fn waited(&mut self, pool: &Pool) {
        let waited = pool.take_waited();
        if !waited.is_zero() {
            self.0.set("archipel.pool.wait_us", waited.as_micros());
        }
    }

    /// What came of it; `size` tells rows and bytes where there are any.
    pub(super) fn ended<T>(
        &mut self,
        answer: Result<T, Error>,
        size: impl FnOnce(&T) -> Option<(usize, u64)>,
    ) -> Result<T, Error> {
        let Some(span) = self.0.span() else { return answer };
        match &answer {
            Ok(answer) => {
                if let Some((rows, bytes)) = size(answer) {
                    span.set("db.response.returned_rows", rows);
                    span.set("archipel.response_bytes", bytes);
                }
            }
            Err(Error::Db(error)) => {
                span.set("db.response.status_code", error.sqlstate.clone());
                span.fail(error.sqlstate.clone());
            }
            Err(error) => span.fail(word(error)),
        }
        answer
    }
}

/// How many rows there are, and what they take.
pub(super) fn rows(rows: &Rows) -> Option<(usize, u64)> {
    Some((rows.rows.len(), rows.held.bytes()))
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Refused(_) => "refused",
        Error::Unavailable(_) => "unavailable",
        Error::Timeout => "timeout",
        Error::Overloaded => "overloaded",
        Error::Parameter { .. } => "parameter",
        Error::Db(_) => "database",
        Error::TooLarge(_) => "too_large",
        Error::Closed => "closed",
        Error::Other(_) => "other",
    }
}
