//! Requests to the outside: `permissions.net` decides where to. For other services of the manifest there is `call`.
//!
//! ```no_run
//! let rates: Vec<f64> = sdk::fetch::get("https://api.example.com/rates").send()?.json()?;
//! # Ok::<(), sdk::Error>(())
//! ```

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::archipel::http::client::Error;
use crate::{
    bindings::archipel::http::client::{Options, Request, Scheme},
    host::client,
    quick::fields,
};

/// A request to be sent.
#[derive(Debug, Clone)]
#[must_use = "`send` sends it"]
pub struct Fetch {
    request: Result<Request, Error>,
    timeout: Option<Duration>,
    bytes_max: Option<u64>,
}

/// What was answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// `url` is `https://api.example.com/v1/rates?of=eur`.
pub fn get(url: &str) -> Fetch {
    request("GET", url)
}

pub fn post(url: &str) -> Fetch {
    request("POST", url)
}

/// By any method.
pub fn request(method: &str, url: &str) -> Fetch {
    Fetch { request: read(method, url), timeout: None, bytes_max: None }
}

impl Fetch {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(request) = &mut self.request {
            request.headers.push((name.to_lowercase(), value.as_bytes().to_vec()));
        }
        self
    }

    /// `value` as JSON, with its content type.
    pub fn json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body("application/json", body),
            Err(error) => Self { request: Err(Error::InvalidRequest(format!("no JSON: {error}"))), ..self },
        }
    }

    pub fn body(self, content_type: &str, body: Vec<u8>) -> Self {
        let mut own = self.header("content-type", content_type);
        if let Ok(request) = &mut own.request {
            request.body = body;
        }
        own
    }

    /// From now to the answer's last byte; without it, as long as the request that is being served has.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// An answer that is longer is [`Error::TooLarge`]; without it 8 MiB, which is also the most.
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Sends it and waits for the whole answer. A redirection is an answer like any other.
    ///
    /// # Errors
    /// Denied, too late, not to be reached; never because of a status.
    pub fn send(self) -> Result<Fetched, Error> {
        let timeout_ms = self.timeout.map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        let answer = client::send(&self.request?, Options { timeout_ms, response_bytes_max: self.bytes_max })?;
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let headers = fields(&answer.fields).map(|(own, value)| (name(own), value.to_vec())).collect();
        Ok(Fetched { status: answer.status, headers, body: answer.body })
    }
}

impl Fetched {
    /// The first header of this name, in lower case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The body as a `T`; an answer that is none of 2xx, or no such JSON, is 503 for this service's own client.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, crate::Error> {
        if !(200..=299).contains(&self.status) {
            return Err(crate::Error::Unavailable(format!("the outside answered {}", self.status)));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            crate::Error::Unavailable(format!("the outside answered other JSON than expected: {error}"))
        })
    }

    /// What is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn read(method: &str, url: &str) -> Result<Request, Error> {
    let (scheme, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (Scheme::Https, rest),
        (_, Some(rest)) => (Scheme::Http, rest),
        _ => return Err(Error::InvalidRequest("a URL begins with `https://` or `http://`".to_owned())),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok(Request {
        method: method.to_owned(),
        scheme,
        authority: authority.to_owned(),
        target: format!("{slash}{target}"),
        headers: Vec::new(),
        body: Vec::new(),
    })
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(to) => Self::Internal(format!("a request to {to} is not granted; see `permissions.net`")),
            Error::Timeout => Self::Timeout,
            Error::Unreachable(why) => Self::Unavailable(format!("the outside cannot be reached: {why}")),
            Error::TooLarge => Self::Unavailable("the outside's answer is longer than may be".to_owned()),
            Error::InvalidRequest(why) => Self::Internal(format!("no such request can be sent: {why}")),
            Error::Overloaded => Self::Unavailable("as many requests are under way as may".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, scheme: Scheme, authority: &str, target: &str) {
        let request = read("GET", url).unwrap();
        assert_eq!((request.scheme, &*request.authority, &*request.target), (scheme, authority, target));
    }

    #[test]
    fn a_url_is_where_to_and_what() {
        check("https://api.example.com/v1?a=b/c", Scheme::Https, "api.example.com", "/v1?a=b/c");
        check("http://127.0.0.1:8080", Scheme::Http, "127.0.0.1:8080", "/");
        check("http://[::1]:8080?q=1#part", Scheme::Http, "[::1]:8080", "/?q=1");
        assert!(matches!(read("GET", "ftp://a/"), Err(Error::InvalidRequest(_))));
    }

    #[test]
    fn a_status_is_no_failure_until_its_json_is_wanted() {
        let fetched = Fetched { status: 404, headers: vec![], body: b"{}".to_vec() };
        assert_eq!(fetched.json::<serde_json::Value>().unwrap_err().status(), 503);
        assert_eq!(Fetched { status: 200, ..fetched }.json::<serde_json::Value>(), Ok(serde_json::json!({})));
    }
}
