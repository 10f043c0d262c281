//! Rust's types as PostgreSQL's values and back. Nothing is rounded or cut: what does not fit is
//! refused.

use uuid::Uuid;

use super::Value;
use crate::Timestamp;

/// What a cell can be read as.
pub trait FromValue: Sized {
    /// Nothing if the value is of another type.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! plain {
    ($($rust:ty => $variant:ident),* $(,)?) => {$(
        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Self::$variant(value)
            }
        }

        impl FromValue for $rust {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }
        }
    )*};
}

plain! { bool => Boolean, i16 => Int16, f32 => Float32, Vec<u8> => Bytes }

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int32(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int64(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float64(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value.as_u64_pair())
    }
}

impl From<Vec<Uuid>> for Value {
    fn from(values: Vec<Uuid>) -> Self {
        Self::UuidArray(values.into_iter().map(|value| Some(value.as_u64_pair())).collect())
    }
}

impl From<Vec<i64>> for Value {
    fn from(values: Vec<i64>) -> Self {
        Self::Int64Array(values.into_iter().map(Some).collect())
    }
}

/// Also for an array of `numeric`, which is cast from text: `$1::text[]::numeric[]`.
impl From<Vec<String>> for Value {
    fn from(values: Vec<String>) -> Self {
        Self::TextArray(values.into_iter().map(Some).collect())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Timestamptz(value.micros())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromValue for i32 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int16(value) => Some((*value).into()),
            Value::Int32(value) => Some(*value),
            _ => None,
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int64(value) => Some(*value),
            other => i32::from_value(other).map(Into::into),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Float32(value) => Some((*value).into()),
            Value::Float64(value) => Some(*value),
            _ => None,
        }
    }
}

/// Also for `numeric` and `json`, which are text on the wire.
impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) | Value::Numeric(text) | Value::Json(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for Uuid {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Uuid((high, low)) => Some(Self::from_u64_pair(*high, *low)),
            _ => None,
        }
    }
}

impl FromValue for Timestamp {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamptz(micros) => Some(Self::from_micros(*micros)),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

macro_rules! arrays {
    ($($item:ty => $variant:ident $read:expr),* $(,)?) => {$(
        /// Without a NULL in it.
        impl FromValue for Vec<$item> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(items) => items.iter().map(|item| item.as_ref().map($read)).collect(),
                    _ => None,
                }
            }
        }
    )*};
}

arrays! {
    Uuid => UuidArray |(high, low)| Uuid::from_u64_pair(*high, *low),
    i64 => Int64Array |number| *number,
    String => TextArray |text| text.clone(),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromValue + Into<Value> + PartialEq + Clone + std::fmt::Debug>(value: T) {
        assert_eq!(T::from_value(&value.clone().into()), Some(value));
    }

    #[test]
    fn every_type_comes_back_as_it_went() {
        check(true);
        check(i16::MIN);
        check(i32::MAX);
        check(i64::MIN);
        check(0.1_f32);
        check(0.1_f64);
        check("Zoë".to_owned());
        check(vec![0_u8, 255]);
        check(Uuid::from_u128(7));
        check(Timestamp::from_micros(-1));
        check(vec![Uuid::from_u128(7), Uuid::nil()]);
        check(vec![i64::MIN, 7]);
        check(vec!["Zoë".to_owned(), String::new()]);
        check(Some(7_i32));
        check(None::<String>);
    }

    #[test]
    fn only_what_loses_nothing_is_converted() {
        assert_eq!(i64::from_value(&Value::Int16(7)), Some(7));
        assert_eq!(i32::from_value(&Value::Int64(7)), None);
        assert_eq!(String::from_value(&Value::Numeric("19.90".to_owned())), Some("19.90".to_owned()));
        assert_eq!(String::from_value(&Value::Null), None);
        assert_eq!(Timestamp::from_value(&Value::Timestamp(7)), None);
        assert_eq!(Vec::<i64>::from_value(&Value::Int64Array(vec![Some(7), None])), None);
    }
}
