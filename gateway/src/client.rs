//! Where a request comes from, as far as the proxies in front of us are believed.
//!
//! Decides whose `X-Forwarded-*` and `Forwarded` count: only those of a trusted proxy, and only up
//! to the first address from the right that is none, for everything left of it may be invented.
//! Where there is any `X-Forwarded-*`, a `Forwarded` counts for nothing: a proxy that sets the one
//! lets the other through from whoever wrote it.

mod address;
mod forwarded;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

pub(crate) use self::address::AddressText;
use self::forwarded::address;
use crate::authority::Authority;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who sent a request, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) https: bool,
    /// What it asked a trusted proxy for, where that says so: a valid authority.
    pub(crate) host: Option<HeaderValue>,
}

impl Client {
    /// `downstream` is the socket's other end, `https` whether that connection is encrypted.
    pub(crate) fn of(downstream: IpAddr, https: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let downstream = downstream.to_canonical();
        let unproxied = Self { address: downstream, https, host: None };
        if !is_trusted(downstream, trusted) {
            return unproxied;
        }
        if [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO].iter().any(|name| headers.contains_key(name)) {
            return Self {
                address: believed(downstream, forwarded_for(headers), trusted),
                https: last(headers, X_FORWARDED_PROTO).and_then(is_https).unwrap_or(https),
                host: last(headers, X_FORWARDED_HOST).and_then(host),
            };
        }
        let Some(elements) = forwarded::elements(headers) else { return unproxied };
        let nearest = elements.last();
        Self {
            address: believed(downstream, elements.iter().rev().map(|element| element.from), trusted),
            https: nearest.and_then(|nearest| is_https(nearest.proto.as_deref()?)).unwrap_or(https),
            host: nearest.and_then(|nearest| host(nearest.host.as_deref()?)),
        }
    }
}

/// The nearest address that is not trusted. `addresses` begins with what the nearest proxy says;
/// whatever is no address ends the list there.
fn believed(downstream: IpAddr, addresses: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> IpAddr {
    let mut believed = downstream;
    for address in addresses {
        let Some(address) = address else { break };
        believed = address;
        if !is_trusted(believed, trusted) {
            break;
        }
    }
    believed
}

/// From the right.
fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
    values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(',')).map(|text| address(text.trim()))
}

/// The last word of the nearest proxy.
fn last(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// None when it is nothing that we understand.
fn is_https(proto: &str) -> Option<bool> {
    match proto {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

fn host(text: &str) -> Option<HeaderValue> {
    Authority::parse(text).ok()?;
    HeaderValue::from_str(text).ok()
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
    fn forwarded_is_believed_like_the_others_and_only_without_them() {
        let by = |from, list: &str| client(from, &[("forwarded", list)]);
        let whole = Client {
            address: "203.0.113.5".parse().unwrap(),
            https: true,
            host: Some(HeaderValue::from_static("shop.test:8443")),
        };
        let list = "for=1.1.1.1;host=evil.test, for=203.0.113.5;proto=https;host=\"shop.test:8443\"";
        assert_eq!(by("10.0.0.1", list), whole);
        assert_eq!(by("10.0.0.1", &format!("{list}, for=\"[fd00::1]:80\"")).address, whole.address);
        for (from, list) in [("192.0.2.9", list), ("10.0.0.1", "for=203.0.113.5;"), ("10.0.0.1", "for=unknown")] {
            let unproxied = Client { address: from.parse().unwrap(), https: false, host: None };
            assert_eq!(by(from, list), unproxied, "{list}");
        }
        for (name, value) in
            [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "b.test")]
        {
            let both = client("10.0.0.1", &[("forwarded", list), (name, value)]);
            assert_eq!(both, client("10.0.0.1", &[(name, value)]), "{name}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_what_host_was_asked_for() {
        let host = |from, value: &'static str| client(from, &[("x-forwarded-host", value)]).host;
        assert_eq!(host("10.0.0.1", "shop.test").unwrap(), "shop.test");
        assert_eq!(host("10.0.0.1", "evil.test, shop.test:8443").unwrap(), "shop.test:8443");
        assert_eq!(host("192.0.2.9", "shop.test"), None);
        for invalid in ["", "a b", "http://a.test", "u@a.test", "a.test/"] {
            assert_eq!(host("10.0.0.1", invalid), None, "{invalid}");
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
