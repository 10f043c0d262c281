//! A request in a test, and what it was answered.

use serde::Serialize;
use serde_json::Value;

use crate::{Error, Method, Request, Response, Source};

/// A request to be made: `routes().answer(testing::post("/notes").json(&note).into())`.
#[derive(Debug, Clone)]
#[must_use = "`into` makes a `Request` of it"]
pub struct Asked {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// `target` is path and query, as the gateway hands them over.
pub fn get(target: &str) -> Asked {
    Asked::of(Method::Get, target)
}

pub fn post(target: &str) -> Asked {
    Asked::of(Method::Post, target)
}

pub fn put(target: &str) -> Asked {
    Asked::of(Method::Put, target)
}

pub fn patch(target: &str) -> Asked {
    Asked::of(Method::Patch, target)
}

pub fn delete(target: &str) -> Asked {
    Asked::of(Method::Delete, target)
}

impl Asked {
    fn of(method: Method, target: &str) -> Self {
        Self { method, target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_lowercase(), value.to_owned()));
        self
    }

    /// The gateway has verified that user's token.
    pub fn user(self, id: impl ToString) -> Self {
        let id = id.to_string();
        self.header("x-user-id", &id)
    }

    /// And their roles: `admin`.
    pub fn roles(self, roles: &[&str]) -> Self {
        let roles = roles.join(",");
        self.header("x-user-roles", &roles)
    }

    /// It comes from another service.
    pub fn service(self, name: &str) -> Self {
        self.header("x-source-service", name)
    }

    /// # Panics
    /// When serde cannot write it.
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("JSON");
        self.body("application/json", &body)
    }

    pub fn body(self, content_type: &str, body: &[u8]) -> Self {
        let own = self.header("content-type", content_type);
        Self { body: body.to_vec(), ..own }
    }
}

impl Source for Asked {
    fn method(&self) -> Method {
        self.method
    }

    fn target(&self) -> String {
        self.target.clone()
    }

    fn header(&mut self, name: &str) -> Vec<Vec<u8>> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_bytes().to_vec()).collect()
    }

    fn body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        if self.body.len() > bytes_max { Err(Error::TooLarge) } else { Ok(std::mem::take(&mut self.body)) }
    }
}

impl From<Asked> for Request {
    fn from(asked: Asked) -> Self {
        Self::new(asked)
    }
}

/// The body of an answer.
///
/// # Panics
/// When it is no JSON.
#[track_caller]
pub fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|error| panic!("no JSON ({error}): {}", String::from_utf8_lossy(&response.body)))
}
