//! Where a request wants to go, in the one canonical form that every decision is made on.
//!
//! Lower case, IDNA to ASCII, one trailing dot stripped, IPv4 in IPv6 folded. What other software
//! might read as another place is refused: user names, zone ids, odd spellings of IPv4.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A place on the network and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub scheme: Scheme,
    pub place: Place,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    /// A socket: it may speak anything.
    Raw,
}

/// A name that DNS knows, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Name(String),
    Address(IpAddr),
}

/// Why a text is no [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("it has a user name, which no address has")]
    Userinfo,
    #[error("`{0}` is no port")]
    Port(String),
    #[error("`{0}` is no IPv6 address; zone ids are not supported")]
    Ipv6(String),
    #[error("`{0}` is an IPv4 address in an odd spelling; write four decimal numbers")]
    OddIpv4(String),
    #[error("`{0}` is no host name")]
    Name(String),
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Raw => 0,
        }
    }
}

impl Target {
    /// From the parts of a request's URI, never from a `Host` header.
    ///
    /// # Errors
    /// [`TargetError`] when it has no canonical form.
    pub fn new(scheme: Scheme, authority: &str) -> Result<Self, TargetError> {
        let (place, port) = split(authority)?;
        Ok(Self { scheme, place: Place::parse(place)?, port: port.unwrap_or(scheme.port()) })
    }

    /// The service of this host that it names: `http://NAME.internal`.
    pub fn callee(&self) -> Option<&str> {
        match &self.place {
            Place::Name(name) => name.strip_suffix(".internal").filter(|name| !name.is_empty() && !name.contains('.')),
            Place::Address(_) => None,
        }
    }

    /// Whether its port is the one that its scheme has anyway.
    pub fn has_usual_port(&self) -> bool {
        self.port == self.scheme.port()
    }

    /// Host and, unless it is the usual one, port: for `Host` and URIs.
    pub fn authority(&self) -> String {
        if self.has_usual_port() { self.place.to_string() } else { self.to_string() }
    }
}

/// `host` or `host:port`, not decoded.
pub(super) fn split(authority: &str) -> Result<(&str, Option<u16>), TargetError> {
    if authority.contains('@') {
        return Err(TargetError::Userinfo);
    }
    let after_host = match authority.starts_with('[') {
        true => authority.find(']').map_or(authority.len(), |at| at + 1),
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(after_host);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(TargetError::Name(authority.to_owned())),
        Some(digits) => {
            let right = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = digits.parse().ok().filter(|port| right && *port != 0);
            port.map(|port| (host, Some(port))).ok_or_else(|| TargetError::Port(digits.to_owned()))
        }
    }
}

impl Place {
    pub(crate) fn parse(host: &str) -> Result<Self, TargetError> {
        if let Some(inner) = host.strip_prefix('[') {
            let address: Option<Ipv6Addr> = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
            let address = address.ok_or_else(|| TargetError::Ipv6(host.to_owned()))?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let wrong = || TargetError::Name(host.to_owned());
        if host.contains('%') {
            return Err(wrong()); // encoded characters are decoded by some and not by others
        }
        let name = idna::domain_to_ascii(host).map_err(|_errors| wrong())?;
        let name = name.strip_suffix('.').unwrap_or(&name);
        if ends_in_number(name) {
            let address: Result<Ipv4Addr, _> = name.parse();
            return address.map(|v4| Self::Address(v4.into())).map_err(|_| TargetError::OddIpv4(host.to_owned()));
        }
        match is_name(name) {
            true => Ok(Self::Name(name.to_owned())),
            false => Err(wrong()),
        }
    }
}

/// Whether some software takes it for an IPv4 address: its last label is a number.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_hex || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_name(name: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(right) && !label.starts_with('-');
    name.len() <= 253 && name.split('.').all(label)
}

/// `https://api.example.com`, `api.example.com:443`; without a scheme, port 443 means `https`.
impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(_) => return Err(TargetError::Name(text.to_owned())),
            None if text.ends_with(":443") => (Scheme::Https, text),
            None => (Scheme::Http, text),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Self::new(scheme, authority)
    }
}

/// As an entry of `net` would name it: `api.example.com:443`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place, self.port)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Raw => "raw",
        })
    }
}
