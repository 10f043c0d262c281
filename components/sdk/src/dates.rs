//! PostgreSQL's `date`, `time`, `timestamp` (without a zone) and `interval`: exact to the microsecond, displayed and in JSON as
//! ISO 8601 writes them, and read from it. A moment is `Timestamp`.

use std::{fmt, str::FromStr, time::Duration};

use crate::calendar;

const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 24 * 60 * 60 * SECOND_MICROS;

/// A day: `2026-11-29`. From 4713 BC on, as PostgreSQL has it; JSON has the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

/// A time of a day, in microseconds: `08:05:01.042`, at most `24:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// A date and a time that belong to no zone: `2026-11-29T08:05:01.042`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTimestamp(i64);

/// A span of time as calendars have it: `P1M2DT3.5S`. A month is no number of days, nor a day one of hours, so they are kept
/// apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// What is no date, time or span; says what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl Date {
    /// None where there is no such day.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let days = calendar::days(year.into(), month.into(), day.into())?;
        i32::try_from(days).ok().map(Self)
    }

    /// Days since 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    pub const fn days(self) -> i32 {
        self.0
    }
}

impl Time {
    /// None from a second past 24 hours on, and before midnight.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (0..=DAY_MICROS).contains(&micros).then_some(Self(micros))
    }

    /// Since midnight.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl LocalTimestamp {
    pub fn new(date: Date, time: Time) -> Self {
        Self(i64::from(date.0) * DAY_MICROS + time.0)
    }

    /// Since 1970-01-01T00:00:00.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl From<Duration> for Interval {
    /// What is longer than 292 000 years is as long as that.
    fn from(duration: Duration) -> Self {
        Self { micros: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX), ..Self::default() }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = calendar::date(self.0.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / SECOND_MICROS;
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        f.write_str(&fraction(self.0 % SECOND_MICROS))
    }
}

impl fmt::Display for LocalTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = calendar::date(self.0.div_euclid(DAY_MICROS));
        write!(f, "{year:04}-{month:02}-{day:02}T{}", Time(self.0.rem_euclid(DAY_MICROS)))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        let parts = [(self.months / 12, 'Y'), (self.months % 12, 'M'), (self.days, 'D')];
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
            write!(f, "{count}{unit}")?;
        }
        if self.micros != 0 || (self.months, self.days) == (0, 0) {
            let (sign, micros) = (if self.micros < 0 { "-" } else { "" }, self.micros.unsigned_abs());
            let second = SECOND_MICROS.unsigned_abs();
            let rest = fraction(i64::try_from(micros % second).unwrap_or_default());
            write!(f, "T{sign}{}{rest}S", micros / second)?;
        }
        Ok(())
    }
}

/// `.042`, without zeros that say nothing.
fn fraction(micros: i64) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

impl FromStr for Date {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("a date is written `2026-11-29`");
        let [year, month, day] = <[&str; 3]>::try_from(text.split('-').collect::<Vec<_>>()).map_err(|_| wrong)?;
        let number = |text, length| digits(text, length).ok_or(wrong);
        let days = calendar::days(number(year, 4)?, number(month, 2)?, number(day, 2)?).ok_or(wrong)?;
        i32::try_from(days).map(Self).map_err(|_| wrong)
    }
}

impl FromStr for Time {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("a time is written `08:05:01.042`");
        let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let clock: Vec<&str> = clock.split(':').collect();
        let ([hours, minutes] | [hours, minutes, _]) = clock[..] else { return Err(wrong) };
        let number = |text| digits(text, 2).ok_or(wrong);
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let seconds = clock.get(2).map_or(Ok(0), |seconds| number(seconds))?;
        let micros = (1..=6).contains(&fraction.len()).then(|| digits(&format!("{fraction:0<6}"), 6)).flatten();
        let micros = micros.ok_or(wrong)? + ((hours * 60 + minutes) * 60 + seconds) * SECOND_MICROS;
        let is_clock = minutes < 60 && seconds < 60;
        Self::from_micros(micros).filter(|_| is_clock).ok_or(wrong)
    }
}

impl FromStr for LocalTimestamp {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let wrong = Malformed("a date and time without a zone is written `2026-11-29T08:05:01.042`");
        let (date, time) = text.split_once(['T', ' ']).ok_or(wrong)?;
        Ok(Self::new(date.parse().map_err(|_| wrong)?, time.parse().map_err(|_| wrong)?))
    }
}

/// A number of exactly so many digits.
fn digits(text: &str, length: usize) -> Option<i64> {
    let is_number = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

macro_rules! written_as_displayed {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

macro_rules! read_as_displayed {
    ($($type:ty),*) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

written_as_displayed!(Date, Time, LocalTimestamp, Interval);
read_as_displayed!(Date, Time, LocalTimestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromStr + fmt::Display + PartialEq + fmt::Debug>(value: T, text: &str) {
        assert_eq!(value.to_string(), text);
        assert_eq!(text.parse::<T>().ok(), Some(value), "{text}");
    }

    #[test]
    fn a_date_and_a_time_are_read_as_they_are_written() {
        check(Date::from_days(0), "1970-01-01");
        check(Date::new(2024, 2, 29).unwrap(), "2024-02-29");
        check(Date::from_days(-1), "1969-12-31");
        check(Time(0), "00:00:00");
        check(Time(29_101_042_000), "08:05:01.042");
        check(Time(1), "00:00:00.000001");
        check(Time(DAY_MICROS), "24:00:00");
        check(LocalTimestamp::from_micros(-1), "1969-12-31T23:59:59.999999");
        check(LocalTimestamp::new(Date::new(2026, 11, 29).unwrap(), Time(0)), "2026-11-29T00:00:00");
        assert_eq!("08:05".parse(), Ok(Time(29_100_000_000)));
    }

    #[test]
    fn what_is_no_date_or_time_is_refused() {
        for text in ["2024-02-30", "24-02-03", "2024-2-3", "2024-02", "+024-02-03", ""] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        for text in ["24:00:01", "8:00", "08:60", "08:00:60", "08:00:00.", "08:00:00.1234567", "08", "08:00:00:00"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        assert!("2024-02-03T08:00Z".parse::<LocalTimestamp>().is_err());
        assert_eq!(Date::new(2023, 2, 29), None);
        assert_eq!(Time::from_micros(-1), None);
    }

    #[test]
    fn a_span_keeps_months_days_and_seconds_apart() {
        let span = |months, days, micros| Interval { months, days, micros }.to_string();
        assert_eq!(span(0, 0, 0), "PT0S");
        assert_eq!(span(14, -2, 3_500_000), "P1Y2M-2DT3.5S");
        assert_eq!(span(0, 0, -1), "PT-0.000001S");
        assert_eq!(span(0, 0, i64::MIN), "PT-9223372036854.775808S");
        assert_eq!(Interval::from(Duration::from_millis(1500)).to_string(), "PT1.5S");
    }

    #[test]
    fn they_are_texts_in_json() {
        let read = serde_json::from_str::<(Date, Time)>(r#"["2026-11-29","08:05:00"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["2026-11-29","08:05:00"]"#);
        let refused = serde_json::from_str::<Date>("\"tomorrow\"").unwrap_err().to_string();
        assert!(refused.contains("a date is written `2026-11-29`"), "{refused}");
    }
}
