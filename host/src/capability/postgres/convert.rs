//! Values between the contract and the backend: every arm by name, nothing decided.

use super::bindings::archipel::postgres::types;
use backend::postgres::{BatchItem, Column, DbError, Error, Isolation, Pace, Rows, TxOptions, Value};

pub(super) fn values(params: Vec<types::Value>) -> Vec<Value> {
    params.into_iter().map(value).collect()
}

pub(super) fn items(items: Vec<(String, Vec<types::Value>)>) -> Vec<BatchItem> {
    items.into_iter().map(|(sql, params)| (sql, values(params))).collect()
}

/// Lets others run now and then: there may be half a million cells.
pub(super) async fn rows(answer: Rows) -> types::Rows {
    let mut pace = Pace::begin();
    let mut rows = Vec::with_capacity(answer.rows.len());
    for row in answer.rows {
        rows.push(types::Row { values: row.into_iter().map(cell).collect() });
        pace.step().await;
    }
    types::Rows { columns: answer.columns.iter().map(column).collect(), rows }
}

fn column(column: &Column) -> types::Column {
    types::Column { name: column.name.clone(), oid: column.oid, type_name: column.type_name.clone() }
}

fn value(value: types::Value) -> Value {
    match value {
        types::Value::Null => Value::Null,
        types::Value::Boolean(v) => Value::Bool(v),
        types::Value::Int16(v) => Value::Int16(v),
        types::Value::Int32(v) => Value::Int32(v),
        types::Value::Int64(v) => Value::Int64(v),
        types::Value::Float32(v) => Value::Float32(v),
        types::Value::Float64(v) => Value::Float64(v),
        types::Value::Text(v) => Value::Text(v),
        types::Value::Bytes(v) => Value::Bytes(v),
        types::Value::Uuid(v) => Value::Uuid(joined(v)),
        types::Value::Timestamp(v) => Value::Timestamp(v),
        types::Value::Timestamptz(v) => Value::Timestamptz(v),
        types::Value::Date(v) => Value::Date(v),
        types::Value::Time(v) => Value::Time(v),
        types::Value::Numeric(v) => Value::Numeric(v),
        types::Value::Json(v) => Value::Json(v),
        types::Value::TextArray(v) => Value::TextArray(v),
        types::Value::Int64Array(v) => Value::Int64Array(v),
        types::Value::UuidArray(v) => Value::UuidArray(v.into_iter().map(|id| id.map(joined)).collect()),
        types::Value::Raw((oid, bytes)) => Value::Raw(oid, bytes),
    }
}

fn cell(value: Value) -> types::Value {
    match value {
        Value::Null => types::Value::Null,
        Value::Bool(v) => types::Value::Boolean(v),
        Value::Int16(v) => types::Value::Int16(v),
        Value::Int32(v) => types::Value::Int32(v),
        Value::Int64(v) => types::Value::Int64(v),
        Value::Float32(v) => types::Value::Float32(v),
        Value::Float64(v) => types::Value::Float64(v),
        Value::Text(v) => types::Value::Text(v),
        Value::Bytes(v) => types::Value::Bytes(v),
        Value::Uuid(v) => types::Value::Uuid(halves(v)),
        Value::Timestamp(v) => types::Value::Timestamp(v),
        Value::Timestamptz(v) => types::Value::Timestamptz(v),
        Value::Date(v) => types::Value::Date(v),
        Value::Time(v) => types::Value::Time(v),
        Value::Numeric(v) => types::Value::Numeric(v),
        Value::Json(v) => types::Value::Json(v),
        Value::TextArray(v) => types::Value::TextArray(v),
        Value::Int64Array(v) => types::Value::Int64Array(v),
        Value::UuidArray(v) => types::Value::UuidArray(v.into_iter().map(|id| id.map(halves)).collect()),
        Value::Raw(oid, bytes) => types::Value::Raw((oid, bytes)),
    }
}

fn joined((high, low): (u64, u64)) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a number of twice their width")]
fn halves(id: u128) -> (u64, u64) {
    ((id >> 64) as u64, id as u64)
}

pub(super) fn options(options: Option<types::TxOptions>) -> TxOptions {
    let Some(options) = options else { return TxOptions::default() };
    let isolation = match options.isolation {
        types::Isolation::ReadCommitted => Isolation::ReadCommitted,
        types::Isolation::RepeatableRead => Isolation::RepeatableRead,
        types::Isolation::Serializable => Isolation::Serializable,
    };
    TxOptions { isolation, read_only: options.read_only, deferrable: options.deferrable }
}

pub(super) fn error(error: Error) -> types::Error {
    match error {
        Error::Refused(why) => types::Error::Refused(why),
        Error::Unavailable(why) => types::Error::Unavailable(why),
        Error::Timeout => types::Error::Timeout,
        Error::Overloaded => types::Error::Overloaded,
        Error::Parameter { index, text } => types::Error::Parameter((index, text)),
        Error::Db(error) => types::Error::Db(db_error(*error)),
        Error::TooLarge(limit) => types::Error::TooLarge(limit),
        Error::Closed => types::Error::Closed,
        Error::Other(why) => types::Error::Other(why),
    }
}

fn db_error(error: DbError) -> types::DbError {
    types::DbError {
        sqlstate: error.sqlstate,
        severity: error.severity,
        message: error.message,
        detail: error.detail,
        hint: error.hint,
        schema: error.schema,
        table: error.table,
        column: error.column,
        constraint: error.constraint,
        position: error.position,
    }
}
