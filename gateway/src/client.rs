//! Where a request comes from, as far as the proxies in front of us are believed.
//!
//! Decides whose `X-Forwarded-For` counts: only that of a trusted proxy, and only up to the first
//! address from the right that is none, for everything left of it may be invented.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who sent a request, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) https: bool,
}

impl Client {
    /// `downstream` is the socket's other end, `https` whether that connection is encrypted.
    pub(crate) fn of(downstream: IpAddr, https: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let downstream = downstream.to_canonical();
        if !is_trusted(downstream, trusted) {
            return Self { address: downstream, https };
        }
        Self { address: forwarded_for(downstream, headers, trusted), https: forwarded_proto(headers).unwrap_or(https) }
    }
}

/// From the right, until one is not trusted. Whatever is no address ends the list there.
fn forwarded_for(downstream: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut believed = downstream;
    for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for text in value.to_str().unwrap_or_default().rsplit(',') {
            let Some(address) = address(text.trim()) else { return believed };
            believed = address;
            if !is_trusted(believed, trusted) {
                return believed;
            }
        }
    }
    believed
}

/// The last word of the nearest proxy; none when it says nothing that we understand.
fn forwarded_proto(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get_all(X_FORWARDED_PROTO).iter().next_back()?.to_str().ok()?;
    match value.rsplit(',').next()?.trim() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(from: &str, fields: &[(&'static str, &str)]) -> Client {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8", "::1/128"].map(|text| text.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Client::of(from.parse().unwrap(), false, &headers, &trusted)
    }

    #[track_caller]
    fn check(from: &str, lists: &[&str], believed: &str) {
        let fields: Vec<_> = lists.iter().map(|list| ("x-forwarded-for", *list)).collect();
        assert_eq!(client(from, &fields).address, believed.parse::<IpAddr>().unwrap(), "{from} {lists:?}");
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        check("192.0.2.9", &["203.0.113.5"], "192.0.2.9");
        check("10.1.2.3", &["203.0.113.5"], "203.0.113.5");
        check("::ffff:10.1.2.3", &["203.0.113.5"], "203.0.113.5");
        check("10.1.2.3", &[], "10.1.2.3");
        check("::1", &["2001:db8::7"], "2001:db8::7");
    }

    #[test]
    fn the_right_most_untrusted_address_wins() {
        check("10.0.0.1", &["1.1.1.1, 203.0.113.5, 10.0.0.2"], "203.0.113.5");
        check("10.0.0.1", &["1.1.1.1", "203.0.113.5", "10.0.0.2,fd00::1"], "203.0.113.5");
        check("10.0.0.1", &["10.0.0.9, 10.0.0.2"], "10.0.0.9");
        check("10.0.0.1", &["10.0.0.9, ::ffff:203.0.113.5"], "203.0.113.5");
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        for garbage in ["unknown", "", "_hidden", "1.2.3", "203.0.113.5;", "\"[2001:db8::7]\"", "[::1"] {
            check("10.0.0.1", &[garbage], "10.0.0.1");
            check("10.0.0.1", &[&format!("1.1.1.1, {garbage}, 10.0.0.2")], "10.0.0.2");
        }
        check("10.0.0.1", &["1.1.1.1", "é"], "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_tolerated() {
        for (text, address) in [
            ("203.0.113.5:8080", "203.0.113.5"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("  203.0.113.5\t", "203.0.113.5"),
        ] {
            check("10.0.0.1", &[text], address);
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_that_the_client_used_tls() {
        let proto = |from, value: &'static str| client(from, &[("x-forwarded-proto", value)]).https;
        assert!(proto("10.0.0.1", "https"));
        assert!(proto("10.0.0.1", "http, https"));
        assert!(!proto("10.0.0.1", "https, http"));
        assert!(!proto("10.0.0.1", "wss"));
        assert!(!proto("192.0.2.9", "https"));
    }
}
