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

    pub fn service(&self) -> &'static str {
        self.service
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`Failure::Refused`] for any status but 2xx.
    pub fn send(&self) -> Result<Called, Failure> {
        let (status, body) = wire::exchange(self)?;
        sent(status, body)
    }

    /// Makes the call and reads its answer; `T` names the fields that are wanted, others are passed over.
    ///
    /// # Errors
    /// The same, and [`Failure::Broken`] for an answer that is no such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let Called { body, .. } = self.send()?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::Broken(format!("`{}` answered with other JSON than expected: {error}", self.service))
        })
    }
}

/// What was answered: 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    pub status: u16,
    pub body: Vec<u8>,
}

/// What the gateway and every service of this sdk say of a failure.
#[derive(Deserialize)]
struct Told {
    error: String,
}

fn sent(status: u16, body: Vec<u8>) -> Result<Called, Failure> {
    match status {
        200..=299 => Ok(Called { status, body }),
        _ => {
            let told = serde_json::from_slice::<Told>(&body);
            Err(Failure::Refused { status, sentence: told.map_or_else(|_| String::new(), |told| told.error) })
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

    fn refused(status: u16) -> Failure {
        Failure::Refused { status, sentence: "Product not found".to_owned() }
    }

    #[test]
    fn a_refusal_keeps_its_status_and_its_sentence() {
        let body = br#"{"success":false,"error":"Product not found","timestamp":"","traceId":""}"#;
        assert_eq!(sent(404, body.to_vec()), Err(refused(404)));
        assert_eq!(sent(502, b"<html>".to_vec()).unwrap_err().status(), Some(502));
        assert_eq!(sent(204, vec![]), Ok(Called { status: 204, body: vec![] }));
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
