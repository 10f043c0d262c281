//! Origins that may read answers: `https://app.example`, `https://*.example`, `*`.
//!
//! Reads and prints the pattern, and matches it against what a browser says of itself in `Origin`.

use std::{fmt, str::FromStr};

use crate::authority::{Authority, is_label_byte};

/// One entry of `cors.origins`.
///
/// `https://*.example.com` admits `https://a.b.example.com` and refuses `https://example.com`.
/// Scheme and port must be the same; a port that its scheme has anyway may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern(Match);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Match {
    Any,
    /// As browsers write it: lower case, without the usual port.
    Exact(String),
    /// Between `scheme` (with `://`) and `rest` (with the dot before it, and the port).
    Under {
        scheme: String,
        rest: String,
    },
}

/// Why an origin is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginPatternError {
    #[error("`null` is the origin of every sandboxed page and local file; name the origins you mean")]
    Null,

    #[error("`{0}` has no scheme; write `https://{0}`")]
    NoScheme(String),

    #[error("`{text}` has a path; an origin is only `{origin}`")]
    Path { text: String, origin: String },

    #[error("`{0}` has `*` in it; it may only be the first label, as in `https://*.example.com`, or stand alone")]
    Star(String),

    #[error("`{0}` is no origin; write it like `https://app.example.com` or `http://localhost:5173`")]
    NotAnOrigin(String),
}

impl OriginPattern {
    pub fn is_any(&self) -> bool {
        self.0 == Match::Any
    }

    pub fn admits(&self, origin: &str) -> bool {
        match &self.0 {
            Match::Any => true,
            Match::Exact(exact) => exact == origin,
            Match::Under { scheme, rest } => {
                origin.strip_prefix(scheme.as_str()).and_then(|origin| origin.strip_suffix(rest.as_str())).is_some_and(
                    |labels| labels.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_byte)),
                )
            }
        }
    }
}

impl FromStr for OriginPattern {
    type Err = OriginPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "*" => return Ok(Self(Match::Any)),
            "null" => return Err(OriginPatternError::Null),
            _ => {}
        }
        let wrong = || OriginPatternError::NotAnOrigin(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(|| OriginPatternError::NoScheme(text.to_owned()))?;
        if !is_scheme(scheme) {
            return Err(wrong());
        }
        if let Some(end) = rest.find(['/', '?', '#']) {
            let origin = format!("{scheme}://{}", &rest[..end]);
            return Err(OriginPatternError::Path { text: text.to_owned(), origin });
        }
        let (domain, is_under) = match rest.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (rest, false),
        };
        if domain.contains('*') {
            return Err(OriginPatternError::Star(text.to_owned()));
        }
        let authority = Authority::parse(domain).map_err(|_invalid| wrong())?;
        let scheme = format!("{}://", scheme.to_ascii_lowercase());
        let usual = match scheme.as_str() {
            "https://" => Some(443),
            "http://" => Some(80),
            _ => None,
        };
        let port =
            authority.port.filter(|port| Some(*port) != usual).map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self(match is_under {
            false => Match::Exact(format!("{scheme}{}{port}", authority.host)),
            // There is nothing under an address.
            true if !authority.host.ends_with(|last: char| last == ']' || last.is_ascii_digit()) => {
                Match::Under { scheme, rest: format!(".{}{port}", authority.host) }
            }
            true => return Err(wrong()),
        }))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Match::Any => f.write_str("*"),
            Match::Exact(exact) => f.write_str(exact),
            Match::Under { scheme, rest } => write!(f, "{scheme}*{rest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_prints_as_browsers_write_it() {
        for text in ["*", "https://app.example", "https://*.app.example:8443", "http://[::1]:3000", "tauri://localhost"]
        {
            assert_eq!(text.parse::<OriginPattern>().unwrap().to_string(), text);
        }
        assert_eq!("HTTPS://App.Example:443".parse::<OriginPattern>().unwrap().to_string(), "https://app.example");
    }

    #[test]
    fn an_origin_is_admitted_by_its_scheme_its_host_and_its_port() {
        check("https://app.example", &["https://app.example"]);
        check("https://app.example:443", &["https://app.example"]);
        check("https://*.example", &["https://app.example", "https://a.b.example"]);
        check("https://*.example:8443", &["https://app.example:8443"]);
        check("http://localhost:5173", &["http://localhost:5173"]);
        check("*", ORIGINS);
    }

    const ORIGINS: &[&str] = &[
        "https://app.example",
        "http://app.example",
        "https://app.example:8443",
        "https://a.b.example",
        "https://example",
        "https://.example",
        "https://evilexample",
        "https://app.example.evil.test",
        "https://evil.test/.example",
        "https://evil.test:80.example",
        "https://u@x.example",
        "http://localhost:5173",
        "http://localhost",
        "null",
        "",
    ];

    #[track_caller]
    fn check(pattern: &str, admitted: &[&str]) {
        let pattern: OriginPattern = pattern.parse().unwrap();
        let all: Vec<_> = ORIGINS.iter().copied().filter(|origin| pattern.admits(origin)).collect();
        assert_eq!(all, admitted, "{pattern}");
    }

    #[test]
    fn each_common_mistake_has_its_own_sentence() {
        for (text, says) in [
            ("null", "sandboxed"),
            ("app.example", "write `https://app.example`"),
            ("https://app.example/", "only `https://app.example`"),
            ("https://app.example/x", "only `https://app.example`"),
            ("https://*", "first label"),
            ("https://a.*.example", "first label"),
            ("https://*.*.example", "first label"),
            ("https://", "is no origin"),
            ("https://a b", "is no origin"),
            ("https://*.0.0.1", "is no origin"),
            ("1://a", "is no origin"),
        ] {
            let error = text.parse::<OriginPattern>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
