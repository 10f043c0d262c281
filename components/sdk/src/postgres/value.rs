//! Rust's types as PostgreSQL's values and back. Nothing is rounded or cut: what does not fit is
//! refused.

use uuid::Uuid;

use super::{
    Value,
    array::{self, Item},
};
use crate::{Date, Interval, LocalTimestamp, Time, Timestamp};

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

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Timestamptz(value.micros())
    }
}

impl From<Date> for Value {
    fn from(value: Date) -> Self {
        Self::Date(value.days())
    }
}

impl From<Time> for Value {
    fn from(value: Time) -> Self {
        Self::Time(value.micros())
    }
}

impl From<LocalTimestamp> for Value {
    fn from(value: LocalTimestamp) -> Self {
        Self::Timestamp(value.micros())
    }
}

impl From<Interval> for Value {
    fn from(value: Interval) -> Self {
        Self::Raw((Interval::TYPE, value.bytes()))
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

impl FromValue for Date {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Date(days) => Some(Self::from_days(*days)),
            _ => None,
        }
    }
}

impl FromValue for Time {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Time(micros) => Self::from_micros(*micros),
            _ => None,
        }
    }
}

impl FromValue for LocalTimestamp {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Timestamp(micros) => Some(Self::from_micros(*micros)),
            _ => None,
        }
    }
}

impl FromValue for Interval {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Raw((Self::TYPE, bytes)) => Self::from_bytes(bytes),
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

/// Arrays: `Vec<T>` without a NULL in it, `Vec<Option<T>>` with. `read` and `write` are of what an item is in the array.
macro_rules! arrays {
    ($($item:ty => $variant:ident, $read:expr, $write:expr;)*) => {$(
        impl From<Vec<Option<$item>>> for Value {
            fn from(items: Vec<Option<$item>>) -> Self {
                Self::$variant(items.into_iter().map(|item| item.map($write)).collect())
            }
        }

        impl FromValue for Vec<Option<$item>> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(items) => items.iter().map(|item| item.as_ref().map($read).map_or(Some(None), |read| read.map(Some))).collect(),
                    _ => None,
                }
            }
        }

        whole! { $item }
    )*};
}

/// The same of types that PostgreSQL's own form carries.
macro_rules! raw_arrays {
    ($($item:ty),* $(,)?) => {$(
        impl From<Vec<Option<$item>>> for Value {
            fn from(items: Vec<Option<$item>>) -> Self {
                Self::Raw((<$item>::ARRAY, array::written(&items)))
            }
        }

        impl FromValue for Vec<Option<$item>> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Raw((oid, bytes)) if *oid == <$item>::ARRAY => array::read(bytes),
                    _ => None,
                }
            }
        }

        whole! { $item }
    )*};
}

macro_rules! whole {
    ($item:ty) => {
        impl From<Vec<$item>> for Value {
            fn from(items: Vec<$item>) -> Self {
                items.into_iter().map(Some).collect::<Vec<_>>().into()
            }
        }

        impl FromValue for Vec<$item> {
            fn from_value(value: &Value) -> Option<Self> {
                Vec::<Option<$item>>::from_value(value)?.into_iter().collect()
            }
        }
    };
}

// Texts are also what an array of `numeric` is cast from: `$1::text[]::numeric[]`.
arrays! {
    Uuid => UuidArray, |(high, low)| Some(Uuid::from_u64_pair(*high, *low)), |id| id.as_u64_pair();
    i64 => Int64Array, |number| Some(*number), |number| number;
    i32 => Int64Array, |number| i32::try_from(*number).ok(), i64::from;
    i16 => Int64Array, |number| i16::try_from(*number).ok(), i64::from;
    String => TextArray, |text| Some(text.clone()), |text| text;
}

raw_arrays! { bool, f32, f64, Date, Time, LocalTimestamp, Timestamp, Interval }

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
        check(vec![i32::MIN, 7]);
        check(vec![i16::MAX]);
        check(vec![Some(7_i64), None]);
        check(vec![Some("a".to_owned()), None]);
        check(Date::from_days(-7));
        check(Time::from_micros(7).unwrap());
        check(LocalTimestamp::from_micros(i64::MIN));
        let interval = Interval { months: -1, days: 2, micros: i64::MAX };
        check(interval);
        check(vec![Some(interval), None]);
        check(vec![true, false]);
        check(vec![0.1_f32]);
        check(vec![Some(f64::MIN), None]);
        check(vec![Date::from_days(0), Date::from_days(-200_000)]);
        check(vec![Time::from_micros(86_400_000_000).unwrap()]);
        check(vec![LocalTimestamp::from_micros(-1)]);
        check(vec![Timestamp::from_micros(1_645_557_742_000_000)]);
        check(Vec::<bool>::new());
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
        assert_eq!(Vec::<i16>::from_value(&Value::Int64Array(vec![Some(70_000)])), None);
        assert_eq!(Date::from_value(&Value::Raw((1082, vec![0; 4]))), None);
    }

    #[test]
    fn an_array_that_is_another_or_is_cut_is_none() {
        let Value::Raw((oid, bytes)) = Value::from(vec![Date::from_days(7), Date::from_days(8)]) else { panic!("raw") };
        // As PostgreSQL sends `array[date '1970-01-08', date '1970-01-09']`.
        let head = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 58, 0, 0, 0, 2, 0, 0, 0, 1];
        let items = [0, 0, 0, 4, 0xff, 0xff, 0xd5, 0x3a, 0, 0, 0, 4, 0xff, 0xff, 0xd5, 0x3b];
        assert_eq!(bytes, [&head[..], &items].concat());
        let read = |bytes: &[u8]| Vec::<Date>::from_value(&Value::Raw((oid, bytes.to_vec())));
        assert!(read(&bytes).is_some());
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), None, "{end}");
        }
        assert_eq!(read(&[&bytes[..], &[0]].concat()), None);
        let mut two = bytes.clone();
        two[3] = 2;
        assert_eq!(read(&two), None, "two dimensions");
        assert_eq!(Vec::<Time>::from_value(&Value::Raw((1183, bytes))), None);
    }
}
