//! The grammar of single lines and values: which bytes may stand where (RFC 9110 section 5,
//! RFC 9112 section 3). No state, no limits on how much.

use std::{io::BufRead, net::Ipv6Addr};

use super::fault::Fault;
use crate::path::is_query_byte;

/// Bytes in a method at most.
pub const METHOD_MAX: usize = 32;
/// Bytes in a request target at most.
pub const TARGET_MAX: usize = 8 * 1024;

const TOKEN: u8 = 1;
const VALUE: u8 = 2;
const TARGET: u8 = 4;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || one_of(b, b"!#$%&'*+-.^_`|~") {
            table[byte] |= TOKEN;
        }
        // obs-text (0x80 and above) is opaque data: RFC 9110 section 5.5.
        if b == b'\t' || (b >= b' ' && b != 0x7f) {
            table[byte] |= VALUE;
        }
        // RFC 3986, and beyond it the bytes that browsers leave as they are. What a path may hold
        // is for `path` to say, and so is what a query may; `#` never reaches a server.
        if b.is_ascii_alphanumeric() || one_of(b, b"-._~!$&'()*+,;=:@/?%[]{}|^\\") {
            table[byte] |= TARGET;
        }
        byte += 1;
    }
    table
}

const fn one_of(byte: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|byte| CLASS[usize::from(*byte)] & class != 0)
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// The index of the first line feed.
pub(crate) fn line_feed(bytes: &[u8]) -> Option<usize> {
    // Reading from a slice cannot fail, and this is the standard library's vectorised search.
    let mut rest = bytes;
    let skipped = rest.skip_until(b'\n').unwrap_or(0);
    (skipped > 0 && bytes[skipped - 1] == b'\n').then(|| skipped - 1)
}

/// What a request line says that later lines are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestLine<'a> {
    pub(crate) http_11: bool,
    /// Of an absolute-form target.
    pub(crate) authority: Option<&'a [u8]>,
}

/// Judges a request line without its CRLF.
pub(crate) fn request_line(line: &[u8]) -> Result<RequestLine<'_>, Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), Some(version), None) => (method, target, version),
        _ => return Err(Fault::RequestLine),
    };
    if method.len() > METHOD_MAX || !is_token(method) {
        return Err(Fault::Method);
    }
    if target.len() > TARGET_MAX {
        return Err(Fault::TargetTooLong);
    }
    let http_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err(Fault::Version),
    };
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(Fault::MethodRefused);
    }
    Ok(RequestLine { http_11, authority: target_authority(method, target)? })
}

/// Judges a target in origin, asterisk or absolute form: RFC 9112 section 3.2.
fn target_authority<'a>(method: &[u8], target: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
    let query = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    if !all(&target[..query], TARGET) || !target[query..].iter().copied().all(is_query_byte) {
        return Err(Fault::Target);
    }
    match target {
        [b'/', ..] => Ok(None),
        b"*" if method == b"OPTIONS" => Ok(None),
        _ => {
            let rest = strip_ignoring_case(target, b"http://")
                .or_else(|| strip_ignoring_case(target, b"https://"))
                .ok_or(Fault::Target)?;
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            if !is_authority(&rest[..end]) {
                return Err(Fault::Target);
            }
            Ok(Some(&rest[..end]))
        }
    }
}

/// Whether `target` is in origin form, or the asterisk of `OPTIONS`: all that HTTP/2 has.
pub(crate) fn is_target(method: &http::Method, target: &[u8]) -> bool {
    matches!(target_authority(method.as_str().as_bytes(), target), Ok(None))
}

fn strip_ignoring_case<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Splits a field line without its CRLF into name and trimmed value: RFC 9112 section 5.
pub(crate) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if let [b' ' | b'\t', ..] = line {
        return Err(Fault::Folded);
    }
    let name_end = line.iter().position(|byte| CLASS[usize::from(*byte)] & TOKEN == 0);
    match name_end {
        Some(end) if end > 0 && line[end] == b':' => {
            let value = &line[end + 1..];
            if !all(value, VALUE) {
                return Err(Fault::FieldValue);
            }
            Ok((&line[..end], trim(value)))
        }
        _ => Err(Fault::FieldName),
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether `host[:port]` names a host: a name of letters, digits, `-`, `.` and `_`, an IPv4
/// address or `[IPv6]`. No user, no empty port, no percent escapes.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let (host_is_valid, rest) = match bytes {
        [b'[', inside @ ..] => match inside.iter().position(|byte| *byte == b']') {
            Some(end) => (is_ipv6(&inside[..end]), &inside[end + 1..]),
            None => return false,
        },
        _ => {
            let end = bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len());
            (is_host_name(&bytes[..end]), &bytes[end..])
        }
    };
    host_is_valid && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

fn is_ipv6(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_host_name(bytes: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=255).contains(&bytes.len()) && bytes.iter().all(allowed)
}

fn is_port(bytes: &[u8]) -> bool {
    number(bytes, 5).is_some_and(|port| (1..=65535).contains(&port))
}

/// Decimal digits and nothing else, at most `digits_max` of them (19 always fit).
pub(crate) fn number(bytes: &[u8], digits_max: usize) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > digits_max.min(19) || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_target_or_authority_passes_here_hyper_can_parse() {
        for byte in 0..=255u8 {
            for target in [[b'/', byte].to_vec(), [b'/', b'?', byte].to_vec()] {
                if target_authority(b"GET", &target).is_ok() {
                    assert!(http::Uri::try_from(target.as_slice()).is_ok(), "{target:?}");
                }
            }
        }
        for authority in ["a", "a_b.c-d", "127.0.0.1:80", "[::1]", "[::1]:8080", "a:65535", "..."] {
            assert!(is_authority(authority.as_bytes()), "{authority}");
            assert!(authority.parse::<http::uri::Authority>().is_ok(), "{authority}");
            let target = format!("http://{authority}?a");
            assert!(http::Uri::try_from(target).is_ok(), "{authority}");
        }
    }

    #[test]
    fn odd_authorities_are_refused() {
        for authority in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:-1",
            "u@a",
            "a b",
            "a,b",
            "[::1",
            "::1",
            "[a]",
            "[::1]a",
            "a/b",
            "[fe80::1%25eth0]",
            "a:80:80",
            "é",
            "a%2fb",
        ] {
            assert!(!is_authority(authority.as_bytes()), "{authority}");
        }
    }

    #[test]
    fn a_line_feed_is_found_only_where_one_is() {
        assert_eq!(line_feed(b""), None);
        assert_eq!(line_feed(b"abc"), None);
        assert_eq!(line_feed(b"\n"), Some(0));
        assert_eq!(line_feed(b"ab\nc\n"), Some(2));
    }
}
