//! What a manifest says of who knows where services are.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use grant::net::Target;

use super::Secret;

/// An agent of Consul.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsulSettings {
    pub url: Target,
    pub token: Option<Secret>,
    pub datacenter: Option<String>,
    /// It is told of our services.
    pub register: bool,
    /// Host and port by which others reach our gateway; none: those of its first listener.
    pub address: Option<(String, u16)>,
    pub tags: Vec<String>,
    pub take_builds: Option<TakeBuilds>,
}

/// How a start asks the other hosts of its system for what they run.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeBuilds {
    /// Of their admin APIs.
    pub token: Secret,
    /// Whose certificates are believed; none: the web's roots.
    pub ca: Option<PathBuf>,
}

/// How DNS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// None: those of the system.
    pub servers: Vec<SocketAddr>,
    /// After how long it is asked again at the latest.
    pub ttl_max: Duration,
}

/// What DNS is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsQuestion {
    /// Addresses of a name, all at one port.
    Hosts { name: String, port: u16 },
    /// SRV records of a name.
    Services { name: String },
}

impl DnsQuestion {
    pub fn name(&self) -> &str {
        match self {
            Self::Hosts { name, .. } | Self::Services { name } => name,
        }
    }

    /// What is dialled as far as the manifest knows: of SRV records, a name of the domain that they are in.
    pub fn dialled(&self) -> String {
        match self {
            Self::Hosts { name, port } => format!("{}:{port}", name.trim_end_matches('.')),
            Self::Services { name } => {
                let domain = name.trim_end_matches('.').split('.').skip_while(|label| label.starts_with('_'));
                domain.collect::<Vec<_>>().join(".")
            }
        }
    }
}

/// As a manifest writes it.
impl fmt::Display for DnsQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts { name, port } => write!(f, "dns:{name}:{port}"),
            Self::Services { name } => write!(f, "srv:{name}"),
        }
    }
}
