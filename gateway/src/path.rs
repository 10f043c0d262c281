//! The one normal form of a request target's path.
//!
//! Every decision about a path (route, later authentication) is made on the normal form, and the
//! normal form is what a service receives, so that no two parts of the system can read one path
//! in two ways. Spellings that some software reads as another path are refused, not repaired:
//! dot segments, empty segments, `\`, `;` and their encodings that hide a separator.
//!
//! Two equivalences of RFC 3986 are applied, both once: needlessly encoded unreserved characters
//! are decoded (6.2.2.2) and hexadecimal digits become upper case (6.2.2.1). Characters that
//! browsers leave as they are though that RFC does not (`|` and others: the URL standard of the
//! WHATWG) become encoded. Every other encoding stays as it was sent. Nothing is ever decoded
//! twice: `%252e` stays `%252e`.

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};

/// Why a request target is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the request target is not a path")]
    NotAPath,

    #[error("the path has an empty segment")]
    EmptySegment,

    #[error("the path has a `.` or `..` segment")]
    DotSegment,

    /// A character RFC 3986 does not allow there, or `;`, which some software cuts paths at.
    #[error("the path has a character that must be percent-encoded")]
    Character,

    #[error("the path has a `%` without two hexadecimal digits")]
    Percent,

    /// An encoded `/`, `\` or control character.
    #[error("the path has an encoded separator or control character")]
    Hidden,

    #[error("the path's percent-encoded bytes are not UTF-8")]
    NotUtf8,

    #[error("the query has a character that must be percent-encoded")]
    Query,
}

/// Brings a target's path into its normal form; the query stays byte for byte as it was.
///
/// # Errors
/// Any [`PathError`]; the request gets a 400. `OPTIONS *` is [`PathError::NotAPath`].
pub fn normalize(uri: &mut Uri) -> Result<(), PathError> {
    let query = uri.query();
    if !query.unwrap_or_default().bytes().all(is_query_byte) {
        return Err(PathError::Query);
    }
    let Cow::Owned(mut target) = normal_form(uri.path())? else {
        return Ok(());
    };
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    let target = PathAndQuery::try_from(target).map_err(|_invalid| PathError::Character)?;
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(target);
    *uri = Uri::from_parts(parts).map_err(|_invalid| PathError::NotAPath)?;
    Ok(())
}

/// The normal form of a path: borrowed when it already is, which is the usual case.
///
/// # Errors
/// Any [`PathError`] but [`PathError::Query`].
pub fn normal_form(path: &str) -> Result<Cow<'_, str>, PathError> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAPath);
    }
    let mut encoded = false;
    for &byte in bytes {
        match byte {
            b'%' => encoded = true,
            _ if is_left_by_browsers(byte) => encoded = true,
            b'/' => {}
            _ if is_plain(byte) => {}
            _ => return Err(PathError::Character),
        }
    }
    let normal = if encoded { decoded_once(path)? } else { Cow::Borrowed(path) };
    check_segments(&normal)?;
    Ok(normal)
}

/// What may stand in a query as it is: all that the URL standard does not encode there. The reader
/// of HTTP/1 and HTTP/2 heads asks this too, and so does whoever explains a request.
pub(crate) const fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

/// What RFC 3986 would have encoded in a path, and clients have not.
fn is_left_by_browsers(byte: u8) -> bool {
    matches!(byte, b'|' | b'[' | b']' | b'^' | b'{' | b'}')
}

/// What may stand in a segment without encoding: `pchar` of RFC 3986 3.3 without `;`.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

/// RFC 3986 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Every segment but the last has a byte, and none is a dot segment. Runs on the decoded form,
/// so `%2e%2e` has become `..` by now.
fn check_segments(path: &str) -> Result<(), PathError> {
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(PathError::DotSegment),
            "" if segments.peek().is_some() => return Err(PathError::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

fn decoded_once(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut normal = String::with_capacity(path.len());
    let mut raw = Vec::new(); // the bytes of encoded non-ASCII characters, to see if they are UTF-8
    let mut rest = path;
    while let Some((plain, after)) = rest.split_once('%') {
        push(&mut normal, plain);
        if !plain.is_empty() {
            check_utf8(&mut raw)?;
        }
        let digits = after.as_bytes().first_chunk::<2>().ok_or(PathError::Percent)?;
        let byte = (hex(digits[0])? << 4) | hex(digits[1])?;
        match byte {
            b'/' | b'\\' | 0x00..=0x1f | 0x7f => return Err(PathError::Hidden),
            _ if is_unreserved(byte) => normal.push(char::from(byte)),
            _ => {
                normal.push('%');
                normal.extend(digits.iter().map(|digit| char::from(digit.to_ascii_uppercase())));
            }
        }
        if byte.is_ascii() {
            check_utf8(&mut raw)?;
        } else {
            raw.push(byte);
        }
        rest = &after[2..];
    }
    push(&mut normal, rest);
    check_utf8(&mut raw)?;
    if normal == path { Ok(Cow::Borrowed(path)) } else { Ok(Cow::Owned(normal)) }
}

fn push(normal: &mut String, plain: &str) {
    for character in plain.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_left_by_browsers(byte) => normal.push_str(&format!("%{byte:02X}")),
            _ => normal.push(character),
        }
    }
}

/// Overlong forms such as `%c0%af`, which lenient decoders read as `/`, end here.
fn check_utf8(raw: &mut Vec<u8>) -> Result<(), PathError> {
    std::str::from_utf8(raw).map_err(|_invalid| PathError::NotUtf8)?;
    raw.clear();
    Ok(())
}

fn hex(digit: u8) -> Result<u8, PathError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::Percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_its_own_normal_form_without_a_copy() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/~d",
            "/a/...",
            "/a/.b",
            "/x:y@z,(1)!$&'*+=",
            "/a/%20b",
            "/a/%C3%A9",
            "/%252e%252e/x",
            "/%3B",
        ] {
            assert!(matches!(normal_form(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn equivalent_spellings_have_one_normal_form() {
        check("/%61pi/%75sers", Ok("/api/users"));
        check("/a%2eb/%7Ec%2d%5F", Ok("/a.b/~c-_"));
        check("/caf%c3%a9", Ok("/caf%C3%A9"));
        check("/%3a", Ok("/%3A"));
        check("/%2541", Ok("/%2541")); // decoded once, it would be `%41`; twice, `A`
        check("/%2e%2e%2e", Ok("/..."));
        check("/a|b/[c]/^/{d}%7b", Ok("/a%7Cb/%5Bc%5D/%5E/%7Bd%7D%7B"));
        check("/a%7cb", Ok("/a%7Cb"));
    }

    #[test]
    fn spellings_that_hide_another_path_are_refused() {
        for path in ["/.", "/..", "/a/../b", "/a/./b", "/a/..", "/%2e", "/%2E%2e", "/.%2e/x", "/a/%2e./b"] {
            check(path, Err(PathError::DotSegment));
        }
        for path in ["//", "//a", "/a//b", "/a//"] {
            check(path, Err(PathError::EmptySegment));
        }
        for path in ["/a%2fb", "/a%2Fb", "/%5c", "/a%5Cb", "/%00", "/a%0d%0ab", "/%7f", "/%1f"] {
            check(path, Err(PathError::Hidden));
        }
        for path in
            ["/a\\b", "/a;b", "/a;", "/..;/x", "/a b", "/a\u{7f}", "/a\u{1}", "/é", "/a#b", "/a?b", "/a\"", "/<", "/`"]
        {
            check(path, Err(PathError::Character));
        }
        for path in ["/%", "/a%2", "/%zz", "/%g0", "/%+1", "/% 1", "/a%é"] {
            assert!(normal_form(path).is_err(), "{path}");
        }
        for path in ["/%c0%af", "/%c0%ae%c0%ae/", "/%ff", "/%C3", "/%C3x%A9", "/%ed%a0%80"] {
            check(path, Err(PathError::NotUtf8));
        }
        for path in ["", "a", "*", "%2f"] {
            check(path, Err(PathError::NotAPath));
        }
    }

    #[test]
    fn the_query_passes_untouched_or_not_at_all() {
        let mut uri = Uri::from_static("http://a.test/%61?q=%2e%2E;//..");
        normalize(&mut uri).unwrap();
        assert_eq!(uri, "http://a.test/a?q=%2e%2E;//..");
        let mut uri = Uri::from_static("/|?q=`|[]^{}\\'");
        normalize(&mut uri).unwrap();
        assert_eq!(uri, "/%7C?q=`|[]^{}\\'");
        let mut uri: Uri = "/a?q=\u{e9}".parse().unwrap();
        assert_eq!(normalize(&mut uri), Err(PathError::Query));
    }

    #[track_caller]
    fn check(path: &str, normal: Result<&str, PathError>) {
        assert_eq!(normal_form(path).as_deref(), normal.as_ref().map(|text| *text), "{path}");
    }
}
