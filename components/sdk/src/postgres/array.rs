//! Arrays of types that the host hands over in PostgreSQL's own binary form (`array_send` in its sources): one dimension,
//! items of a known size. Arrays of integers, texts and UUIDs have values of their own.

use crate::{Date, Interval, LocalTimestamp, Time, Timestamp};

/// PostgreSQL counts from 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 24 * 60 * 60 * 1_000_000;
const INTERVAL: u32 = 1186;

/// A type whose arrays are read and written here.
pub(super) trait Item: Sized {
    /// The OIDs of the type and of its array: `pg_type.dat` in PostgreSQL's sources.
    const TYPE: u32;
    const ARRAY: u32;

    fn bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

macro_rules! items {
    ($($rust:ty: $type:literal, $array:literal, $wire:ty, |$value:ident| $to:expr, |$raw:ident| $from:expr;)*) => {$(
        impl Item for $rust {
            const TYPE: u32 = $type;
            const ARRAY: u32 = $array;

            fn bytes(&self) -> Vec<u8> {
                let $value = *self;
                let wire: $wire = $to;
                wire.to_be_bytes().to_vec()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let $raw = <$wire>::from_be_bytes(bytes.try_into().ok()?);
                $from
            }
        }
    )*};
}

items! {
    bool: 16, 1000, u8, |value| value.into(), |raw| Some(raw != 0);
    f32: 700, 1021, f32, |value| value, |raw| Some(raw);
    f64: 701, 1022, f64, |value| value, |raw| Some(raw);
    Date: 1082, 1182, i32, |value| value.days().saturating_sub(EPOCH_DAYS), |raw| raw.checked_add(EPOCH_DAYS).map(Self::from_days);
    Time: 1083, 1183, i64, |value| value.micros(), |raw| Self::from_micros(raw);
    LocalTimestamp: 1114, 1115, i64, |value| value.micros().saturating_sub(EPOCH_MICROS), |raw| raw.checked_add(EPOCH_MICROS).map(Self::from_micros);
    Timestamp: 1184, 1185, i64, |value| value.micros().saturating_sub(EPOCH_MICROS), |raw| raw.checked_add(EPOCH_MICROS).map(Self::from_micros);
}

impl Item for Interval {
    const TYPE: u32 = INTERVAL;
    const ARRAY: u32 = 1187;

    fn bytes(&self) -> Vec<u8> {
        let parts = [&self.micros.to_be_bytes()[..], &self.days.to_be_bytes(), &self.months.to_be_bytes()];
        parts.concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (micros, rest) = bytes.split_first_chunk()?;
        let (days, months) = rest.split_first_chunk()?;
        let (days, months) = (i32::from_be_bytes(*days), i32::from_be_bytes(months.try_into().ok()?));
        Some(Self { months, days, micros: i64::from_be_bytes(*micros) })
    }
}

/// The array's own form.
pub(super) fn written<T: Item>(items: &[Option<T>]) -> Vec<u8> {
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX).to_be_bytes();
    let has_null = items.iter().any(Option::is_none);
    let dimensions = usize::from(!items.is_empty());
    let mut bytes = [number(dimensions), number(has_null.into()), T::TYPE.to_be_bytes()].concat();
    if dimensions == 0 {
        return bytes;
    }
    bytes.extend([number(items.len()), number(1)].concat());
    for item in items {
        match item.as_ref().map(T::bytes) {
            Some(item) => {
                bytes.extend(number(item.len()));
                bytes.extend(item);
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        }
    }
    bytes
}

/// The items of an array of one dimension; none if it has more, or other items.
pub(super) fn read<T: Item>(bytes: &[u8]) -> Option<Vec<Option<T>>> {
    let mut rest = bytes;
    let mut number = || {
        let (number, after) = rest.split_first_chunk()?;
        rest = after;
        Some(i32::from_be_bytes(*number))
    };
    let (dimensions, _has_null, of) = (number()?, number()?, number()?);
    if of.cast_unsigned() != T::TYPE || !(0..=1).contains(&dimensions) {
        return None;
    }
    if dimensions == 0 {
        return Some(Vec::new());
    }
    let (count, _first) = (number()?, number()?);
    // Each item has its length at least: a count that is a lie allocates nothing.
    (0..count).map(|_at| item(&mut rest)).collect::<Option<Vec<_>>>().filter(|_items| rest.is_empty())
}

fn item<T: Item>(rest: &mut &[u8]) -> Option<Option<T>> {
    let (length, after) = rest.split_first_chunk()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return Some(None);
    };
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    T::from_bytes(bytes).map(Some)
}
