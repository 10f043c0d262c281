//! What sockets reach, as tables, and that no spelling of a denied place is reached.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    Ceiling, Permissions,
    net::{Net, NetAllow, NetPattern},
};

fn permissions(allow: &[&str], deny: &[&str]) -> Permissions {
    let patterns = |texts: &[&str]| -> Arc<[NetPattern]> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let net = Net { allow: NetAllow::Only(patterns(allow)), deny: patterns(deny) };
    Permissions { net, sockets: Sockets(true), ..Permissions::default() }
}

fn grants(allow: &[&str], deny: &[&str]) -> Grants {
    Grants::new("dialler".into(), "shop.toml".into(), permissions(allow, deny))
}

/// Whether `to` is reached when these names were found to lead there.
fn reaches(grants: &Grants, to: &str, names: &[&str]) -> bool {
    let names: Vec<_> = names.iter().filter_map(|name| grants.lookup(name).ok()).collect();
    grants.sockets_connect(to.parse().unwrap(), &names).is_ok()
}

#[test]
fn an_address_is_reached_that_is_granted_or_found_under_a_granted_name() {
    let some = grants(&["db.example.com:5432", "*.example.org", "10.1.0.0/16:6379", "https://api.example.net"], &[]);
    for (to, names, yes) in [
        ("10.1.2.3:6379", &[][..], true),
        ("10.1.2.3:6380", &[], false),
        ("10.2.2.3:6379", &[], false),
        ("93.184.216.34:5432", &[], false),
        ("93.184.216.34:5432", &["db.example.com"], true),
        ("93.184.216.34:5432", &["DB.example.com."], true),
        ("93.184.216.34:5433", &["db.example.com"], false),
        ("10.9.9.9:5432", &["db.example.com"], true), // the operator named that host
        ("93.184.216.34:25", &["a.example.org"], true),
        ("10.9.9.9:25", &["a.example.org"], false), // a wildcard does not lead into private ranges
        ("127.0.0.1:5432", &["db.example.com"], false),
        ("169.254.169.254:5432", &["db.example.com"], false),
        ("93.184.216.34:443", &["api.example.net"], false), // an entry with a scheme opens no socket
        ("93.184.216.34:5432", &["other.example.com"], false),
    ] {
        assert_eq!(reaches(&some, to, names), yes, "{to} under {names:?}");
    }
}

#[test]
fn a_name_is_looked_up_when_some_entry_opens_it_to_sockets() {
    let some = grants(
        &["db.example.com:5432", "*.example.org", "https://api.example.net"],
        &["bad.example.org", "db2.example.org:1"],
    );
    for (name, yes) in [
        ("db.example.com", true),
        ("DB.EXAMPLE.COM.", true),
        ("a.example.org", true),
        ("db2.example.org", true), // closed on one port only
        ("bad.example.org", false),
        ("example.org", false),
        ("api.example.net", false),
        ("users.internal", false),
        ("user@db.example.com", false),
        ("2130706433", false),
        ("0x7f.1", false),
        ("", false),
        ("127.0.0.1", true), // no look-up is needed; whether it is reached is another question
        ("::1", true),
        ("[::1]", true),
    ] {
        assert_eq!(some.lookup(name).is_ok(), yes, "{name}");
    }
    assert_eq!(some.lookup("0x7f.1"), Err(LookupError::Invalid));
}

#[test]
fn without_sockets_nothing_is_reached_and_the_line_is_named() {
    let none = Grants::new(
        "dialler".into(),
        "shop.toml".into(),
        Permissions { sockets: Sockets(false), ..permissions(&["10.0.0.1:1"], &[]) },
    );
    assert!(none.lookup("10.0.0.1").is_err());
    let denial = none.sockets_connect("10.0.0.1:1".parse().unwrap(), []).unwrap_err();
    assert_eq!(denial.fix.line(), Some("sockets = true"));
    assert_eq!(
        none.sockets("TCP sockets").unwrap_err().to_string(),
        "`dialler` may not reach `TCP sockets`: `sockets` is not granted; to allow it, add `sockets = true` to \
         `services.dialler.permissions` in shop.toml"
    );
}

#[test]
fn a_ceiling_closes_sockets_and_what_its_net_does_not_open() {
    let under = |most: Permissions| {
        let ceiling = Arc::new(Ceiling::new("c.toml".into(), most));
        grants(&["db.example.com:5432", "10.0.0.0/8"], &[]).under(ceiling)
    };
    let closed = under(Permissions { sockets: Sockets(false), ..permissions(&["10.0.0.0/8"], &[]) });
    assert!(closed.sockets("TCP sockets").unwrap_err().rule.contains("ceiling c.toml"));
    let some = under(permissions(&["10.1.0.0/16"], &["10.1.1.1"]));
    assert!(reaches(&some, "10.1.2.3:5432", &[]));
    assert!(!reaches(&some, "10.2.2.3:5432", &[]) && !reaches(&some, "10.1.1.1:5432", &[]));
    assert!(some.lookup("db.example.com").is_err());
}

#[test]
fn a_component_binds_only_to_send_and_never_listens() {
    let some = grants(&["0.0.0.0/0"], &[]);
    for (address, yes) in
        [("0.0.0.0:0", true), ("[::]:0", true), ("0.0.0.0:53", false), ("127.0.0.1:0", false), ("10.0.0.1:0", false)]
    {
        assert_eq!(some.sockets_bind(address.parse().unwrap()).is_ok(), yes, "{address}");
    }
    assert!(some.no_listening().to_string().contains("does not listen"));
}

/// Every IPv6 in which some software finds this IPv4, and itself.
fn clothes(v4: Ipv4Addr) -> Vec<IpAddr> {
    let number = u32::from(v4);
    let (high, low) = ((number >> 16) as u16, number as u16);
    vec![
        v4.into(),
        v4.to_ipv6_mapped().into(),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into(),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into(),
    ]
}

proptest! {
    #[test]
    fn a_denied_range_is_reached_in_no_spelling_under_no_name(
        number: u32,
        length in 1_u8..=32,
        port in 1_u16..,
        by_scheme: bool,
    ) {
        let range = ipnet::Ipv4Net::new(Ipv4Addr::from(number), length).unwrap().trunc();
        let deny = if by_scheme { format!("https://{range}") } else { range.to_string() };
        let allow = ["0.0.0.0/0", "[::/0]", "db.example.com", "*.example.org"];
        let some = grants(&[&allow[..], &[&range.to_string()]].concat(), &[&deny]);
        for address in clothes(Ipv4Addr::from(number)) {
            let to = SocketAddr::new(address, port);
            for names in [&[][..], &["db.example.com"], &["a.example.org"], &["db.example.com", "a.example.org"]] {
                prop_assert!(!reaches(&some, &to.to_string(), names), "{to} under {names:?} but {deny}");
            }
        }
    }

    #[test]
    fn what_nobody_named_on_this_machine_or_beside_it_is_never_reached(index in 0_usize..12, last: u8, port in 1_u16..) {
        let [a, b, c] = [
            [127, 0, 0], [127, 9, 1], [0, 0, 0], [169, 254, 169], [169, 254, 3], [224, 0, 0], [192, 0, 0], [198, 18, 7],
            [240, 1, 1], [192, 0, 2], [100, 100, 100], [168, 63, 129],
        ][index];
        let last = match index { 10 => 200, 11 => 16, _ => last };
        let some = grants(&["0.0.0.0/0", "[::/0]", "db.example.com", "*.example.org"], &[]);
        for address in clothes(Ipv4Addr::new(a, b, c, last)) {
            let to = SocketAddr::new(address, port).to_string();
            prop_assert!(!reaches(&some, &to, &["db.example.com", "a.example.org"]), "{to}");
        }
    }
}
