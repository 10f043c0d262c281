//! Cells: PostgreSQL's binary form becomes a [`Value`].
//!
//! Nothing is guessed: a form that is not understood stays [`Value::Raw`], so no column is
//! unreadable and no answer fails for one odd cell. What a cell will take of memory is known before it
//! is made: 10 bytes can print 131 072 digits, 4 can become an item of 32.

use std::mem::size_of;

use postgres_types::{FromSql, Kind, Type};
use tokio_postgres::Row;

use super::{array::Items, error::Error, numeric::Numeric, pace::Pace, time, value::Value};

/// What an allocator keeps for the smallest text.
const TEXT_BYTES: usize = 16;

/// The bytes that a row takes once it is read, at most.
pub(super) fn size(row: &Row) -> Result<u64, Error> {
    let mut size = size_of::<Vec<Value>>() + row.len() * size_of::<Value>();
    for index in 0..row.len() {
        if let Some(bytes) = bytes(row, index)? {
            size += beside(bytes, row.columns()[index].type_());
        }
    }
    Ok(size as u64)
}

/// Reads one row, at this pace. The types are those the statement was prepared with.
pub(super) async fn row(row: &Row, pace: &mut Pace) -> Result<Vec<Value>, Error> {
    let mut values = Vec::with_capacity(row.len());
    for index in 0..row.len() {
        values.push(match bytes(row, index)? {
            None => Value::Null,
            Some(bytes) => cell(bytes, row.columns()[index].type_(), pace).await,
        });
        pace.step().await;
    }
    Ok(values)
}

fn bytes(row: &Row, index: usize) -> Result<Option<&[u8]>, Error> {
    let broken = |_| Error::Other("the server sent a row that does not fit its description".to_owned());
    row.try_get(index).map(|Cell(bytes)| bytes).map_err(broken)
}

/// The bytes of a cell, whatever its type.
struct Cell<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What a cell takes beside the place of its [`Value`], at most.
fn beside(bytes: &[u8], stored: &Type) -> usize {
    let each = |size: usize| Items::of(bytes).map_or(bytes.len(), |items| (items.len() * size).max(bytes.len()));
    match base(stored) {
        &Type::NUMERIC => Numeric::read(bytes).map_or(bytes.len(), |numeric| numeric.length_max()),
        &Type::UUID_ARRAY => each(size_of::<Option<u128>>()),
        &Type::INT8_ARRAY | &Type::INT4_ARRAY | &Type::INT2_ARRAY => each(size_of::<Option<i64>>()),
        base => match base.kind() {
            // An item's own bytes are all that is left of the cell's.
            Kind::Array(_) => each(size_of::<Option<String>>() + TEXT_BYTES) + bytes.len(),
            _ => bytes.len() + TEXT_BYTES,
        },
    }
}

async fn cell(bytes: &[u8], stored: &Type, pace: &mut Pace) -> Value {
    let base = base(stored);
    let read = match base.kind() {
        Kind::Array(member) => array(bytes, base, member, pace).await,
        _ => typed(bytes, base),
    };
    read.unwrap_or_else(|| Value::Raw(stored.oid(), bytes.to_vec()))
}

/// What a domain is made of.
fn base(mut stored: &Type) -> &Type {
    while let Kind::Domain(inner) = stored.kind() {
        stored = inner;
    }
    stored
}

fn typed(bytes: &[u8], stored: &Type) -> Option<Value> {
    Some(match *stored {
        Type::BOOL => Value::Bool(bytes == [1]),
        Type::INT2 => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
        Type::INT4 => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
        Type::INT8 => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::OID => Value::Int64(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Type::FLOAT4 => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
        Type::FLOAT8 => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
        Type::BYTEA => Value::Bytes(bytes.to_vec()),
        Type::UUID => Value::Uuid(u128::from_be_bytes(bytes.try_into().ok()?)),
        Type::TIMESTAMP => Value::Timestamp(time::micros(i64::from_be_bytes(bytes.try_into().ok()?))?),
        Type::TIMESTAMPTZ => Value::Timestamptz(time::micros(i64::from_be_bytes(bytes.try_into().ok()?))?),
        Type::DATE => Value::Date(time::days(i32::from_be_bytes(bytes.try_into().ok()?))?),
        Type::TIME => Value::Time(i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::NUMERIC => Value::Numeric(Numeric::read(bytes)?.print()),
        Type::JSON => Value::Json(text(bytes)?),
        // One byte of version, then the text.
        Type::JSONB => Value::Json(text(bytes.strip_prefix(&[1])?)?),
        // A function called for its effect.
        Type::VOID => Value::Null,
        _ if is_textual(stored) => Value::Text(text(bytes)?),
        _ => return None,
    })
}

async fn array(bytes: &[u8], stored: &Type, member: &Type, pace: &mut Pace) -> Option<Value> {
    Some(match *stored {
        Type::UUID_ARRAY => {
            Value::UuidArray(each(bytes, |item| Some(u128::from_be_bytes(item.try_into().ok()?)), pace).await?)
        }
        Type::INT8_ARRAY => {
            Value::Int64Array(each(bytes, |item| Some(i64::from_be_bytes(item.try_into().ok()?)), pace).await?)
        }
        Type::INT4_ARRAY => {
            Value::Int64Array(each(bytes, |item| Some(i32::from_be_bytes(item.try_into().ok()?).into()), pace).await?)
        }
        Type::INT2_ARRAY => {
            Value::Int64Array(each(bytes, |item| Some(i16::from_be_bytes(item.try_into().ok()?).into()), pace).await?)
        }
        _ if is_textual(member) => Value::TextArray(each(bytes, text, pace).await?),
        _ => return None,
    })
}

/// Types whose binary form is their text.
fn is_textual(stored: &Type) -> bool {
    match *base(stored) {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR | Type::XML => true,
        // An extension's type: it has no fixed OID.
        ref base => matches!(base.kind(), Kind::Enum(_)) || base.name() == "citext",
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes).ok()?.to_owned())
}

async fn each<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>, pace: &mut Pace) -> Option<Vec<Option<T>>> {
    let mut items = Items::of(bytes)?;
    let mut read_items = Vec::with_capacity(items.len());
    for item in items.by_ref() {
        read_items.push(match item? {
            None => None,
            Some(item) => Some(read(item)?),
        });
        if read_items.len().is_multiple_of(256) {
            pace.step().await;
        }
    }
    items.is_whole().then_some(read_items)
}
