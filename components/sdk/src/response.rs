//! A response as bytes: status, headers, body.

/// What goes out. [`Response::text`] and [`Response::json`] set type and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Response {
    /// No body and no headers: 204 and its like.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::with(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
    }

    /// `body` must be JSON.
    pub fn json(status: u16, body: String) -> Self {
        Self::with(status, "application/json", body.into_bytes())
    }

    pub fn with(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let length = body.len().to_string();
        Self { status, headers: Vec::new(), body }
            .header("content-type", content_type)
            .header("content-length", &length)
    }

    /// Adds a header; `name` is lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }
}
