//! Sizes, times and shares as a manifest writes them: `64MiB`, `250ms`, `5%`.
//!
//! A number without a unit is always refused: nobody should have to look up whether `5000`
//! was seconds. [`Size`] and [`Time`] print back in the largest unit that is exact.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

/// A part of a whole, or a change of it, in whole per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

impl Share {
    pub const PATTERN: &str = "^[0-9]+%$";

    pub const fn percent(percent: u64) -> Self {
        Self(percent)
    }

    /// In per cent.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Size {
    pub const PATTERN: &str = "^[0-9]+(B|KiB|MiB|GiB)$";

    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// What somebody who wrote only a number probably meant.
    pub fn guess(number: u64) -> Self {
        if number < 1024 { Self::mib(number) } else { Self(number) }
    }
}

impl Time {
    pub const PATTERN: &str = "^[0-9]+(ms|s|m|h)$";

    pub const fn milliseconds(count: u64) -> Self {
        Self(count)
    }

    pub const fn seconds(count: u64) -> Self {
        Self(count * 1000)
    }

    pub const fn minutes(count: u64) -> Self {
        Self::seconds(count * 60)
    }

    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// What somebody who wrote only a number probably meant.
    pub fn guess(number: u64) -> Self {
        if number < 1000 { Self::seconds(number) } else { Self(number) }
    }
}

/// Why a text is no size or no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("`{text}` has no unit; write `{suggestion}`")]
    NoUnit { text: String, suggestion: String },

    #[error("`{unit}` is not a unit here; write `{suggestion}` (units are {units})")]
    UnknownUnit { unit: String, suggestion: String, units: String },

    #[error("`{text}` is not a whole number with a unit; write it like `{example}`")]
    NotANumber { text: String, example: &'static str },

    #[error("`{text}` is more than a computer can count; write less")]
    TooLarge { text: String },
}

/// A unit, its value in the smallest unit, and what people write instead of it.
type Unit = (&'static str, u64, &'static [&'static str]);

const SIZES: [Unit; 4] = [
    ("GiB", 1 << 30, &["GB", "G", "gb", "g", "Gi"]),
    ("MiB", 1 << 20, &["MB", "M", "mb", "m", "Mi"]),
    ("KiB", 1 << 10, &["KB", "kB", "K", "kb", "k", "Ki"]),
    ("B", 1, &["b", "bytes"]),
];

const SHARES: [Unit; 1] = [("%", 1, &["percent", "pct"])];

const TIMES: [Unit; 4] = [
    ("h", 3_600_000, &["H", "hr", "hour", "hours"]),
    ("m", 60_000, &["min", "mins", "minute", "minutes"]),
    ("s", 1000, &["S", "sec", "secs", "second", "seconds"]),
    ("ms", 1, &["msec", "millis", "milliseconds"]),
];

fn parse(text: &str, units: &[Unit], usual: &str, example: &'static str) -> Result<u64, QuantityError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let known = units.iter().find(|(name, ..)| *name == unit);
    match known {
        _ if number.is_empty() || unit.starts_with(['.', ',', '_']) => {
            Err(QuantityError::NotANumber { text: text.into(), example })
        }
        Some((_, factor, _)) => number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .ok_or_else(|| QuantityError::TooLarge { text: text.into() }),
        None if unit.is_empty() => {
            Err(QuantityError::NoUnit { text: text.into(), suggestion: format!("{number}{usual}") })
        }
        None => {
            let meant = unit.trim();
            let unit_meant = units.iter().find(|(name, _, aliases)| *name == meant || aliases.contains(&meant));
            let suggestion = format!("{number}{}", unit_meant.map_or(usual, |(name, ..)| name));
            let units = units.iter().rev().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
            Err(QuantityError::UnknownUnit { unit: unit.into(), suggestion, units })
        }
    }
}

fn print(f: &mut fmt::Formatter<'_>, amount: u64, units: &[Unit], zero: &str) -> fmt::Result {
    match units.iter().find(|(_, factor, _)| amount.is_multiple_of(*factor)) {
        Some((name, factor, _)) if amount > 0 => write!(f, "{}{name}", amount / factor),
        _ => f.write_str(zero),
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &SIZES, "MiB", "64MiB").map(Self)
    }
}

impl FromStr for Share {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &SHARES, "%", "5%").map(Self)
    }
}

/// What is below a millisecond is left out.
impl From<Duration> for Time {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl FromStr for Time {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &TIMES, "s", "5s").map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &SIZES, "0B")
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &TIMES, "0s")
    }
}

macro_rules! text_in_files {
    ($type:ident, $name:literal, $example:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": Self::PATTERN, "examples": [$example] })
            }
        }
    };
}

text_in_files!(Size, "Size", "64MiB");
text_in_files!(Time, "Time", "5s");
text_in_files!(Share, "Share", "5%");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn size(text: &str, expected: Result<u64, &str>) {
        assert_eq!(text.parse::<Size>().map(Size::get).map_err(|e| e.to_string()), expected.map_err(String::from));
    }

    #[track_caller]
    fn time(text: &str, expected: Result<u64, &str>) {
        assert_eq!(text.parse::<Time>().map(|t| t.0).map_err(|e| e.to_string()), expected.map_err(String::from));
    }

    #[test]
    fn sizes_are_whole_numbers_with_a_binary_unit() {
        size("64MiB", Ok(64 << 20));
        size("0B", Ok(0));
        size("1GiB", Ok(1 << 30));
        size("2KiB", Ok(2048));
        size("64", Err("`64` has no unit; write `64MiB`"));
        size("64MB", Err("`MB` is not a unit here; write `64MiB` (units are B, KiB, MiB, GiB)"));
        size("64 KiB", Err("` KiB` is not a unit here; write `64KiB` (units are B, KiB, MiB, GiB)"));
        size("1.5GiB", Err("`1.5GiB` is not a whole number with a unit; write it like `64MiB`"));
        size("-1MiB", Err("`-1MiB` is not a whole number with a unit; write it like `64MiB`"));
        size("", Err("`` is not a whole number with a unit; write it like `64MiB`"));
        size("18446744073709551615GiB", Err("`18446744073709551615GiB` is more than a computer can count; write less"));
    }

    #[test]
    fn times_are_whole_numbers_with_a_unit() {
        time("250ms", Ok(250));
        time("5s", Ok(5000));
        time("1m", Ok(60_000));
        time("1h", Ok(3_600_000));
        time("5", Err("`5` has no unit; write `5s`"));
        time("5 minutes", Err("` minutes` is not a unit here; write `5m` (units are ms, s, m, h)"));
        time("soon", Err("`soon` is not a whole number with a unit; write it like `5s`"));
    }

    #[test]
    fn shares_are_whole_per_cents() {
        let share = |text: &str| text.parse::<Share>().map(Share::get).map_err(|error| error.to_string());
        assert_eq!(share("5%"), Ok(5));
        assert_eq!(share("5"), Err("`5` has no unit; write `5%`".into()));
        assert_eq!(share("0.5%"), Err("`0.5%` is not a whole number with a unit; write it like `5%`".into()));
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        for text in ["1B", "1023B", "1KiB", "64MiB", "3GiB", "0B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["0s", "1ms", "250ms", "5s", "90s", "1m", "5m", "1h", "25h"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        assert_eq!("1024KiB".parse::<Size>().unwrap().to_string(), "1MiB");
    }
}
