//! A client's address as text: what a service is told, and what the access log says.
//!
//! Made for every request twice, so an IPv4 address is written without the machinery of formatting.

use std::{io::Write, net::IpAddr};

/// As long as an IPv6 address can be.
const BYTES_MAX: usize = 45;

/// The text of an address; an IPv4 address in the form of IPv6 is the IPv4 address.
pub(crate) struct AddressText {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

impl AddressText {
    pub(crate) fn of(address: IpAddr) -> Self {
        let mut text = Self { bytes: [0; BYTES_MAX], length: 0 };
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [first, rest @ ..] = address.octets();
                text.number(first);
                for octet in rest {
                    text.push(b'.');
                    text.number(octet);
                }
            }
            IpAddr::V6(address) => {
                let mut left = &mut text.bytes[..];
                // It has room for every address.
                let _ = write!(left, "{address}");
                text.length = BYTES_MAX - left.len();
            }
        }
        text
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn number(&mut self, octet: u8) {
        if octet >= 100 {
            self.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.push(b'0' + octet / 10 % 10);
        }
        self.push(b'0' + octet % 10);
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn an_address_reads_as_it_is_printed_elsewhere() {
        for octet in 0..=u8::MAX {
            let address = IpAddr::from(Ipv4Addr::new(octet, 255 - octet, 0, 9));
            assert_eq!(AddressText::of(address).as_str(), address.to_string());
        }
        let longest: Ipv6Addr = "1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap();
        for address in [longest, Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, "2001:db8::7".parse().unwrap()] {
            assert_eq!(AddressText::of(address.into()).as_str(), address.to_string());
        }
        assert_eq!(AddressText::of("::ffff:10.1.2.3".parse().unwrap()).as_str(), "10.1.2.3");
    }
}
