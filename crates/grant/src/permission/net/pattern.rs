//! One entry of `permissions.net`: `api.example.com:443`, `*.example.com`, `10.2.0.0/16:8080`,
//! `[fd00::/8]:443`, each with an optional `http://` or `https://` before it.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use super::{
    special::{self, LOOPBACK, Special},
    target::{Place, Scheme, Target, TargetError, split},
};

/// A wildcard covers whole labels to the left and never the bare domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetPattern {
    scheme: Option<Scheme>,
    host: HostMatch,
    /// None: every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostMatch {
    Exact(String),
    Under(String),
    /// One address is a range of one.
    Range(IpNet),
}

/// Why a text is no [`NetPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetPatternError {
    #[error("`{0}` names every host; name hosts, or a domain like `*.example.com`")]
    Everything(String),
    #[error("`{0}` has a `*` that is not its first label; write `*.example.com`")]
    InnerStar(String),
    #[error("`{text}` has a path, which `net` does not look at; write `{host}`")]
    Path { text: String, host: String },
    #[error("`{0}` is no range; write it like `10.2.0.0/16` or `[fd00::/8]:443`")]
    Range(String),
    #[error("`{0}` has bits set after its prefix; write `{1}`")]
    HostBits(String, IpNet),
    #[error("write the IPv6 address in brackets: `[{0}]`")]
    Brackets(String),
    #[error("`{0}` is a service of this host; name it in `permissions.call`")]
    Internal(String),
    #[error("`{text}` names no place: {source}")]
    Target { text: String, source: TargetError },
}

impl NetPattern {
    /// As an entry of `allow`. An IPv4 inside of an IPv6 is judged as the IPv4.
    pub(super) fn allows(&self, target: &Target) -> bool {
        self.matches_manner(target)
            && match &target.place {
                Place::Name(name) => self.matches_name(name),
                Place::Address(address) => self.contains(special::judged(*address)),
            }
    }

    /// As an entry of `deny`: an address is judged both as it is and as the IPv4 inside of it.
    pub(super) fn denies(&self, target: &Target) -> bool {
        self.closes_manner(target)
            && match &target.place {
                Place::Name(name) => self.matches_name(name),
                Place::Address(address) => self.contains(*address) || self.contains(special::judged(*address)),
            }
    }

    /// What both allow, where each of them opens what is special in it.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let scheme = agreed(self.scheme, other.scheme)?;
        let port = agreed(self.port, other.port)?;
        let host = self.host.meet(&other.host)?;
        let opened = match &host {
            HostMatch::Range(range) => special::over(range).all(|special| self.opens(special) && other.opens(special)),
            HostMatch::Exact(_) | HostMatch::Under(_) => true,
        };
        opened.then_some(Self { scheme, host, port })
    }

    /// Whether a deny of it leaves nothing of an allow of `entry`.
    pub(super) fn covers(&self, entry: &Self) -> bool {
        self.port.is_none_or(|port| entry.port == Some(port))
            && self.scheme.is_none_or(|scheme| entry.scheme == Some(scheme))
            && self.host.meet(&entry.host).is_some_and(|both| both == entry.host)
    }

    /// The same with the scheme that its port usually has, where it names none.
    pub(super) fn usual(&self) -> Option<Self> {
        let scheme = match (self.scheme, self.port) {
            (None, Some(443)) => Scheme::Https,
            (None, Some(80)) => Scheme::Http,
            _ => return None,
        };
        Some(Self { scheme: Some(scheme), ..self.clone() })
    }

    /// Whether it was written for this special range, or a part of it.
    pub(super) fn opens(&self, special: &Special) -> bool {
        match &self.host {
            HostMatch::Range(range) => special.net.contains(range),
            HostMatch::Exact(name) => name == "localhost" && special.what == LOOPBACK,
            HostMatch::Under(_) => false,
        }
    }

    pub(super) fn is_wildcard(&self) -> bool {
        matches!(self.host, HostMatch::Under(_))
    }

    pub fn has_port(&self) -> bool {
        self.port.is_some()
    }

    fn matches_manner(&self, target: &Target) -> bool {
        self.port.is_none_or(|port| port == target.port) && self.scheme.is_none_or(|scheme| scheme == target.scheme)
    }

    /// A socket can speak the scheme of any deny.
    fn closes_manner(&self, target: &Target) -> bool {
        match target.scheme {
            Scheme::Raw => self.port.is_none_or(|port| port == target.port),
            Scheme::Http | Scheme::Https => self.matches_manner(target),
        }
    }

    /// Whether it opens `name` to sockets on some port.
    pub(super) fn opens_name(&self, name: &str) -> bool {
        self.scheme.is_none() && self.matches_name(name)
    }

    /// Whether as a deny it closes `name` on every port.
    pub(super) fn closes_name(&self, name: &str) -> bool {
        self.port.is_none() && self.matches_name(name)
    }

    fn matches_name(&self, name: &str) -> bool {
        match &self.host {
            HostMatch::Exact(exact) => exact == name,
            HostMatch::Under(domain) => is_under(name, domain),
            HostMatch::Range(_) => false,
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        matches!(&self.host, HostMatch::Range(range) if range.contains(&address))
    }
}

impl HostMatch {
    fn meet(&self, other: &Self) -> Option<Self> {
        let narrower = match (self, other) {
            (Self::Exact(one), Self::Exact(same)) if one == same => self,
            (Self::Exact(name), Self::Under(domain)) if is_under(name, domain) => self,
            (Self::Under(domain), Self::Exact(name)) if is_under(name, domain) => other,
            (Self::Under(one), Self::Under(wide)) if one == wide || is_under(one, wide) => self,
            (Self::Under(wide), Self::Under(one)) if is_under(one, wide) => other,
            (Self::Range(one), Self::Range(wide)) if wide.contains(one) => self,
            (Self::Range(wide), Self::Range(one)) if wide.contains(one) => other,
            _ => return None,
        };
        Some(narrower.clone())
    }
}

fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|left| left.len() > 1 && left.ends_with('.'))
}

/// What two that may each be open agree on.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => Some(one.or(other)),
    }
}

impl FromStr for NetPattern {
    type Err = NetPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(_) => {
                return Err(NetPatternError::Target { text: text.into(), source: TargetError::Name(text.into()) });
            }
            None => (None, text),
        };
        let wrong = |source| NetPatternError::Target { text: text.to_owned(), source };
        let (host, port) = match split(rest) {
            Err(_) if rest.parse::<std::net::Ipv6Addr>().is_ok() => return Err(NetPatternError::Brackets(rest.into())),
            split => split.map_err(|error| path(text, rest).unwrap_or(wrong(error)))?,
        };
        Ok(Self { scheme, host: host_match(text, host, rest)?, port })
    }
}

fn host_match(text: &str, host: &str, rest: &str) -> Result<HostMatch, NetPatternError> {
    let wrong = |source| NetPatternError::Target { text: text.to_owned(), source };
    if host == "*" {
        return Err(NetPatternError::Everything(text.to_owned()));
    }
    if host.contains('/') {
        let range = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let Ok(range) = range.parse::<IpNet>() else {
            let is_range = range.split('/').next().is_some_and(|address| address.parse::<IpAddr>().is_ok());
            return Err(path(text, rest)
                .filter(|_| !is_range)
                .unwrap_or_else(|| NetPatternError::Range(text.to_owned())));
        };
        return match range.trunc() == range {
            true => Ok(HostMatch::Range(folded(range))),
            false => Err(NetPatternError::HostBits(text.to_owned(), range.trunc())),
        };
    }
    let (domain, under) = match host.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (host, false),
    };
    if domain.contains('*') {
        return Err(NetPatternError::InnerStar(text.to_owned()));
    }
    let target = Target::new(Scheme::Http, domain).map_err(wrong)?;
    if target.callee().is_some() {
        return Err(NetPatternError::Internal(text.to_owned()));
    }
    match (target.place, under) {
        (Place::Name(name), false) => Ok(HostMatch::Exact(name)),
        (Place::Name(name), true) => Ok(HostMatch::Under(name)),
        (Place::Address(address), false) => Ok(HostMatch::Range(address.into())),
        (Place::Address(_), true) => Err(NetPatternError::InnerStar(text.to_owned())),
    }
}

/// A range of mapped addresses is one of IPv4.
fn folded(range: IpNet) -> IpNet {
    match (range, range.addr().to_canonical()) {
        (IpNet::V6(v6), IpAddr::V4(v4)) if v6.prefix_len() >= 96 => {
            IpNet::new(v4.into(), v6.prefix_len() - 96).unwrap_or(range)
        }
        _ => range,
    }
}

/// The mistake of writing a whole URL, if it is that.
fn path(text: &str, rest: &str) -> Option<NetPatternError> {
    let (host, _) = rest.split_once('/')?;
    split(host).ok()?;
    let host = text.get(..text.len() - rest.len() + host.len())?;
    Some(NetPatternError::Path { text: text.to_owned(), host: host.to_owned() })
}

impl fmt::Display for NetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        match &self.host {
            HostMatch::Exact(name) => f.write_str(name)?,
            HostMatch::Under(domain) => write!(f, "*.{domain}")?,
            HostMatch::Range(range) => {
                let is_one = range.prefix_len() == range.max_prefix_len();
                let text = if is_one { range.addr().to_string() } else { range.to_string() };
                match range {
                    IpNet::V4(_) => f.write_str(&text)?,
                    IpNet::V6(_) => write!(f, "[{text}]")?,
                }
            }
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}
