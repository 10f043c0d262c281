//! Whose bucket it is: a [`Key`] in the bounded form in which it is kept.
//!
//! Decides which addresses count together. An IPv4 address counts alone, also when it is written
//! as an IPv6 one; an IPv6 address counts with its /64, for a /64 is what one customer is given.

use std::{fmt, net::IpAddr};

use ring::digest::{SHA256, digest};

use super::Key;

/// A longer subject is kept as its digest.
const SUBJECT_BYTES_MAX: usize = 200;

/// At most 200 bytes, whatever the client sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    V4(u32),
    /// The network's 64 bits.
    V6(u64),
    Subject(Box<str>),
    LongSubject(Box<[u8; 32]>),
}

impl From<Key<'_>> for Owner {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => Self::V4(address.into()),
                IpAddr::V6(address) => {
                    Self::V6(u64::try_from(u128::from(address) >> 64).expect("half of 128 bits are 64"))
                }
            },
            Key::Subject(subject) if subject.len() <= SUBJECT_BYTES_MAX => Self::Subject(subject.into()),
            Key::Subject(subject) => {
                let digest = digest(&SHA256, subject.as_bytes());
                Self::LongSubject(Box::new(digest.as_ref().try_into().expect("SHA-256 has 32 bytes")))
            }
        }
    }
}

/// The same text on every host, and another one for every owner.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => write!(f, "4:{address:08x}"),
            Self::V6(network) => write!(f, "6:{network:016x}"),
            Self::Subject(subject) => write!(f, "s:{subject}"),
            Self::LongSubject(digest) => {
                f.write_str("d:")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        Owner::from(Key::Address(text.parse().unwrap())).to_string()
    }

    #[test]
    fn an_ipv6_client_counts_with_its_network_and_a_mapped_address_as_ipv4() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn an_owner_has_at_most_two_hundred_bytes_and_is_never_somebody_else() {
        let (long, other) = ("a".repeat(255), format!("{}b", "a".repeat(254)));
        let owner = |subject: &str| Owner::from(Key::Subject(subject));
        assert!(matches!(owner(&"a".repeat(200)), Owner::Subject(_)));
        assert!(matches!(owner(&long), Owner::LongSubject(_)));
        assert_ne!(owner(&long).to_string(), owner(&other).to_string());
        // A subject that looks like another kind of owner is none.
        assert_ne!(owner("4:c0000201").to_string(), address("192.0.2.1"));
        let digest = owner(&long).to_string();
        assert_ne!(owner(&digest).to_string(), digest);
    }
}
