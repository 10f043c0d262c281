//! What can go wrong with a statement, in the words of the contract with guests.
//!
//! No text here holds an address, a role or a password: a guest may read every one of them. What
//! only an operator may know goes to the log where it happens.

use tokio_postgres::error::{ErrorPosition, Severity, SqlState};

/// Why a statement has no answer. One variant for each thing a guest can decide upon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The statement may not be sent here; nothing was sent.
    #[error("refused: {0}")]
    Refused(String),
    /// No server, or the connection broke. Whether a write outside a transaction happened is
    /// unknown.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The statement timeout or the request's deadline passed; the server was told to stop.
    #[error("the statement took too long and was cancelled")]
    Timeout,
    /// No connection became free in time. Nothing was sent.
    #[error("all connections to the database are in use")]
    Overloaded,
    /// The parameter at this place, from 0, does not fit.
    #[error("parameter {} does not fit: {text}", .index + 1)]
    Parameter { index: u32, text: String },
    /// What PostgreSQL itself refused.
    #[error("{0}")]
    Db(Box<DbError>),
    /// The answer is over this many rows or bytes.
    #[error("the answer is larger than {0}")]
    TooLarge(u64),
    /// The transaction has ended.
    #[error("the transaction has ended")]
    Closed,
    #[error("{0}")]
    Other(String),
}

/// PostgreSQL's own report. `sqlstate` and `constraint` are for decisions; the texts may quote
/// data and are for a log, never for a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{severity}: {message} (SQLSTATE {sqlstate})")]
pub struct DbError {
    pub sqlstate: String,
    pub severity: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    /// One-based, in characters of the statement.
    pub position: Option<u32>,
}

impl DbError {
    /// What PostgreSQL answers in a transaction that already failed.
    pub(super) fn transaction_failed() -> Self {
        Self {
            sqlstate: SqlState::IN_FAILED_SQL_TRANSACTION.code().to_owned(),
            severity: "ERROR".to_owned(),
            message: "a statement of this transaction failed, so it was rolled back".to_owned(),
            detail: None,
            hint: None,
            schema: None,
            table: None,
            column: None,
            constraint: None,
            position: None,
        }
    }
}

impl From<&tokio_postgres::error::DbError> for DbError {
    fn from(db: &tokio_postgres::error::DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            sqlstate: db.code().code().to_owned(),
            severity: db.severity().to_owned(),
            message: db.message().to_owned(),
            detail: owned(db.detail()),
            hint: owned(db.hint()),
            schema: owned(db.schema()),
            table: owned(db.table()),
            column: owned(db.column()),
            constraint: owned(db.constraint()),
            position: match db.position() {
                Some(ErrorPosition::Original(position)) => Some(*position),
                Some(ErrorPosition::Internal { .. }) | None => None,
            },
        }
    }
}

/// A change is made, and whether it stays so after a crash of the server is not known.
pub(super) fn not_permanent() -> Error {
    Error::Unavailable("a change is made and may not be permanent".to_owned())
}

/// What a failed exchange says about the connection it happened on.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing failed on the server, so a transaction goes on: a parameter that was not sent, an
    /// answer that was read to its end but not kept.
    Harmless(Error),
    /// The server refused; the connection goes on and a transaction has failed.
    Answered(Error),
    /// The statement was planned for a schema that has changed since: prepare it again.
    StalePlan(Error),
    /// The connection is gone.
    Lost(Error),
}

impl Failure {
    /// The same where going on would lose what was asked for before.
    pub(super) fn ends_transaction(self) -> Self {
        match self {
            Self::Harmless(error) => Self::Answered(error),
            other => other,
        }
    }

    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::Lost(Error::Unavailable("the connection broke".to_owned()));
        };
        let is_ending = matches!(db.code().code(), "57P01" | "57P02" | "57P03" | "57P05");
        if is_ending || matches!(db.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) {
            return Self::Lost(Error::Unavailable("the server closed the connection".to_owned()));
        }
        if *db.code() == SqlState::QUERY_CANCELED {
            return Self::Answered(Error::Timeout);
        }
        if let Some(index) = refused_parameter(db) {
            return Self::Answered(Error::Parameter { index, text: db.message().to_owned() });
        }
        let own = Error::Db(Box::new(db.into()));
        match is_stale_plan(db) {
            true => Self::StalePlan(own),
            false => Self::Answered(own),
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Harmless(error) | Self::Answered(error) | Self::StalePlan(error) | Self::Lost(error) => error,
        }
    }
}

/// Whether the server refused because it takes no writes.
pub(super) fn is_of_a_standby(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| match db.code().code() {
        "25006" => true,
        // `BEGIN … READ WRITE`, `BEGIN … SERIALIZABLE`.
        "0A000" => ["call_bool_check_hook", "call_enum_check_hook", "GetSerializableTransactionSnapshot"]
            .iter()
            .any(|routine| db.routine() == Some(routine)),
        _ => false,
    })
}

/// PostgreSQL names the parameter whose text it could not read in the context of its report.
fn refused_parameter(db: &tokio_postgres::error::DbError) -> Option<u32> {
    if !db.code().code().starts_with("22") {
        return None;
    }
    let (_, number) = db.where_()?.split_once("portal parameter $")?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse::<u32>().ok()?.checked_sub(1)
}

/// Raised before anything of the statement has run, or while it looks at a type that was dropped since.
fn is_stale_plan(db: &tokio_postgres::error::DbError) -> bool {
    match db.code().code() {
        // Such words are never translated.
        "XX000" => db.message().starts_with("cache lookup failed"),
        "0A000" => db.routine() == Some("RevalidateCachedQuery"),
        "26000" => true,
        _ => false,
    }
}
