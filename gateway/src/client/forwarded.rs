//! `Forwarded` of RFC 7239: what each proxy on the way says of whom it heard.
//!
//! Reads the grammar, and an address as proxies write it, and nothing else: whom to believe is decided by [`Client`](super::Client). A
//! list that is not valid says nothing at all, for quotes decide where its parts begin.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// What one proxy says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// None too when it hides whom it heard: `unknown`, `_name`.
    pub(super) from: Option<IpAddr>,
    pub(super) proto: Option<String>,
    pub(super) host: Option<String>,
}

/// All elements of all `Forwarded` headers, that of the nearest proxy last. None without the
/// header, and when it is not valid.
pub(super) fn elements(headers: &HeaderMap) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    for value in headers.get_all(http::header::FORWARDED) {
        let mut rest = value.to_str().ok()?;
        loop {
            let (element, after) = element(rest)?;
            elements.push(element);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    (!elements.is_empty()).then_some(elements)
}

/// `for=192.0.2.1;proto=https`, and what stands behind its comma.
fn element(text: &str) -> Option<(Element, Option<&str>)> {
    let mut element = Element::default();
    let mut rest = text.trim_start();
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        match name.to_ascii_lowercase().as_str() {
            "for" => element.from = address(&value),
            "proto" => element.proto = Some(value),
            "host" => element.host = Some(value),
            name if is_token(name) => {}
            _ => return None,
        }
        let after = after.trim_start();
        match after.as_bytes().first() {
            None => return Some((element, None)),
            Some(b',') => return Some((element, Some(&after[1..]))),
            Some(b';') => rest = after[1..].trim_start(),
            Some(_) => return None,
        }
    }
}

/// A token or a quoted string (RFC 9110 5.6.4), and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        // Ports and brackets without quotes are no tokens, and common.
        let is_plain = !text[..end].is_empty() && !text[..end].contains(['"', '=', '\\']);
        return is_plain.then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Option<Vec<Element>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(http::header::FORWARDED, HeaderValue::from_str(value).unwrap());
        }
        elements(&headers)
    }

    fn said(from: Option<&str>, proto: Option<&str>, host: Option<&str>) -> Element {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Element { from: from.map(|from| from.parse().unwrap()), proto: text(proto), host: text(host) }
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        assert_eq!(read(&["for=\"_gazonk\""]), Some(vec![said(None, None, None)]));
        assert_eq!(
            read(&["For=\"[2001:db8:cafe::17]:4711\""]),
            Some(vec![said(Some("2001:db8:cafe::17"), None, None)])
        );
        let one = said(Some("192.0.2.60"), Some("http"), None);
        assert_eq!(read(&["for=192.0.2.60;proto=http;by=203.0.113.43"]), Some(vec![one]));
        let two = vec![said(Some("192.0.2.43"), None, None), said(Some("198.51.100.17"), None, None)];
        assert_eq!(read(&["for=192.0.2.43, for=198.51.100.17"]), Some(two));
        let two = vec![
            said(Some("192.0.2.43"), None, Some("a, \"b\";c")),
            said(Some("198.51.100.17"), Some("https"), Some("a.test:80")),
        ];
        let lists = ["for=192.0.2.43;host=\"a, \\\"b\\\";c\"", "host=\"a.test:80\" ; proto=https;for=198.51.100.17"];
        assert_eq!(read(&lists), Some(two));
    }

    #[test]
    fn a_list_that_is_not_valid_says_nothing() {
        let invalid = [
            "",
            "for",
            "for=",
            "for=\"1.2.3.4",
            "for=1.2.3.4,",
            "for=1.2.3.4;",
            "for=a=b",
            "=1",
            "f r=1",
            "for=\"a\"b",
        ];
        for list in invalid {
            assert_eq!(read(&[list]), None, "{list}");
            assert_eq!(read(&["for=192.0.2.43", list]), None, "{list}");
        }
        assert_eq!(read(&[]), None);
    }
}
