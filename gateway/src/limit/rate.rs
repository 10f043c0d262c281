//! How often: `100/min`, as a manifest writes it.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

/// In nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;

/// More than this a second is no limit, and a request's share of time would round to nothing.
const COUNT_MAX: u32 = 1_000_000;

/// So many requests in a period; as many may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rate {
    count: NonZeroU32,
    per: Per,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Per {
    Second,
    Minute,
    Hour,
}

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("`{0}` is no rate; write a number and `/s`, `/min` or `/h`, such as `100/min`")]
    Form(String),

    #[error("`{0}` lets nobody in; write at least 1")]
    Zero(String),

    #[error("`{0}` is no limit; write at most {COUNT_MAX}")]
    TooMuch(String),
}

impl Rate {
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// One request's share of the period.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval_nanos())
    }

    /// What may be taken in advance: the shares of all requests of a period.
    pub fn burst(self) -> Duration {
        Duration::from_nanos(self.burst_nanos())
    }

    pub(super) fn interval_nanos(self) -> u64 {
        self.per.seconds() * SECOND / u64::from(self.count())
    }

    pub(super) fn burst_nanos(self) -> u64 {
        self.interval_nanos() * u64::from(self.count())
    }
}

impl Per {
    fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || RateError::Form(text.to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(form)?;
        let per = [Per::Second, Per::Minute, Per::Hour].into_iter().find(|per| per.unit() == unit).ok_or_else(form)?;
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        match count.parse().ok().filter(|count| *count <= COUNT_MAX) {
            None => Err(RateError::TooMuch(text.to_owned())),
            Some(count) => match NonZeroU32::new(count) {
                Some(count) => Ok(Self { count, per }),
                None => Err(RateError::Zero(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_prints_as_it_was_written_and_shares_its_period_out() {
        for (text, interval) in
            [("100/min", 600_000_000), ("1/s", 1_000_000_000), ("1000000/s", 1000), ("7/h", 514_285_714_285)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.to_string().as_str(), rate.interval_nanos()), (text, interval));
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_a_hint() {
        for (text, hint) in [
            ("100", "such as `100/min`"),
            ("100/m", "such as `100/min`"),
            ("100/minute", "such as `100/min`"),
            ("/min", "such as `100/min`"),
            ("+1/min", "such as `100/min`"),
            ("1 /min", "such as `100/min`"),
            ("0/s", "at least 1"),
            ("1000001/s", "at most 1000000"),
            ("99999999999/s", "at most 1000000"),
        ] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
