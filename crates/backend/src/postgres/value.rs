//! Values as they go in and come out: the host's mirror of the contract's `value`.
//!
//! Only shapes: `encode` turns one into a parameter, `decode` turns a cell into one.

use std::sync::Arc;

use crate::memory::Held;

/// One value, as a parameter or as a cell. Units and epochs are those of the contract.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// The sixteen bytes, big-endian.
    Uuid(u128),
    /// Microseconds since 1970-01-01T00:00:00, without a time zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamptz(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Decimal digits as PostgreSQL prints them; exact.
    Numeric(String),
    /// `json` and `jsonb`.
    Json(String),
    TextArray(Vec<Option<String>>),
    Int64Array(Vec<Option<i64>>),
    UuidArray(Vec<Option<u128>>),
    /// Any other type, and what the others cannot say (`infinity`): OID and binary form.
    Raw(u32, Vec<u8>),
}

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub oid: u32,
    /// As in `pg_type`: `int8`, `_text`.
    pub type_name: String,
}

/// A whole answer, within the database's `rows_max` and `bytes_max`.
#[derive(Debug)]
pub struct Rows {
    /// Shared with the statement's cache entry.
    pub columns: Arc<[Column]>,
    pub rows: Vec<Vec<Value>>,
    /// What they take from the account of whoever asked. It counts as long as this lives.
    pub held: Held,
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        (&self.columns, &self.rows) == (&other.columns, &other.rows)
    }
}
