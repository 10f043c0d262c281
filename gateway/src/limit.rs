//! How often someone may ask.
//!
//! Decides what is counted and what a client is told of it. How it is counted is a [`Limit`]'s.

mod memory;
mod owner;
mod rate;
mod shared;

use std::{
    future::Future,
    net::IpAddr,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};

pub use memory::{KEYS_MAX, Memory};
pub use owner::Owner;
use rate::SECOND;
pub use rate::{Rate, RateError};
pub use shared::{Away, Balance, Drawn, SharedLimit, Store};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// A client's address, as the gateway believes it. An IPv6 address stands for its /64.
    Address(IpAddr),
    /// The subject of a verified token.
    Subject(&'a str),
}

/// What is left for someone after one more request was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests in one period.
    pub limit: u32,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// Unix seconds from which the whole limit is there again.
    pub reset: u64,
    /// Seconds until the next request may come; none: this one may.
    pub retry_after: Option<u32>,
}

/// The future a [`Limit`] answers with.
pub type Taken<'a> = Pin<Box<dyn Future<Output = Quota> + Send + 'a>>;

/// Counts requests and says when they are too many.
pub trait Limit: Send + Sync + 'static {
    /// Takes one request out of what `key` has left. Never fails: a store that is out of reach is
    /// the implementor's to replace.
    fn take<'a>(&'a self, key: Key<'a>) -> Taken<'a>;
}

impl Quota {
    /// What is left at `rate` when everything that was taken will be there again in `ahead`.
    fn new(rate: Rate, ahead: Duration, accepted: bool) -> Self {
        let (ahead, interval, burst) = (nanos(ahead), rate.interval_nanos(), rate.burst_nanos());
        let left = burst.saturating_sub(ahead) / interval;
        let missing = (ahead + interval).saturating_sub(burst);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            limit: rate.count(),
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: (nanos(now) + ahead).div_ceil(SECOND),
            retry_after: (!accepted).then(|| u32::try_from(missing.div_ceil(SECOND)).unwrap_or(u32::MAX).max(1)),
        }
    }

    /// The one that stops a client first.
    pub(crate) fn tighter(self, other: Option<Self>) -> Self {
        other
            .filter(|other| {
                (other.retry_after.is_some(), self.remaining) > (self.retry_after.is_some(), other.remaining)
            })
            .unwrap_or(self)
    }

    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, HeaderValue::from(self.reset));
    }
}

/// Enough for 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_says_what_is_left_and_when_to_come_back() {
        let rate: Rate = "60/min".parse().unwrap();
        let seconds = Duration::from_secs;
        let told = |ahead, accepted| {
            let quota = Quota::new(rate, ahead, accepted);
            (quota.limit, quota.remaining, quota.retry_after)
        };
        assert_eq!(told(seconds(1), true), (60, 59, None));
        assert_eq!(told(seconds(60), true), (60, 0, None));
        assert_eq!(told(seconds(60), false), (60, 0, Some(1)));
        assert_eq!(told(Duration::from_millis(59_001), false), (60, 0, Some(1)), "never 0");
        let hourly = Quota::new("1/h".parse().unwrap(), seconds(3600), false);
        assert_eq!(hourly.retry_after, Some(3600));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((now + 3599..=now + 3602).contains(&hourly.reset), "{} {now}", hourly.reset);
    }

    #[test]
    fn the_tighter_quota_is_the_one_that_stops_a_client_first() {
        let quota = |remaining, retry_after| Quota { limit: 9, remaining, reset: 0, retry_after };
        assert_eq!(quota(5, None).tighter(Some(quota(3, None))).remaining, 3);
        assert_eq!(quota(3, None).tighter(Some(quota(5, None))).remaining, 3);
        assert_eq!(quota(0, None).tighter(Some(quota(0, Some(1)))).retry_after, Some(1));
        assert_eq!(quota(0, Some(1)).tighter(Some(quota(0, None))).retry_after, Some(1));
        assert_eq!(quota(4, None).tighter(None).remaining, 4);
    }
}
