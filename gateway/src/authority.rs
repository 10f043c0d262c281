//! Whom a request is addressed to: the authority of its target or its `Host`, which must agree.
//!
//! Decides whether an authority is well formed and which host and port it names. Whether that
//! host is ours, and which routes belong to it, is decided in `gateway` and `router`.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use http::{Version, header::HOST, request::Parts};

/// The longest host name of DNS (RFC 1035 2.3.4), in bytes.
const HOST_BYTES_MAX: usize = 253;

/// Why a request's authority is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    #[error("the request has no `Host`")]
    Missing,

    #[error("the request has more than one `Host`")]
    Repeated,

    #[error("the request's `Host` and its target name different authorities")]
    Different,

    #[error("the request's `Host` is not a host with an optional port")]
    Invalid,
}

/// A host in lower case without a final dot, and the port if one was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority<'a> {
    pub host: Cow<'a, str>,
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads the authority of a request: from the target if it has one (HTTP/2, absolute form),
    /// else from `Host`; when both are there they must be equal but for case. None for HTTP/1.0
    /// without either, which that version allows and load balancers' checks use.
    ///
    /// # Errors
    /// Any [`AuthorityError`]; the request gets a 400 (RFC 9112 3.2).
    pub fn of(head: &'a Parts) -> Result<Option<Self>, AuthorityError> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let host = hosts.next().map(|value| value.to_str().map_err(|_opaque| AuthorityError::Invalid)).transpose()?;
        if hosts.next().is_some() {
            return Err(AuthorityError::Repeated);
        }
        let target = head.uri.authority().map(http::uri::Authority::as_str);
        match (target, host) {
            (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => Err(AuthorityError::Different),
            (Some(text), _) | (None, Some(text)) => Self::parse(text).map(Some),
            (None, None) if head.version <= Version::HTTP_10 => Ok(None),
            (None, None) => Err(AuthorityError::Missing),
        }
    }

    /// # Errors
    /// [`AuthorityError::Invalid`] for anything but a name, an IPv4 address or an IPv6 address in
    /// brackets, with an optional port. User information is refused.
    pub fn parse(text: &'a str) -> Result<Self, AuthorityError> {
        let (host, port) = split_port(text)?;
        let port = port.map(parse_port).transpose()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        if !is_host(host) {
            return Err(AuthorityError::Invalid);
        }
        let host = match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        Ok(Self { host, port })
    }

    /// Whether this is `own`, one of the gateway's authorities: `example.com` admits any port,
    /// `example.com:8443` only that one.
    pub fn is(&self, own: &str) -> bool {
        match Authority::parse(own) {
            Ok(own) => own.host == self.host && (own.port.is_none() || own.port == self.port),
            Err(_) => false,
        }
    }

    /// Whether it is an IP address rather than a name.
    pub fn is_address(&self) -> bool {
        let host = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        host.parse::<IpAddr>().is_ok()
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), AuthorityError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(AuthorityError::Invalid)? + 1;
        return match text[end..].split_at_checked(1) {
            None => Ok((text, None)),
            Some((":", port)) => Ok((&text[..end], Some(port))),
            Some(_) => Err(AuthorityError::Invalid),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_port(text: &str) -> Result<u16, AuthorityError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AuthorityError::Invalid);
    }
    text.parse().map_err(|_too_large| AuthorityError::Invalid)
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    !host.is_empty()
        && host.len() <= HOST_BYTES_MAX
        && host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_byte))
}

/// Letters, digits, `-`, and `_`, which names of services in clusters use.
pub(crate) fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_an_optional_port() {
        check("a.test", Some(("a.test", None)));
        check("A.Test:80", Some(("a.test", Some(80))));
        check("a.test.", Some(("a.test", None)));
        check("127.0.0.1:3000", Some(("127.0.0.1", Some(3000))));
        check("[::1]:3000", Some(("[::1]", Some(3000))));
        check("[::1]", Some(("[::1]", None)));
        check("users_1", Some(("users_1", None)));
        let longest = format!("{}.{}", "a".repeat(126), "b".repeat(126));
        check(&longest, Some((&longest, None)));
        check(&format!("{longest}c"), None);
        for text in [
            "",
            ".",
            "a..b",
            "user@a.test",
            "a.test:",
            "a.test:x",
            "a.test:+1",
            "a.test:65536",
            "[::1",
            "[::1]x",
            "[a]",
            "a/b",
            "a b",
            "a%2e",
            "é",
            "a,b",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_port_matters_only_where_it_is_written() {
        let authority = Authority::parse("shop.test:3000").unwrap();
        assert!(authority.is("shop.test") && authority.is("shop.test:3000"));
        assert!(!authority.is("shop.test:3001") && !authority.is("test") && !authority.is("www.shop.test"));
    }

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let parsed = Authority::parse(text).ok();
        assert_eq!(parsed.as_ref().map(|a| (a.host.as_ref(), a.port)), expected, "{text}");
    }
}
