//! PostgreSQL: a database by its granted name, typed rows, transactions that roll back unless
//! they end well. It holds no address, no password and no pool: those are the host's.

mod array;
mod value;

use uuid::Uuid;

pub use crate::bindings::archipel::postgres::types::{Column, DbError, Error, Rows, Value};
use crate::{
    host::{outbox, postgres as client},
    messaging::{self, Event},
};
pub use sdk_derive::FromRow;
pub use value::FromValue;

/// The parameters of a statement, each by its type: `params![id, &email]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::postgres::Value::from($value)),*] };
}

/// A database that the manifest grants.
pub struct Database(client::Database);

/// A transaction; only [`Database::transaction`] makes one and only it commits.
pub struct Transaction(client::Transaction);

impl Database {
    /// `name` is a grant in the manifest: `postgres = { users = "read-write" }`.
    pub fn open(name: &str) -> Result<Self, Error> {
        client::Database::open(name).map(Self)
    }

    /// Runs `work` in a transaction: committed if it succeeds, rolled back if it fails.
    pub fn transaction<T, E: From<Error>>(&self, work: impl FnOnce(&Transaction) -> Result<T, E>) -> Result<T, E> {
        let transaction = Transaction(self.0.begin(None)?);
        let done = work(&transaction)?;
        client::commit(transaction.0)?;
        Ok(done)
    }
}

impl Transaction {
    /// Publishes if and only if this transaction commits; gives the event's id. `permissions.publish`
    /// decides which topics. Cancelling the request or killing the host changes nothing of it.
    pub fn publish(&self, event: &Event) -> Result<Uuid, messaging::Error> {
        let (message, options) = event.wire();
        messaging::id(&outbox::publish(&self.0, message, Some(options))?)
    }
}

/// Sending statements, the same to a database and within a transaction. Parameters are `$1`,
/// `$2`, …; one statement a call.
pub trait Statements {
    fn rows(&self, sql: &str, params: &[Value]) -> Result<Rows, Error>;

    /// The number of rows the statement changed.
    fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, Error>;

    fn query<T: FromRow>(&self, sql: &str, params: &[Value]) -> Result<Vec<T>, Error> {
        let rows = self.rows(sql, params)?;
        rows.rows.iter().map(|row| T::from_row(&Row { columns: &rows.columns, values: &row.values })).collect()
    }

    /// The first row, if there is one.
    fn query_optional<T: FromRow>(&self, sql: &str, params: &[Value]) -> Result<Option<T>, Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// The first row; none is an error.
    fn query_one<T: FromRow>(&self, sql: &str, params: &[Value]) -> Result<T, Error> {
        self.query_optional(sql, params)?.ok_or_else(|| Error::Other("the statement gave no row".to_owned()))
    }
}

impl Statements for Database {
    fn rows(&self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        self.0.query(sql, params)
    }

    fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.0.execute(sql, params)
    }
}

impl Statements for Transaction {
    fn rows(&self, sql: &str, params: &[Value]) -> Result<Rows, Error> {
        self.0.query(sql, params)
    }

    fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, Error> {
        self.0.execute(sql, params)
    }
}

/// One row of an answer.
pub struct Row<'a> {
    columns: &'a [Column],
    values: &'a [Value],
}

impl<'a> Row<'a> {
    #[cfg(test)]
    pub(crate) fn of(columns: &'a [Column], values: &'a [Value]) -> Self {
        Self { columns, values }
    }

    /// The value of a column. One that is missing, or of another type, is an error that says so.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, Error> {
        let at = self.columns.iter().position(|candidate| candidate.name == column);
        let value = at.and_then(|at| self.values.get(at));
        let value = value.ok_or_else(|| Error::Other(format!("the answer has no column `{column}`")))?;
        T::from_value(value)
            .ok_or_else(|| Error::Other(format!("column `{column}` cannot be read as {}", std::any::type_name::<T>())))
    }
}

/// A type that a row describes.
pub trait FromRow: Sized {
    /// The columns that are read, for `select`: of a derived one `id, text, made_at`.
    const COLUMNS: &'static str = "*";

    fn from_row(row: &Row<'_>) -> Result<Self, Error>;
}

/// The only column of a row: `select count(*) as value …`.
pub struct Single<T>(pub T);

impl<T: FromValue> FromRow for Single<T> {
    fn from_row(row: &Row<'_>) -> Result<Self, Error> {
        match row.columns {
            [column] => row.get(&column.name).map(Self),
            columns => Err(Error::Other(format!("expected one column, not {}", columns.len()))),
        }
    }
}

impl Error {
    /// Whether a unique index or constraint of this name refused the write.
    pub fn is_unique(&self, constraint: &str) -> bool {
        matches!(self, Self::Db(db) if db.sqlstate == "23505" && db.constraint.as_deref() == Some(constraint))
    }
}

/// The error in one line for the log: never `detail`, which repeats what is in the row.
impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        let reason = reason(&error);
        match error {
            Error::Unavailable(_) | Error::Overloaded => Self::Unavailable(reason),
            Error::Timeout => Self::Timeout,
            Error::Db(db) => match db.sqlstate.get(..2) {
                _ if db.sqlstate == "57014" => Self::Timeout, // query_canceled
                // Connection lost, a conflict between transactions, out of resources, shut down.
                Some("08" | "40" | "53" | "57") => Self::Unavailable(reason),
                _ => Self::Internal(reason),
            },
            _ => Self::Internal(reason),
        }
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::AccessDenied(text) => format!("the database is not granted: {text}"),
        Error::Refused(text) => format!("the host refused the statement: {text}"),
        Error::Unavailable(text) => format!("the database is not available: {text}"),
        Error::Timeout => "the database did not answer in time".to_owned(),
        Error::Overloaded => "no database connection became free".to_owned(),
        Error::Parameter((at, text)) => {
            format!("parameter ${} does not fit: {text}", at.saturating_add(1))
        }
        Error::Db(db) => format!("{} {}: {}", db.severity, db.sqlstate, db.message),
        Error::TooLarge(limit) => format!("the answer is over the limit of {limit}"),
        Error::Closed => "the transaction has ended".to_owned(),
        Error::Other(text) => text.clone(),
    }
}

/// A column for tests.
#[cfg(test)]
pub(crate) fn column(name: &str) -> Column {
    Column { name: name.to_owned(), oid: 0, type_name: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_by_name_and_type() {
        let columns = [column("id"), column("name"), column("age")];
        let values = [Value::Uuid((1, 2)), Value::Text("Ada".to_owned()), Value::Null];
        let row = Row { columns: &columns, values: &values };
        assert_eq!(row.get::<Uuid>("id").unwrap(), Uuid::from_u64_pair(1, 2));
        assert_eq!(row.get::<String>("name").unwrap(), "Ada");
        assert_eq!(row.get::<Option<i32>>("age").unwrap(), None);
        assert!(matches!(row.get::<i32>("age"), Err(Error::Other(text)) if text.contains("`age`")));
        assert!(matches!(row.get::<i32>("size"), Err(Error::Other(text)) if text.contains("no column `size`")));
    }

    #[test]
    fn a_single_value_wants_a_single_column() {
        let (columns, values) = ([column("count"), column("x")], [Value::Int64(7), Value::Null]);
        let row = |count: usize| Row { columns: &columns[..count], values: &values[..count] };
        assert_eq!(Single::<i64>::from_row(&row(1)).unwrap().0, 7);
        assert!(Single::<i64>::from_row(&row(2)).is_err());
    }
}
