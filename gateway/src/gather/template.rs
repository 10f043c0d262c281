//! What is asked of a part: a path and a query with `{name}` for parameters of the route.
//!
//! A parameter's text comes out of the normal form of the request's path, is decoded once and
//! encoded again, everything but unreserved characters: it can end neither its segment nor its
//! place in the query, and `+` stays a plus sign.

use std::{
    fmt::{self, Write},
    str::FromStr,
};

use http::Uri;

use crate::{
    path::normal_form,
    route::{PathPattern, Segment},
};

/// `/api/orders?userId={id}&limit=100`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

/// Why a text is no template, or none for its route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{0}` has a brace without its other half; a parameter is written `{{name}}`")]
    Brace(String),

    #[error("`{0}` is no path as services receive them; write it like `/api/users/{{id}}`")]
    Path(String),

    #[error("`{{{name}}}` is no parameter of `{route}`; its parameters are {known}")]
    Unknown { name: String, route: String, known: String },

    #[error("`{{{0}}}` may be several segments, which cannot be put in; write a route with `{{name}}` segments")]
    Rest(String),
}

impl Template {
    /// # Errors
    /// A parameter that `route` does not have, or that is its rest.
    pub fn check(&self, route: &PathPattern) -> Result<(), TemplateError> {
        for name in self.pieces.iter().filter_map(Piece::parameter) {
            match route.segments().iter().find(|segment| segment.name() == Some(name)) {
                Some(Segment::Rest(_)) => return Err(TemplateError::Rest(name.to_owned())),
                Some(_) => {}
                None => {
                    let known: Vec<_> = (route.segments().iter())
                        .filter_map(|segment| Some(format!("`{{{}}}`", segment.name()?)))
                        .collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    return Err(TemplateError::Unknown { name: name.to_owned(), route: route.to_string(), known });
                }
            }
        }
        Ok(())
    }

    /// Puts the parameters of `path`, in normal form, into the template; none when `route` is not
    /// the route of this path.
    pub(super) fn fill(&self, route: &PathPattern, path: &str) -> Option<Uri> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Parameter(name) => {
                    let at = route.segments().iter().position(|segment| segment.name() == Some(name))?;
                    encode_again(path.split('/').nth(at + 1)?, &mut text);
                }
            }
        }
        text.parse().ok()
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Parameter(name) => write!(f, "{{{name}}}"),
        })
    }
}

impl Piece {
    fn parameter(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Parameter(name) => Some(name),
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let brace = || TemplateError::Brace(text.to_owned());
        let (mut pieces, mut rest, mut sample) = (Vec::new(), text, String::new());
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(brace)?;
            if before.contains('}') || name.contains('{') || name.is_empty() {
                return Err(brace());
            }
            pieces.extend([Piece::Text(before.to_owned()), Piece::Parameter(name.to_owned())]);
            sample.push_str(before);
            sample.push('x');
            rest = after;
        }
        if rest.contains('}') {
            return Err(brace());
        }
        pieces.push(Piece::Text(rest.to_owned()));
        sample.push_str(rest);
        let (path, query) = sample.split_once('?').unwrap_or((&sample, ""));
        let is_query = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let is_normal = normal_form(path).is_ok_and(|normal| normal == path);
        if !is_query || !is_normal || sample.parse::<Uri>().is_err() {
            return Err(TemplateError::Path(text.to_owned()));
        }
        Ok(Self { pieces })
    }
}

/// Decodes once, encodes once.
fn encode_again(segment: &str, into: &mut String) {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            // The normal form has two digits after each percent sign.
            b'%' => (bytes.next().and_then(digit).zip(bytes.next().and_then(digit)))
                .map_or(b'%', |(high, low)| (high << 4) | low),
            other => other,
        };
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            true => into.push(char::from(byte)),
            false => write!(into, "%{byte:02X}").expect("a string takes it"),
        }
    }
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, path: &str, asked: &str) {
        let route: PathPattern = "/a/{x}/{y}".parse().unwrap();
        let template: Template = template.parse().unwrap();
        template.check(&route).unwrap();
        assert_eq!(template.fill(&route, path).unwrap().to_string(), asked, "{path}");
    }

    #[test]
    fn parameters_are_decoded_once_and_encoded_again() {
        check("/b/{y}/{x}", "/a/1/2", "/b/2/1");
        check("/b?p={x}&q={x}", "/a/1/2", "/b?p=1&q=1");
        check("/b/c?p=%20", "/a/1/2", "/b/c?p=%20");
        check("/b/{x}?p={x}", "/a/caf%C3%A9/2", "/b/caf%C3%A9?p=caf%C3%A9");
        // None of these ends a segment or a query's value, or becomes a blank.
        check("/b/{x}?p={x}", "/a/1&q=2+3/4", "/b/1%26q%3D2%2B3?p=1%26q%3D2%2B3");
        check("/b/{x}?p={x}", "/a/%3Fx%23%26%3D/4", "/b/%3Fx%23%26%3D?p=%3Fx%23%26%3D");
        check(
            "/b/{x}?p={x}",
            "/a/x:@!$'()*,;/4",
            "/b/x%3A%40%21%24%27%28%29%2A%2C%3B?p=x%3A%40%21%24%27%28%29%2A%2C%3B",
        );
        // An encoded percent sign stays one: nothing is decoded twice.
        check("/b/{x}?p={x}", "/a/%252e%252e%252f/4", "/b/%252e%252e%252f?p=%252e%252e%252f");
    }

    #[test]
    fn what_could_not_be_asked_is_refused_when_it_is_loaded() {
        let refused = |text: &str| text.parse::<Template>().unwrap_err().to_string();
        for text in ["/{", "/}", "/{a", "/a}", "/{}", "/{a{b}}"] {
            assert!(refused(text).contains("brace"), "{text}");
        }
        for text in ["", "a", "http://a.test/b", "/a//b", "/../b", "/a b", "/a#b", "/a?b=c d", "/%61", "/é"] {
            assert!(refused(text).contains("no path"), "{text}");
        }
        let route: PathPattern = "/a/{x}/{*rest}".parse().unwrap();
        let unfit = |text: &str| text.parse::<Template>().unwrap().check(&route).unwrap_err().to_string();
        assert_eq!(unfit("/b/{z}"), "`{z}` is no parameter of `/a/{x}/{*rest}`; its parameters are `{x}`, `{rest}`");
        assert!(unfit("/b?p={rest}").contains("several segments"));
    }
}
