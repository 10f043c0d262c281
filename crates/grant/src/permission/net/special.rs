//! Addresses that are not simply somewhere on the Internet: this machine, its neighbours, clouds'
//! metadata, and IPv4 in the clothes of IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range that only an entry for it, or for a part of it, opens.
pub(super) struct Special {
    pub(super) net: IpNet,
    pub(super) what: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8, what: &'static str) -> Special {
    Special { net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)), what }
}

const fn v6(segments: [u16; 8], length: u8, what: &'static str) -> Special {
    let [a, b, c, d, e, f, g, h] = segments;
    Special { net: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)), what }
}

/// An address may be in several; each has to be opened.
static SPECIAL: [Special; 27] = [
    v4(169, 254, 169, 254, 32, "cloud metadata"),
    v4(100, 100, 100, 200, 32, "cloud metadata"),
    v4(168, 63, 129, 16, 32, "cloud metadata"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "cloud metadata"),
    v4(127, 0, 0, 0, 8, LOOPBACK),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, LOOPBACK),
    v4(0, 0, 0, 0, 8, "unspecified"),
    v6([0; 8], 128, "unspecified"),
    v4(169, 254, 0, 0, 16, "link-local"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    v4(224, 0, 0, 0, 4, "multicast"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    v4(255, 255, 255, 255, 32, "broadcast"),
    v4(192, 0, 0, 0, 24, "protocol assignments"),
    v4(198, 18, 0, 0, 15, "benchmarks"),
    v4(240, 0, 0, 0, 4, "reserved"),
    v4(192, 0, 2, 0, 24, "documentation"),
    v4(198, 51, 100, 0, 24, "documentation"),
    v4(203, 0, 113, 0, 24, "documentation"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard only"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    v4(192, 88, 99, 0, 24, "6to4 relay"),
];

pub(super) const LOOPBACK: &str = "loopback";

static PRIVATE: [IpNet; 5] = [
    v4(10, 0, 0, 0, 8, "").net,
    v4(172, 16, 0, 0, 12, "").net,
    v4(192, 168, 0, 0, 16, "").net,
    v4(100, 64, 0, 0, 10, "").net,
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "").net,
];

/// The special ranges that `address` is in.
pub(super) fn special(address: IpAddr) -> impl Iterator<Item = &'static Special> {
    let judged = judged(address);
    SPECIAL.iter().filter(move |special| special.net.contains(&judged))
}

/// The special ranges that all of `range` is in.
pub(super) fn over(range: &IpNet) -> impl Iterator<Item = &'static Special> {
    let range = *range;
    SPECIAL.iter().filter(move |special| special.net.contains(&range))
}

pub(super) fn is_private(judged: IpAddr) -> bool {
    PRIVATE.iter().any(|net| net.contains(&judged))
}

/// What an address is judged as: the IPv4 inside of an IPv6 (mapped, compatible, NAT64, 6to4), or
/// itself.
pub(super) fn judged(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let last = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => last(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => last(high, low),
        [0x2002, high, low, ..] => last(high, low),
        _ => address,
    }
}
