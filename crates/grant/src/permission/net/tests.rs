//! What `permissions.net` allows, as tables.

use std::net::IpAddr;

use super::*;
use crate::{Grants, Permissions};

fn grants(allow: &[&str], deny: &[&str]) -> Grants {
    let patterns = |texts: &[&str]| -> Arc<[NetPattern]> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let net = Net { allow: NetAllow::Only(patterns(allow)), deny: patterns(deny) };
    Grants::new("orders".into(), "shop.toml".into(), Permissions { net, ..Permissions::default() })
}

/// Whether `target` is allowed when its name, if it is one, resolves to 93.184.216.34.
fn allowed(grants: &Grants, target: &str) -> bool {
    resolved(grants, target, &["93.184.216.34"])
}

fn resolved(grants: &Grants, target: &str, addresses: &[&str]) -> bool {
    let Ok(target) = target.parse::<Target>() else { return false };
    let Ok(granted) = grants.net(&target) else { return false };
    let addresses: Vec<IpAddr> = match target.place {
        Place::Address(address) => vec![address],
        Place::Name(_) => addresses.iter().map(|text| text.parse().unwrap()).collect(),
    };
    granted.get().admit(&addresses).is_ok()
}

#[track_caller]
fn check(allow: &[&str], deny: &[&str], yes: &[&str], no: &[&str]) {
    let grants = grants(allow, deny);
    for target in yes {
        assert!(allowed(&grants, target), "{target} with {allow:?} but {deny:?}");
    }
    for target in no {
        assert!(!allowed(&grants, target), "{target} with {allow:?} but {deny:?}");
    }
}

#[test]
fn an_entry_is_a_host_with_its_port_and_its_scheme() {
    check(
        &["api.example.com:443"],
        &[],
        &["https://api.example.com", "https://API.Example.COM.", "http://api.example.com:443"],
        &["http://api.example.com", "https://api.example.com:444", "https://example.com", "https://xapi.example.com"],
    );
    check(&["a.example"], &[], &["http://a.example", "https://a.example", "http://a.example:9"], &["http://b.example"]);
    check(&["https://a.example"], &[], &["https://a.example", "https://a.example:8443"], &["http://a.example:443"]);
    check(
        &["bücher.example:80"],
        &[],
        &["http://xn--bcher-kva.example", "http://BÜCHER.example"],
        &["http://bucher.example"],
    );
}

#[test]
fn a_wildcard_is_subdomains_only() {
    check(
        &["*.example.com:443"],
        &[],
        &["https://a.example.com", "https://a.b.example.com"],
        &["https://example.com", "https://.example.com", "https://aexample.com", "https://example.com.evil.org"],
    );
}

#[test]
fn deny_wins_whatever_is_more_specific_and_looks_at_resolved_addresses_too() {
    check(&["api.example.com"], &["*.example.com"], &[], &["https://api.example.com"]);
    check(&["*.example.com"], &["api.example.com"], &["https://b.example.com"], &["https://api.example.com"]);
    check(&["10.1.2.3:80"], &["10.0.0.0/8"], &[], &["http://10.1.2.3"]);
    let some = grants(&["api.example.com"], &["93.184.0.0/16"]);
    assert!(!resolved(&some, "https://api.example.com", &["93.184.216.34"]));
    assert!(!resolved(&some, "https://api.example.com", &["::ffff:93.184.216.34"]));
    assert!(!resolved(&some, "https://api.example.com", &["64:ff9b::5db8:d822"]));
    assert!(resolved(&some, "https://api.example.com", &["93.184.216.34", "1.1.1.1"]), "the others stay");
    let target: Target = "https://api.example.com".parse().unwrap();
    let admitted = some.net(&target).unwrap();
    let admitted = admitted.get().admit(&["93.184.216.34".parse().unwrap(), "1.1.1.1".parse().unwrap()]).unwrap();
    assert_eq!(admitted.get(), &["1.1.1.1:443".parse().unwrap()]);
}

#[test]
fn a_deny_covers_an_entry_when_it_leaves_nothing_of_it() {
    for (deny, entry, expected) in [
        ("10.0.0.0/8", "10.1.2.3:8080", true),
        ("10.0.0.0/8", "http://10.1.0.0/16:80", true),
        ("10.0.0.0/8", "10.0.0.0/8", true),
        ("10.1.0.0/16", "10.0.0.0/8", false),
        ("[::ffff:10.0.0.0/104]", "10.1.2.3", true),
        ("[fd00::/8]:443", "[fd12::1]:443", true),
        ("[fd00::/8]:443", "[fd12::1]", false),
        ("[fd00::/8]:443", "[fd12::1]:80", false),
        ("*.example.com", "api.example.com:443", true),
        ("*.example.com", "*.api.example.com", true),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.api.example.com", "*.example.com", false),
        ("api.example.com", "*.example.com", false),
        ("https://a.example", "https://a.example:443", true),
        ("https://a.example", "a.example", false),
        ("http://a.example", "https://a.example", false),
        ("0.0.0.0/0", "a.example", false),
    ] {
        let covers = deny.parse::<NetPattern>().unwrap().covers(&entry.parse().unwrap());
        assert_eq!(covers, expected, "{deny} covers {entry}");
        let need = entry.parse().unwrap();
        assert_eq!(
            grants(&[entry], &[deny]).left().net.grants(&need),
            !expected,
            "a need of {entry} with a deny of {deny}"
        );
        let net = Net { allow: NetAllow::Everything, deny: [deny.parse().unwrap()].into() };
        assert_eq!(net.grants(&need), !expected, "a need of {entry} when everything is allowed but {deny}");
    }
}

#[test]
fn ranges_are_of_addresses_and_carry_ports() {
    check(
        &["10.2.0.0/16:8080", "[fd00::/8]:443"],
        &[],
        &[
            "http://10.2.3.4:8080",
            "https://[fd12::1]",
            "http://[::ffff:10.2.3.4]:8080",
            "http://[64:ff9b::a02:304]:8080",
        ],
        &["http://10.2.3.4", "http://10.3.0.1:8080", "http://[fd12::1]", "http://internal.example:8080"],
    );
}

#[test]
fn names_do_not_lead_into_special_ranges_nor_wildcards_into_private_ones() {
    let exact = grants(&["api.example.com:443"], &[]);
    let wild = grants(&["*.example.com:443"], &[]);
    for private in [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fc00::1",
        "fd12::1",
        "::ffff:10.0.0.1",
    ] {
        assert!(resolved(&exact, "https://api.example.com", &[private]), "{private}: the operator named that host");
        assert!(!resolved(&wild, "https://api.example.com", &[private]), "{private}");
    }
    for order in [["*.example.com:443", "api.example.com:443"], ["api.example.com:443", "*.example.com:443"]] {
        let both = grants(&order, &[]);
        assert!(resolved(&both, "https://api.example.com", &["10.0.0.1"]), "the order never matters");
        assert!(!resolved(&both, "https://other.example.com", &["10.0.0.1"]));
    }
    for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
        assert!(resolved(&wild, "https://api.example.com", &[public]), "{public}");
    }
    for special in SPECIAL {
        assert!(!resolved(&exact, "https://api.example.com", &[special]), "{special}");
        assert!(!resolved(&wild, "https://api.example.com", &[special]), "{special}");
    }
    let localhost = grants(&["localhost:443"], &[]);
    assert!(
        resolved(&localhost, "https://localhost", &["127.0.0.1"])
            && resolved(&localhost, "https://localhost", &["::1"])
    );
    assert!(!resolved(&localhost, "https://localhost", &["169.254.169.254"]));
}

const SPECIAL: [&str; 27] = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "192.0.0.8",
    "198.18.0.1",
    "198.19.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "100.100.100.200",
    "168.63.129.16",
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "2001:db8::1",
    "fd00:ec2::254",
    "fec0::1",
    "2001::1",
];

/// Every way that some software reads as this IPv4 address.
fn spellings(address: std::net::Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    let (low16, low24) = (number & 0xffff, number & 0xff_ffff);
    let (high, low) = (number >> 16, number & 0xffff);
    let mut all = vec![
        address.to_string(),
        format!("{address}."),
        format!("{number}"),
        format!("0x{number:x}"),
        format!("0X{number:X}"),
        format!("0{number:o}"),
        format!("{a}.{low24}"),
        format!("{a}.{b}.{low16}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:03}.{b:03}.{c:03}.{d:03}"),
        format!("{a}.{b}.{c}.0x{d:x}"),
        format!("{a}.{b}.{c}.0{d:o}"),
        format!("0x{a:x}.{low24}"),
        format!("{a}.0x{low24:x}"),
        format!("{a}。{b}。{c}。{d}"),
        format!("{a}.{b}.{c}.{d}%00"),
        format!("%3{a}.{b}.{c}.{d}"),
        format!("user@{address}"),
        format!("a:b@{address}"),
        format!("[::ffff:{address}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{high:x}:{low:x}]"),
        format!("[::{address}]"),
        format!("[64:ff9b::{address}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[::ffff:{high:x}:{low:x}%25eth0]"),
        format!("[fe80::{high:x}:{low:x}%eth0]"),
        format!("{address}.."),
        format!("{}", u64::from(number) + (1 << 32)),
    ];
    let wide: String = address
        .to_string()
        .chars()
        .map(|c| match c.to_digit(10) {
            Some(digit) => char::from_u32(0xff10 + digit).unwrap(),
            None => c,
        })
        .collect();
    all.push(wide);
    all
}

#[test]
fn no_spelling_of_a_special_or_private_address_gets_past_grants_that_do_not_name_it() {
    let grants = [
        grants(&["*.example.com", "*.internal.test", "api.example.com"], &[]),
        grants(
            &["0.0.0.0/0", "[::/0]"],
            &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "[fc00::/7]"],
        ),
    ];
    let private = ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1"];
    let mut tried = 0;
    for text in SPECIAL.into_iter().chain(private) {
        let places = match text.parse().unwrap() {
            IpAddr::V4(v4) => spellings(v4),
            IpAddr::V6(v6) => vec![format!("[{v6}]"), format!("[{v6}%25lo]"), format!("[{v6}]."), v6.to_string()],
        };
        for place in places {
            for scheme in ["http://", "https://"] {
                for port in ["", ":80", ":8080"] {
                    for grants in &grants {
                        assert!(!allowed(grants, &format!("{scheme}{place}{port}")), "{scheme}{place}{port}");
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn a_special_address_is_opened_by_an_entry_for_it_or_for_its_range_and_by_no_wider_one() {
    for (entry, target, yes) in [
        ("127.0.0.1", "http://127.0.0.1", true),
        ("127.0.0.0/8", "http://127.9.9.9", true),
        ("[::1]", "http://[::1]", true),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]", true),
        ("[::ffff:127.0.0.1]", "http://127.0.0.1", true),
        ("169.254.0.0/16", "http://169.254.1.1", true),
        ("169.254.0.0/16", "http://169.254.169.254", false),
        ("169.254.169.254", "http://169.254.169.254", true),
        ("100.64.0.0/10", "http://100.64.1.1", true),
        ("100.64.0.0/10", "http://100.100.100.200", false),
        ("126.0.0.0/7", "http://127.0.0.1", false),
        ("0.0.0.0/0", "http://127.0.0.1", false),
        ("0.0.0.0/0", "http://8.8.8.8", true),
        ("[fd00::/8]", "http://[fd00:ec2::254]", false),
    ] {
        assert_eq!(allowed(&grants(&[entry], &[]), target), yes, "{entry} {target}");
    }
    let both = grants(&["0.0.0.0/0", "127.0.0.1:80"], &[]);
    assert!(allowed(&both, "http://127.0.0.1"), "the entry that opens it counts, wherever it stands");
}

#[test]
fn entries_are_printed_as_they_are_written_and_mistakes_say_what_to_write() {
    for text in [
        "api.example.com:443",
        "*.example.com",
        "https://a.example",
        "http://*.a.example:8080",
        "10.2.0.0/16:8080",
        "[fd00::/8]:443",
        "10.0.0.1",
        "[::1]:80",
        "localhost:5432",
    ] {
        assert_eq!(text.parse::<NetPattern>().unwrap().to_string(), text);
    }
    for (text, says) in [
        ("*", "names every host"),
        ("*:443", "names every host"),
        ("a.*.example", "not its first label"),
        ("*example.com", "not its first label"),
        ("https://api.example.com/v1", "write `https://api.example.com`"),
        ("api.example.com/v1", "write `api.example.com`"),
        ("10.2.3.4/16", "write `10.2.0.0/16`"),
        ("10.0.0.0/33", "no range"),
        ("fd00::1", "`[fd00::1]`"),
        ("users.internal", "permissions.call"),
        ("a@b.example", "user name"),
        ("a.example:0", "no port"),
        ("a.example:http", "no port"),
        ("ftp://a.example", "names no place"),
        ("0x7f.1", "odd spelling"),
        ("", "no host name"),
        ("a b", "no host name"),
    ] {
        let error = text.parse::<NetPattern>().map(|pattern| pattern.to_string()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_decision_is_explained_with_its_rule_and_the_line_that_would_change_it() {
    let grants = grants(&["*.example.com:443"], &["secret.example.com"]);
    let explain = |target: &str, addresses: &[&str]| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        grants.explain_net(target, &addresses).unwrap()
    };
    let yes = explain("api.example.com:443", &[]);
    assert_eq!((yes.allowed, yes.rule.as_str(), yes.line), (true, "allowed by \"*.example.com:443\" of `net`", None));
    let no = explain("api.stripe.com:443", &[]);
    assert_eq!((no.allowed, no.line.as_deref()), (false, Some("net = [\"api.stripe.com:443\"]")));
    let denied = explain("secret.example.com:443", &[]);
    assert_eq!((denied.rule.as_str(), denied.line), ("denied by \"secret.example.com\" of `net.deny`", None));
    let private = explain("api.example.com:443", &["10.0.0.1"]);
    assert!(
        private.rule.contains("private")
            && private.line.as_deref().is_some_and(|line| line.contains("api.example.com")),
        "{private:?}"
    );
    let special = explain("api.example.com:443", &["127.0.0.1"]);
    assert_eq!(special.line, None, "no entry lets a name lead there: {special:?}");
    assert_eq!(explain("http://users.internal/", &[]).line.as_deref(), Some("call = [\"users\"]"));
    assert!(grants.explain_net("a@b:1", &[]).is_err());
}

mod explained;
mod whatwg;
