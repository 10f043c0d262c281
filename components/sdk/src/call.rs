//! Calls to other services: a path, JSON both ways, and what may come of it.
//!
//! The host finds the service, adds who is asking and the trace, bounds the time and tries again
//! (docs/calls.md); whether this service may call is `permissions.call`'s to say. What is left is to
//! say what is wanted and to read the answer.

mod failure;
mod request;
mod wire;

pub use failure::Failure;
pub use request::Call;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{Error, Method};

/// Reads what a path of a service has: `call::get("users", "/api/users/7")`.
pub fn get(service: &'static str, target: impl Into<String>) -> Call {
    Call { method: Method::Get, service, target: target.into(), headers: Vec::new(), body: None }
}

/// Sends JSON to a path of a service.
///
/// It may be sent again after a failure only with a [`Call::key`].
pub fn post(service: &'static str, target: impl Into<String>, body: &impl Serialize) -> Call {
    // A type that cannot be JSON is sent as none, and the callee says so.
    let body = serde_json::to_string(body).unwrap_or_default();
    let headers = vec![("content-type", "application/json".to_owned()), ("content-length", body.len().to_string())];
    Call { method: Method::Post, service, target: target.into(), headers, body: Some(body) }
}

impl Call {
    /// Says that the same call may be made twice: the host tries it again after 502 and 503.
    pub fn key(mut self, key: impl ToString) -> Self {
        self.headers.push(("idempotency-key", key.to_string()));
        self
    }

    /// Makes the call and reads the `data` of its answer; `T` names the fields that are wanted,
    /// others are passed over.
    pub fn answer<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let (status, body) = wire::exchange(self)?;
        read(status, &body).map_err(|failure| match failure {
            Failure::Broken(reason) => Failure::Broken(format!("`{}` {reason}", self.service)),
            other => other,
        })
    }
}

/// The shop's envelope.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    error: Option<String>,
}

fn read<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Failure> {
    let envelope = serde_json::from_slice::<Envelope<'_>>(body);
    match (status, envelope) {
        (200..=299, Ok(Envelope { data: Some(data), .. })) => serde_json::from_str(data.get())
            .map_err(|error| Failure::Broken(format!("answered with other data than expected: {error}"))),
        (200..=299, _) => Err(Failure::Broken("answered without data".to_owned())),
        (status, envelope) => {
            let sentence = envelope.ok().and_then(|envelope| envelope.error).unwrap_or_default();
            Err(Failure::Refused { status, sentence })
        }
    }
}

impl Failure {
    /// The status that was answered, if one was.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Denied | Self::Broken(_) => None,
        }
    }

    /// For this service's own client: a refusal with one of these statuses is told as it is, with
    /// the other service's sentence; anything else is this service's failure.
    pub fn passing(self, statuses: &[u16]) -> Error {
        match self {
            Self::Refused { status, sentence } if statuses.contains(&status) => Error::Refused { status, sentence },
            other => other.into(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { status: 504, .. } => Self::Timeout,
            Failure::Refused { status: status @ (429 | 502 | 503 | 508), sentence } => {
                Self::Unavailable(format!("another service answered {status}: {sentence}"))
            }
            Failure::Refused { status, sentence } => {
                Self::Internal(format!("another service answered {status}: {sentence}"))
            }
            Failure::Denied => Self::Internal("the call is not granted; see `permissions.call`".to_owned()),
            Failure::Broken(reason) => Self::Unavailable(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Money;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Priced {
        price: Money,
    }

    fn refused(status: u16) -> Failure {
        Failure::Refused { status, sentence: "Product not found".to_owned() }
    }

    #[test]
    fn the_data_of_an_answer_is_read_without_rounding() {
        let body = br#"{"success":true,"data":{"price":9999999.90,"name":"Tea"},"timestamp":"","traceId":""}"#;
        assert_eq!(read(200, body), Ok(Priced { price: Money::parse("9999999.9").unwrap() }));
        for body in [&b""[..], b"{}", b"{\"data\":{}}", b"{\"data\":{\"price\":\"1\"}}", b"[]", b"\xff"] {
            assert!(matches!(read::<Priced>(200, body), Err(Failure::Broken(_))), "{body:?}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_status_and_its_sentence() {
        let body = br#"{"success":false,"error":"Product not found","timestamp":"","traceId":""}"#;
        assert_eq!(read::<Priced>(404, body), Err(refused(404)));
        assert_eq!(read::<Priced>(502, b"<html>").unwrap_err().status(), Some(502));
    }

    #[test]
    fn only_what_is_wanted_is_passed_on_and_the_rest_is_our_failure() {
        let passed = refused(404).passing(&[404, 409]);
        assert_eq!((passed.status(), passed.sentence()), (404, "Product not found"));
        for (failure, status) in [
            (refused(404), 500),
            (refused(400), 500),
            (refused(502), 503),
            (refused(503), 503),
            (refused(504), 504),
            (refused(508), 503),
            (Failure::Denied, 500),
            (Failure::Broken(String::new()), 503),
        ] {
            let text = format!("{failure:?}");
            let error = failure.passing(&[409]);
            assert_eq!(error.status(), status, "{text}");
            assert_ne!(error.sentence(), "Product not found", "{text}");
        }
    }

    #[test]
    fn a_call_says_what_it_sends_and_whether_it_may_be_sent_again() {
        let call = post("products", "/api/products/7/reserve", &["a"]).key("order-7");
        assert_eq!((call.method, call.body.as_deref()), (Method::Post, Some(r#"["a"]"#)));
        assert!(call.headers.contains(&("idempotency-key", "order-7".to_owned())));
        assert!(call.headers.contains(&("content-length", "5".to_owned())));
        assert!(get("users", "/api/users/7").headers.is_empty());
    }
}
