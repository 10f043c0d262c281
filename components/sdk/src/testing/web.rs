//! What others answer in a test, and what was sent to them.

use std::marker::PhantomData;

use serde::Serialize;
use serde_json::Value;

use crate::{
    bindings::archipel::http::client::{Request, Response},
    fake::{self, http::Rule},
    fetch::Error,
};

/// A service or a host of the outside, in a test.
pub struct FakePeer<'a> {
    authority: String,
    of: PhantomData<&'a ()>,
}

/// A request that is to be answered.
#[must_use = "say what it is answered: `json`, `text`, `empty` or `fails`"]
pub struct Asks<'a> {
    method: &'static str,
    authority: String,
    target: String,
    of: PhantomData<&'a ()>,
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: String,
    /// `users.internal`, `api.example.com`.
    pub authority: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl<'a> FakePeer<'a> {
    pub(super) fn of(authority: String) -> Self {
        Self { authority, of: PhantomData }
    }

    /// `target` is path and query, as they are sent.
    pub fn get(&self, target: &str) -> Asks<'a> {
        self.asks("GET", target)
    }

    pub fn post(&self, target: &str) -> Asks<'a> {
        self.asks("POST", target)
    }

    pub fn put(&self, target: &str) -> Asks<'a> {
        self.asks("PUT", target)
    }

    pub fn patch(&self, target: &str) -> Asks<'a> {
        self.asks("PATCH", target)
    }

    pub fn delete(&self, target: &str) -> Asks<'a> {
        self.asks("DELETE", target)
    }

    fn asks(&self, method: &'static str, target: &str) -> Asks<'a> {
        Asks { method, authority: self.authority.clone(), target: target.to_owned(), of: PhantomData }
    }
}

impl Asks<'_> {
    /// # Panics
    /// When serde cannot write it.
    pub fn json(self, status: u16, body: &impl Serialize) {
        let body = serde_json::to_vec(body).expect("JSON");
        self.answered(Ok(answer(status, "application/json", body)));
    }

    pub fn text(self, status: u16, body: &str) {
        self.answered(Ok(answer(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())));
    }

    pub fn empty(self, status: u16) {
        self.answered(Ok(Response { status, fields: Vec::new(), body: Vec::new() }));
    }

    /// It is denied, too late, or not to be reached.
    pub fn fails(self, error: Error) {
        self.answered(Err(error));
    }

    fn answered(self, answer: Result<Response, Error>) {
        let Self { method, authority, target, .. } = self;
        fake::http::with("`service` or `outside`", |web| web.rules.push(Rule { method, authority, target, answer }));
    }
}

fn answer(status: u16, content_type: &str, body: Vec<u8>) -> Response {
    Response { status, fields: format!("content-type: {content_type}\r\n").into_bytes(), body }
}

impl Sent {
    pub(super) fn of(request: &Request) -> Self {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: request.method.clone(),
            authority: request.authority.clone(),
            target: request.target.clone(),
            headers: request.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            body: request.body.clone(),
        }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    /// # Panics
    /// When it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}
