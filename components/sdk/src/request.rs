//! A request as a handler sees it. Nothing is fetched from the host before it is asked for.

use std::net::IpAddr;

use crate::{Error, Fields, FromJson, Query, trace};

/// The gateway's limit is the one that counts; this one keeps a misconfigured body from taking
/// all of the instance's memory.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A method that a route may name, or any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Other,
}

/// Where a request comes from: WASI HTTP in a component, a value in a test.
pub trait Source {
    fn method(&self) -> Method;
    /// Path and query.
    fn target(&self) -> String;
    /// The values of a header, in order; `name` is lower case.
    fn header(&mut self, name: &str) -> Vec<Vec<u8>>;
    /// The whole body; once. More than `bytes_max` is [`Error::TooLarge`].
    fn body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error>;
}

/// One request.
pub struct Request {
    source: Box<dyn Source>,
}

impl Request {
    pub fn new(source: impl Source + 'static) -> Self {
        Self { source: Box::new(source) }
    }

    pub fn method(&self) -> Method {
        self.source.method()
    }

    /// The path as the gateway made it: normal, still percent-encoded.
    pub fn path(&self) -> String {
        let mut target = self.source.target();
        target.truncate(target.find('?').unwrap_or(target.len()));
        target
    }

    /// The query's parameters, each among `known`, once and not empty; else 400.
    pub fn query(&self, known: &[&str]) -> Result<Query, Error> {
        let target = self.source.target();
        Query::parse(target.split_once('?').map_or("", |(_, query)| query), known)
    }

    /// A header that is there exactly once and is UTF-8.
    pub fn header(&mut self, name: &str) -> Option<String> {
        let [value] = <[_; 1]>::try_from(self.source.header(name)).ok()?;
        String::from_utf8(value).ok()
    }

    /// The client's address as the gateway believes it.
    pub fn client(&mut self) -> Option<IpAddr> {
        self.header("x-forwarded-for")?.parse().ok()
    }

    /// The client's `Idempotency-Key`, if it sent one; 400 if it is not one of 1 to 128 visible
    /// ASCII characters.
    pub fn idempotency_key(&mut self) -> Result<Option<String>, Error> {
        let values = self.source.header("idempotency-key");
        if values.is_empty() {
            return Ok(None);
        }
        let visible = |value: &Vec<u8>| (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
        let one = <[_; 1]>::try_from(values).ok().filter(|[value]| visible(value));
        let key = one.and_then(|[value]| String::from_utf8(value).ok());
        let wanted = || Error::bad_request("Header `Idempotency-Key` must be 1 to 128 visible ASCII characters, once");
        key.ok_or_else(wanted).map(Some)
    }

    pub fn trace_id(&mut self) -> String {
        trace::id(self.header("traceparent").as_deref())
    }

    /// The whole body, whatever it is; once. 413 over 2 MiB.
    pub fn body(&mut self) -> Result<Vec<u8>, Error> {
        self.source.body(BODY_BYTES_MAX)
    }

    /// The JSON body as a `T`; 415, 413 or 400 if it is none.
    pub fn json<T: FromJson>(&mut self) -> Result<T, Error> {
        if !self.header("content-type").is_some_and(|value| is_json(&value)) {
            return Err(Error::UnsupportedMediaType);
        }
        let body = self.body()?;
        T::from_json(&Fields::parse(&body, T::FIELDS)?)
    }
}

/// `application/json`, with no parameter but `charset=utf-8` (RFC 9110, section 8.3.1).
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| {
            ["charset=utf-8", "charset=\"utf-8\""].iter().any(|utf8| parameter.eq_ignore_ascii_case(utf8))
        })
}

/// A request for tests.
#[cfg(test)]
pub(crate) mod test {
    use super::*;

    pub(crate) struct Written {
        pub(crate) method: Method,
        pub(crate) target: &'static str,
        pub(crate) headers: Vec<(&'static str, &'static str)>,
        pub(crate) body: &'static str,
    }

    impl Source for Written {
        fn method(&self) -> Method {
            self.method
        }

        fn target(&self) -> String {
            self.target.to_owned()
        }

        fn header(&mut self, name: &str) -> Vec<Vec<u8>> {
            self.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_bytes().to_vec()).collect()
        }

        fn body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
            if self.body.len() > bytes_max { Err(Error::TooLarge) } else { Ok(self.body.as_bytes().to_vec()) }
        }
    }

    pub(crate) fn request(method: Method, target: &'static str) -> Written {
        Written { method, target, headers: vec![], body: "" }
    }
}

#[cfg(test)]
mod tests {
    use super::{test::request, *};

    #[derive(Debug, PartialEq)]
    struct Name(String);

    impl FromJson for Name {
        const FIELDS: &'static [&'static str] = &["name"];

        fn from_json(fields: &Fields) -> Result<Self, Error> {
            Ok(Self(fields.text("name")?.unwrap_or("nobody").to_owned()))
        }
    }

    #[test]
    fn a_body_is_read_only_when_it_says_it_is_json() {
        let table = [
            (Some("application/json"), true),
            (Some("Application/JSON ; charset=UTF-8"), true),
            (Some("application/json;charset=\"utf-8\""), true),
            (Some("application/json; charset=latin1"), false),
            (Some("application/json;"), false),
            (Some("text/json"), false),
            (Some("application/json, text/plain"), false),
            (None, false),
        ];
        for (content_type, read) in table {
            let mut written = request(Method::Post, "/");
            written.headers.extend(content_type.map(|value| ("content-type", value)));
            written.body = r#"{"name":"Ada"}"#;
            let expected = if read { Ok(Name("Ada".to_owned())) } else { Err(Error::UnsupportedMediaType) };
            assert_eq!(Request::new(written).json(), expected, "{content_type:?}");
        }
    }

    #[test]
    fn two_content_types_are_none() {
        let mut written = request(Method::Post, "/");
        written.headers = vec![("content-type", "application/json"), ("content-type", "application/json")];
        assert_eq!(Request::new(written).json::<Name>(), Err(Error::UnsupportedMediaType));
    }

    #[test]
    fn a_client_has_one_address() {
        let client = |values: &[&'static str]| {
            let mut written = request(Method::Get, "/");
            written.headers = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            Request::new(written).client()
        };
        assert_eq!(client(&["2001:db8::7"]), "2001:db8::7".parse().ok());
        for none in [&[][..], &["192.0.2.1, 192.0.2.2"], &["192.0.2.1", "192.0.2.2"], &["unknown"]] {
            assert_eq!(client(none), None);
        }
    }

    #[test]
    fn an_idempotency_key_is_one_of_visible_characters_or_a_400() {
        let key = |values: &[&'static str]| {
            let mut written = request(Method::Post, "/");
            written.headers = values.iter().map(|value| ("idempotency-key", *value)).collect();
            Request::new(written).idempotency_key()
        };
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&["7f-!"]), Ok(Some("7f-!".to_owned())));
        let long = "k".repeat(129).leak();
        assert_eq!(key(&[&long[1..]]), Ok(Some("k".repeat(128))));
        for refused in [&[""][..], &["a b"], &["é"], &["a", "a"], &[long]] {
            assert_eq!(key(refused).unwrap_err().status(), 400, "{refused:?}");
        }
    }

    #[test]
    fn the_path_ends_at_the_query() {
        assert_eq!(Request::new(request(Method::Get, "/a/b?c=/d?e")).path(), "/a/b");
        assert_eq!(Request::new(request(Method::Get, "/a")).path(), "/a");
    }
}
