//! Which hosts a route is for: one name or address, or every name under a domain.
//!
//! Reads and prints the pattern; which of several matching ones wins is decided in `router`.

use std::{fmt, str::FromStr};

use crate::authority::{Authority, is_label_byte};

/// An exact authority host or `*.example.com` (whole labels, never the bare domain).
///
/// `*.example.com` admits `a.b.example.com` and refuses `example.com`. Names are compared without
/// case and kept in lower case; a port is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern(HostMatch);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HostMatch {
    Exact(String),
    /// The domain below which every name matches.
    Under(String),
}

/// Why a host pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    #[error("`{0}` has a port; a route's host is a name only")]
    Port(String),

    #[error("`{0}` has `*` in it; it may only stand alone in front, as in `*.example.com`")]
    Star(String),

    #[error("`{0}` is no host; write a name such as `api.example.com`, an address, or `*.example.com`")]
    NotAHost(String),
}

impl HostPattern {
    pub(crate) fn matcher(&self) -> &HostMatch {
        &self.0
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, is_under) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(HostPatternError::Star(text.to_owned()));
        }
        let authority = Authority::parse(name).map_err(|_invalid| HostPatternError::NotAHost(text.to_owned()))?;
        if authority.port.is_some() {
            return Err(HostPatternError::Port(text.to_owned()));
        }
        let host = authority.host.into_owned();
        match is_under {
            false => Ok(Self(HostMatch::Exact(host))),
            true if is_domain(&host) => Ok(Self(HostMatch::Under(host))),
            true => Err(HostPatternError::NotAHost(text.to_owned())),
        }
    }
}

/// A name, not an address: there is nothing under `[::1]` or `0.0.1`.
fn is_domain(host: &str) -> bool {
    host.bytes().all(|byte| is_label_byte(byte) || byte == b'.')
        && host.bytes().next_back().is_some_and(|last| !last.is_ascii_digit())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            HostMatch::Exact(host) => f.write_str(host),
            HostMatch::Under(domain) => write!(f, "*.{domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_pattern_prints_as_it_was_written() {
        for text in ["shop.test", "*.shop.test", "127.0.0.1", "[::1]", "localhost", "*.test"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
        assert_eq!("API.Shop.Test".parse::<HostPattern>().unwrap().to_string(), "api.shop.test");
    }

    #[test]
    fn each_common_mistake_has_its_own_sentence() {
        check("shop.test:80", HostPatternError::Port);
        check("*", HostPatternError::Star);
        check("a.*.test", HostPatternError::Star);
        check("*.*.test", HostPatternError::Star);
        for text in ["", "*.", "http://a.test", "a b", "*.0.0.1", "*.[::1]", "a/b"] {
            check(text, HostPatternError::NotAHost);
        }
    }

    #[track_caller]
    fn check(text: &str, error: fn(String) -> HostPatternError) {
        assert_eq!(text.parse::<HostPattern>(), Err(error(text.to_owned())));
    }
}
