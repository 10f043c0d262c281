//! One request that `permissions.call` names: a method, and a path in the gateway's normal form.

use std::{fmt, str::FromStr};

use http::Method;

/// One request that may be made: `POST /api/products/*/reserve`; `*` is one whole segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallPattern {
    method: Method,
    path: String,
}

/// Why a text is no [`CallPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallPatternError {
    #[error("`{0}` is no request; write a method and a path, like `POST /api/products/*/reserve`")]
    Shape(String),

    #[error("`{0}` is no method in capitals; write one like `GET`")]
    Method(String),

    #[error("`{path}` is no path in normal form: {reason}")]
    Path { path: String, reason: String },

    #[error("`*` stands for one whole segment; `{0}` has it inside of one")]
    InnerStar(String),
}

impl CallPattern {
    /// The pattern for a request that was made. What looks like somebody's id is any segment.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        Self { method: method.clone(), path: without_ids(path) }
    }
}

impl CallPattern {
    /// The requests that both allow.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let method = match (&self.method, &other.method) {
            (one, same) if one == same => one,
            (&Method::GET, head @ &Method::HEAD) | (head @ &Method::HEAD, &Method::GET) => head,
            _ => return None,
        };
        if self.path.split('/').count() != other.path.split('/').count() {
            return None;
        }
        let segment = |pair| match pair {
            ("*", "") | ("", "*") => None,
            ("*", one) | (one, "*") => Some(one),
            (one, same) if one == same => Some(one),
            _ => None,
        };
        let segments: Option<Vec<&str>> = self.path.split('/').zip(other.path.split('/')).map(segment).collect();
        Some(Self { method: method.clone(), path: segments?.join("/") })
    }

    /// Whether it allows every request that `other` does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.meet(other).as_ref() == Some(other)
    }

    /// `GET` allows `HEAD` too, as it does for routes.
    pub(super) fn allows(&self, method: &Method, path: &str) -> bool {
        let method = self.method == *method || (self.method == Method::GET && *method == Method::HEAD);
        let (mut pattern, mut segments) = (self.path.split('/'), path.split('/'));
        method
            && loop {
                match (pattern.next(), segments.next()) {
                    (None, None) => break true,
                    (Some("*"), Some(segment)) if !segment.is_empty() => {}
                    (Some(wanted), Some(segment)) if wanted == segment && wanted != "*" => {}
                    _ => break false,
                }
            }
    }
}

impl FromStr for CallPattern {
    type Err = CallPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (method, path) = text.split_once(' ').ok_or_else(|| CallPatternError::Shape(text.to_owned()))?;
        let parsed = Method::from_bytes(method.as_bytes()).ok();
        let known = parsed.filter(|parsed| parsed.as_str().bytes().all(|byte| byte.is_ascii_uppercase()));
        let method = known.ok_or_else(|| CallPatternError::Method(method.to_owned()))?;
        let reason = |reason: String| CallPatternError::Path { path: path.to_owned(), reason };
        let normal = gateway::path::normal_form(path).map_err(|error| reason(error.to_string()))?;
        if normal != path {
            return Err(reason(format!("write `{normal}`")));
        }
        match path.split('/').any(|segment| segment.contains('*') && segment != "*") {
            true => Err(CallPatternError::InnerStar(path.to_owned())),
            false => Ok(Self { method, path: path.to_owned() }),
        }
    }
}

impl fmt::Display for CallPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// A path as a permission would name it: what looks like somebody's id is any segment.
fn without_ids(path: &str) -> String {
    let is_id = |segment: &str| {
        let hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        !segment.is_empty() && hex && digits > 0 && (digits == segment.len() || segment.len() >= 16)
    };
    let plain = |segment| if is_id(segment) { "*" } else { segment };
    path.split('/').map(plain).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_method_and_a_path_in_normal_form() {
        for text in ["GET /", "POST /api/products/*/reserve", "DELETE /a/*"] {
            assert_eq!(text.parse::<CallPattern>().unwrap().to_string(), text);
        }
        for (text, says) in [
            ("/api", "is no request"),
            ("get /", "in capitals"),
            ("GET api", "not a path"),
            ("GET /a/../b", "`..` segment"),
            ("GET /%61", "write `/a`"),
            ("GET /a*b", "inside of one"),
            ("GET /**", "inside of one"),
        ] {
            let error = text.parse::<CallPattern>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
