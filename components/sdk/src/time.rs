//! Moments: microseconds since 1970, as PostgreSQL counts them, written as RFC 3339 does.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::calendar::date;

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// Microseconds since 1970-01-01T00:00:00Z. Displayed, and in JSON, as RFC 3339 in UTC with
/// milliseconds: `2026-11-23T08:05:01.042Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0.div_euclid(DAY_MICROS));
        let millis = self.0.rem_euclid(DAY_MICROS) / 1000;
        let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
        let (second, milli) = (millis / 1000 % 60, millis % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(micros: i64, text: &str) {
        assert_eq!(Timestamp::from_micros(micros).to_string(), text);
    }

    #[test]
    fn a_moment_is_written_in_utc_with_milliseconds() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_827_696_789_999, "2000-02-29T12:34:56.789Z");
        check(1_709_251_199_999_999, "2024-02-29T23:59:59.999Z");
        check(1_709_251_200_000_000, "2024-03-01T00:00:00.000Z");
        check(4_107_542_400_000_000, "2100-03-01T00:00:00.000Z");
        check(253_402_300_799_999_000, "9999-12-31T23:59:59.999Z");
    }
}
