//! What `explain` says is what is decided.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const ENTRIES: &[&str] = &[
    "api.example.com:443",
    "*.example.com",
    "https://b.example",
    "10.0.0.0/8",
    "10.1.2.3:80",
    "[fd00::/8]:443",
    "127.0.0.1",
    "localhost:80",
    "0.0.0.0/0",
];
const TARGETS: &[&str] = &[
    "https://api.example.com",
    "http://x.example.com",
    "http://example.com",
    "https://b.example",
    "http://10.1.2.3",
    "http://[::ffff:10.1.2.3]",
    "https://[fd00::1]",
    "http://[64:ff9b::7f00:1]",
    "http://127.0.0.1",
    "http://localhost",
    "http://169.254.169.254",
];
const ADDRESSES: &[&str] = &["93.184.216.34", "10.1.2.3", "127.0.0.1", "169.254.169.254", "fd00::1", "::1"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_explain_says_is_what_is_decided(
        allow in vec(select(ENTRIES), 0..4),
        deny in vec(select(ENTRIES), 0..2),
        target in select(TARGETS),
        addresses in vec(select(ADDRESSES), 1..3),
    ) {
        let grants = grants(&allow, &deny);
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let to: Target = target.parse().unwrap();
        let decided = grants.net(&to).and_then(|granted| match to.place {
            Place::Address(address) => granted.get().admit(&[address]).map(drop),
            Place::Name(_) => granted.get().admit(&addresses).map(drop),
        });
        let asked: Vec<IpAddr> = match to.place {
            Place::Address(address) => vec![address],
            Place::Name(_) => addresses,
        };
        let told = grants.explain_net(target, &asked).unwrap();
        prop_assert_eq!(told.allowed, decided.is_ok());
        if let Err(denied) = decided {
            prop_assert_eq!((told.rule, told.line.as_deref()), (denied.rule, denied.fix.line()));
        }
    }
}
