//! Parameters: a [`Value`] becomes what PostgreSQL expects at its place, or is refused.
//!
//! A number widens or narrows only where nothing is lost. Text that stands for a number of any
//! precision, a UUID, a document, a date or an enum goes to the server as text, so its own
//! parser decides; what cannot be right is refused here, before a transaction is spoiled by it.

use bytes::BytesMut;
use postgres_types::{Format, IsNull, Kind, ToSql, Type};
use uuid::Uuid;

use super::{
    array,
    error::Error,
    numeric::is_numeric,
    time::{DAYS_TO_2000, MICROS_TO_2000},
    value::Value,
};

/// A parameter in the form it is sent in. `Debug` prints nothing: it may be a secret.
pub(crate) struct Encoded {
    format: Format,
    bytes: Option<Vec<u8>>,
}

/// Fits `values` to the types PostgreSQL inferred.
///
/// # Errors
/// [`Error::Parameter`] with the first place that does not fit.
pub(super) fn encode(values: &[Value], types: &[Type]) -> Result<Vec<Encoded>, Error> {
    if values.len() != types.len() {
        return Err(Error::Parameter {
            index: u32::try_from(values.len().min(types.len())).unwrap_or(u32::MAX),
            text: format!("the statement takes {} parameters and {} were given", types.len(), values.len()),
        });
    }
    let pairs = values.iter().zip(types).enumerate();
    pairs
        .map(|(index, (value, expected))| {
            encode_one(value, expected)
                .map_err(|text| Error::Parameter { index: u32::try_from(index).unwrap_or(u32::MAX), text })
        })
        .collect()
}

fn encode_one(value: &Value, expected: &Type) -> Result<Encoded, String> {
    let expected = base(expected);
    match value {
        Value::Null => Ok(Encoded { format: Format::Binary, bytes: None }),
        Value::Bool(truth) if *expected == Type::BOOL => Ok(binary([u8::from(*truth)])),
        Value::Int16(number) => integer((*number).into(), expected),
        Value::Int32(number) => integer((*number).into(), expected),
        Value::Int64(number) => integer(*number, expected),
        Value::Float32(number) => float((*number).into(), expected),
        Value::Float64(number) => float(*number, expected),
        Value::Text(content) => text(content, expected),
        Value::Bytes(bytes) if *expected == Type::BYTEA => Ok(binary(bytes.as_slice())),
        Value::Uuid(uuid) if *expected == Type::UUID => Ok(binary(uuid.to_be_bytes())),
        Value::Timestamp(micros) if *expected == Type::TIMESTAMP => moment(*micros),
        Value::Timestamptz(micros) if *expected == Type::TIMESTAMPTZ => moment(*micros),
        Value::Date(days) if *expected == Type::DATE => match days.checked_sub(DAYS_TO_2000) {
            Some(days) => Ok(binary(days.to_be_bytes())),
            None => Err("the date is out of range".to_owned()),
        },
        Value::Time(micros) if *expected == Type::TIME => Ok(binary(micros.to_be_bytes())),
        Value::Numeric(digits) if *expected == Type::NUMERIC => text(digits, expected),
        Value::Json(document) if is_json(expected) => text(document, expected),
        Value::TextArray(items) => array::of_text(items, expected),
        Value::Int64Array(items) => array::of_integers(items, expected),
        Value::UuidArray(items) if *expected == Type::UUID_ARRAY => Ok(array::of_uuids(items)),
        Value::Raw(oid, bytes) if *oid == expected.oid() => Ok(binary(bytes.as_slice())),
        other => Err(mismatch(kind_of(other), expected)),
    }
}

/// A domain is written as what it is made of; the server checks its conditions.
pub(super) fn base(mut expected: &Type) -> &Type {
    while let Kind::Domain(inner) = expected.kind() {
        expected = inner;
    }
    expected
}

pub(super) fn integer(number: i64, expected: &Type) -> Result<Encoded, String> {
    // Whole numbers up to here are exact in the two float types.
    const FLOAT8_EXACT: i64 = 1 << 53;
    const FLOAT4_EXACT: i64 = 1 << 24;
    let fits = |most: i64| (-most..=most).contains(&number);
    let narrowed = match *expected {
        Type::INT8 => Some(binary(number.to_be_bytes())),
        Type::INT4 => i32::try_from(number).ok().map(|n| binary(n.to_be_bytes())),
        Type::INT2 => i16::try_from(number).ok().map(|n| binary(n.to_be_bytes())),
        Type::OID => u32::try_from(number).ok().map(|n| binary(n.to_be_bytes())),
        Type::FLOAT8 if fits(FLOAT8_EXACT) => Some(binary((number as f64).to_be_bytes())),
        Type::FLOAT4 if fits(FLOAT4_EXACT) => Some(binary((number as f32).to_be_bytes())),
        Type::FLOAT8 | Type::FLOAT4 => None,
        Type::NUMERIC => Some(as_text(number.to_string())),
        _ => return Err(mismatch("an integer", expected)),
    };
    narrowed.ok_or_else(|| format!("{number} is out of range for {}", expected.name()))
}

fn float(number: f64, expected: &Type) -> Result<Encoded, String> {
    match *expected {
        Type::FLOAT8 => Ok(binary(number.to_be_bytes())),
        Type::FLOAT4 if number.is_nan() || f64::from(number as f32) == number => {
            Ok(binary((number as f32).to_be_bytes()))
        }
        Type::FLOAT4 => Err("the number loses digits as a float4".to_owned()),
        _ => Err(mismatch("a float", expected)),
    }
}

pub(super) fn text(content: &str, expected: &Type) -> Result<Encoded, String> {
    if content.contains('\0') {
        return Err("PostgreSQL's text holds no NUL character".to_owned());
    }
    match *expected {
        Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::OID | Type::BYTEA => {
            Err(mismatch("a text", expected))
        }
        Type::NUMERIC if !is_numeric(content) => Err("this is no number".to_owned()),
        Type::UUID if Uuid::try_parse(content).is_err() => Err("this is no UUID".to_owned()),
        _ => Ok(as_text(content.to_owned())),
    }
}

fn moment(micros: i64) -> Result<Encoded, String> {
    let since_2000 = micros.checked_sub(MICROS_TO_2000).ok_or("the time is out of range")?;
    Ok(binary(since_2000.to_be_bytes()))
}

fn is_json(expected: &Type) -> bool {
    matches!(*expected, Type::JSON | Type::JSONB)
}

pub(super) fn binary(bytes: impl Into<Vec<u8>>) -> Encoded {
    Encoded { format: Format::Binary, bytes: Some(bytes.into()) }
}

/// The server reads it as it reads a literal.
pub(super) fn as_text(content: String) -> Encoded {
    Encoded { format: Format::Text, bytes: Some(content.into_bytes()) }
}

/// A text parameter of our own that nothing may print.
pub(crate) fn hidden(content: &str) -> Encoded {
    as_text(content.to_owned())
}

pub(super) fn mismatch(given: &str, expected: &Type) -> String {
    format!("{given} was given where {} is expected", expected.name())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => "an integer",
        Value::Float32(_) | Value::Float64(_) => "a float",
        Value::Text(_) => "a text",
        Value::Bytes(_) => "bytes",
        Value::Uuid(_) => "a UUID",
        Value::Timestamp(_) => "a timestamp",
        Value::Timestamptz(_) => "a timestamptz",
        Value::Date(_) => "a date",
        Value::Time(_) => "a time",
        Value::Numeric(_) => "a numeric",
        Value::Json(_) => "a JSON document",
        Value::TextArray(_) => "an array of texts",
        Value::Int64Array(_) => "an array of integers",
        Value::UuidArray(_) => "an array of UUIDs",
        Value::Raw(..) => "a raw value of another type",
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _expected: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.bytes {
            None => Ok(IsNull::Yes),
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    postgres_types::to_sql_checked!();
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[value]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_fits_only_where_nothing_is_lost() {
        assert!(encode_one(&Value::Int32(7), &Type::INT8).is_ok());
        assert!(encode_one(&Value::Int64(7), &Type::INT2).is_ok());
        assert!(encode_one(&Value::Int64(1 << 53), &Type::FLOAT8).is_ok());
        assert!(encode_one(&Value::Float64(0.5), &Type::FLOAT4).is_ok());
        assert!(encode_one(&Value::Int64(70_000), &Type::INT2).is_err());
        assert!(encode_one(&Value::Int64((1 << 53) + 1), &Type::FLOAT8).is_err());
        assert!(encode_one(&Value::Float64(0.1), &Type::FLOAT4).is_err());
        assert!(encode_one(&Value::Float64(1.0), &Type::INT4).is_err());
    }

    #[test]
    fn text_stands_for_what_is_written_as_text_and_for_nothing_else() {
        let text = |content: &str, expected: &Type| encode_one(&Value::Text(content.to_owned()), expected);
        for expected in [&Type::TEXT, &Type::VARCHAR, &Type::JSON, &Type::DATE, &Type::INET] {
            assert!(text("x", expected).is_ok(), "{expected}");
        }
        assert!(text("1.5", &Type::NUMERIC).is_ok());
        assert!(text("x", &Type::NUMERIC).is_err());
        assert!(text("x", &Type::UUID).is_err());
        assert!(text("5", &Type::INT4).is_err());
        assert!(text("a\0b", &Type::TEXT).is_err());
    }

    #[test]
    fn the_error_names_the_place() {
        let error = encode(&[Value::Int32(1), Value::Bool(true)], &[Type::INT4, Type::UUID]).unwrap_err();
        assert_eq!(error.to_string(), "parameter 2 does not fit: a boolean was given where uuid is expected");
        let error = encode(&[], &[Type::INT4]).unwrap_err();
        assert!(matches!(error, Error::Parameter { index: 0, .. }));
    }
}
