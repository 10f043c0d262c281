//! Cells: PostgreSQL's binary form becomes a [`Value`].
//!
//! Nothing is guessed: a form that is not understood stays [`Value::Raw`], so no column is
//! unreadable and no answer fails for one odd cell.

use postgres_types::{FromSql, Kind, Type};
use tokio_postgres::Row;

use super::{array, error::Error, numeric, time, value::Value};

/// Reads one row. The types are those the statement was prepared with.
pub(super) fn row(row: &Row) -> Result<Vec<Value>, Error> {
    let broken = |_| Error::Other("the server sent a row that does not fit its description".to_owned());
    (0..row.len())
        .map(|index| {
            let Cell(bytes) = row.try_get(index).map_err(broken)?;
            Ok(match bytes {
                None => Value::Null,
                Some(bytes) => cell(bytes, row.columns()[index].type_()),
            })
        })
        .collect()
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

fn cell(bytes: &[u8], stored: &Type) -> Value {
    typed(bytes, stored).unwrap_or_else(|| Value::Raw(stored.oid(), bytes.to_vec()))
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
        Type::NUMERIC => Value::Numeric(numeric::print(bytes)?),
        Type::JSON => Value::Json(text(bytes)?),
        // One byte of version, then the text.
        Type::JSONB => Value::Json(text(bytes.strip_prefix(&[1])?)?),
        Type::UUID_ARRAY => Value::UuidArray(each(bytes, |item| Some(u128::from_be_bytes(item.try_into().ok()?)))?),
        Type::INT8_ARRAY => Value::Int64Array(each(bytes, |item| Some(i64::from_be_bytes(item.try_into().ok()?)))?),
        Type::INT4_ARRAY => {
            Value::Int64Array(each(bytes, |item| Some(i32::from_be_bytes(item.try_into().ok()?).into()))?)
        }
        Type::INT2_ARRAY => {
            Value::Int64Array(each(bytes, |item| Some(i16::from_be_bytes(item.try_into().ok()?).into()))?)
        }
        // A function called for its effect.
        Type::VOID => Value::Null,
        _ => return textual(bytes, stored),
    })
}

fn textual(bytes: &[u8], stored: &Type) -> Option<Value> {
    if is_textual(stored) {
        return Some(Value::Text(text(bytes)?));
    }
    match stored.kind() {
        Kind::Array(member) if is_textual(member) => Some(Value::TextArray(each(bytes, text)?)),
        Kind::Domain(base) => typed(bytes, base),
        _ => None,
    }
}

/// Types whose binary form is their text.
fn is_textual(stored: &Type) -> bool {
    match *stored {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR | Type::XML => true,
        _ => match stored.kind() {
            Kind::Enum(_) => true,
            Kind::Domain(base) => is_textual(base),
            // An extension's type: it has no fixed OID.
            _ => stored.name() == "citext",
        },
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes).ok()?.to_owned())
}

fn each<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<Option<T>>> {
    let items = array::items(bytes)?.into_iter();
    items.map(|item| item.map_or(Some(None), |item| read(item).map(Some))).collect()
}
