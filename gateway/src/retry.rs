//! When a request may be sent again, how long to wait before it, and how often that may happen.
//!
//! Decides and counts; sends nothing. What may be tried again after a failure is `error`'s word.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, Method, header::RETRY_AFTER};
use tokio::time::Instant;

/// Tries of one request, the first included.
pub const TRIES_MAX: u32 = 3;
/// How long one try may take as far as the head of its answer.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait before the second try; it doubles for the third.
const BACKOFF: Duration = Duration::from_millis(100);

/// A longer wait than any request has: what an answer asks for beyond it is as good as never.
const ASKED_MAX: Duration = Duration::from_secs(3600);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Retries that each second allows, whatever the load.
const EACH_SECOND: f64 = 10.0;
/// What each request adds to the allowance: retries are a fifth of the requests at most.
const EACH_REQUEST: f64 = 0.2;
/// The largest allowance that can be saved up.
const SAVED_MAX: f64 = 20.0;

/// Whether doing it twice is doing it once: RFC 9110 9.2.2, or a key that the receiver keeps.
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
        || headers.contains_key(IDEMPOTENCY_KEY)
}

/// The wait before the next try after `tried` of them, jittered, or longer if the last answer
/// asked for it.
pub fn backoff(tried: u32, answer: Option<&HeaderMap>) -> Duration {
    let step = BACKOFF * 2_u32.saturating_pow(tried.saturating_sub(1).min(8));
    let jittered = step.mul_f64(0.5 + fastrand::f64());
    let asked = answer.and_then(|headers| headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok());
    jittered.max(Duration::from_secs(asked.unwrap_or(0)).min(ASKED_MAX))
}

/// The retries that one destination may get, so that they never multiply an overload.
#[derive(Debug)]
pub struct Budget(Mutex<Allowance>);

#[derive(Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Budget {
    #[expect(clippy::new_without_default, reason = "a budget is made where a destination is, never by the way")]
    pub fn new() -> Self {
        Self(Mutex::new(Allowance { left: EACH_SECOND, at: Instant::now() }))
    }

    /// A request is sent for the first time.
    pub fn sent(&self) {
        self.with(|allowance| allowance.left = (allowance.left + EACH_REQUEST).min(SAVED_MAX));
    }

    /// Whether one more retry may be sent; if so it counts.
    pub fn take(&self) -> bool {
        self.with(|allowance| {
            let may = allowance.left >= 1.0;
            allowance.left -= if may { 1.0 } else { 0.0 };
            may
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Allowance) -> T) -> T {
        let mut allowance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.saturating_duration_since(allowance.at).as_secs_f64() * EACH_SECOND;
        // Time alone never saves up more than a second's worth.
        allowance.left = (allowance.left + gained).min(allowance.left.max(EACH_SECOND));
        allowance.at = now;
        act(&mut allowance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_happen_twice_is_tried_twice() {
        let none = HeaderMap::new();
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
            assert!(is_idempotent(&method, &none), "{method}");
        }
        for method in [Method::POST, Method::PATCH] {
            assert!(!is_idempotent(&method, &none), "{method}");
        }
        let key = HeaderMap::from_iter([(IDEMPOTENCY_KEY, http::HeaderValue::from_static("k"))]);
        assert!(is_idempotent(&Method::POST, &key));
    }

    #[test]
    fn waits_double_within_half_and_one_and_a_half_and_honour_retry_after() {
        for _ in 0..1000 {
            let (first, second) = (backoff(1, None).as_millis(), backoff(2, None).as_millis());
            assert!((50..=150).contains(&first) && (100..=300).contains(&second), "{first} {second}");
        }
        let asks = |value: &'static str| HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static(value))]);
        assert_eq!(backoff(1, Some(&asks("3"))), Duration::from_secs(3));
        assert_eq!(backoff(1, Some(&asks("18446744073709551615"))), ASKED_MAX, "and no sum with it overflows");
        assert!(backoff(1, Some(&asks("Wed, 21 Oct 2015 07:28:00 GMT"))) < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_fifth_of_the_requests_and_ten_a_second() {
        let budget = Budget::new();
        let mut retries = 0;
        for _ in 0..1000 {
            budget.sent();
            retries += u32::from(budget.take());
        }
        assert_eq!(retries, 210 - 1, "ten of the first second, a fifth of a thousand");
        tokio::time::advance(Duration::from_secs(60)).await;
        let later = (0..100).filter(|_| budget.take()).count();
        assert_eq!(later, 10, "an idle minute saves up one second's worth");
    }
}
