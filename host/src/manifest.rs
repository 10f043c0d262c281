//! What the host runs with: a manifest after every word in it has been checked.
//!
//! Nothing downstream checks again. The file's own words are in `manifest/raw`; how they become
//! this, with every mistake reported at once, is in `manifest/load`. Nothing here starts or
//! connects to anything.

mod check;
mod defaults;
mod files;
mod include;
mod later;
mod load;
mod memory;
pub mod quantity;
mod raw;
mod schema;
mod source;
mod structure;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gateway::{gather::Template, limit::Rate};
use http::StatusCode;
use ipnet::IpNet;

pub use self::load::{Environment, Loaded};
use crate::grant::Grants;

/// A whole checked manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub name: String,
    /// Absolute; for messages.
    pub file: PathBuf,
    pub gateway: GatewaySettings,
    pub admin_listen: SocketAddr,
    pub host: HostSettings,
    pub databases: BTreeMap<Arc<str>, DatabaseSettings>,
    pub redis: BTreeMap<Arc<str>, RedisSettings>,
    pub services: BTreeMap<Arc<str>, ServiceSettings>,
    pub routes: Vec<RouteSettings>,
}

#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// At least one.
    pub listen: Vec<SocketAddr>,
    pub tls: Option<TlsFiles>,
    pub h2c: bool,
    /// Authorities this gateway answers for, lower case; empty: any.
    pub hosts: Vec<String>,
    /// How often one address may ask; none: as often as it likes.
    pub limit: Option<Rate>,
    /// The Redis that counts limits for several hosts.
    pub limit_store: Option<Arc<str>>,
    pub trusted_proxies: Vec<IpNet>,
    pub expose_version: bool,
    pub body_limit_bytes: u64,
    pub timeout: Duration,
    pub connections_max: NonZeroUsize,
    pub requests_max: NonZeroUsize,
}

#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone)]
pub struct HostSettings {
    /// Absolute.
    pub data: PathBuf,
    pub drain: Duration,
    pub linger: Duration,
    /// All instances of all services together.
    pub guest_memory_bytes: u64,
    pub artifacts_max_bytes: u64,
}

/// A database by name: where it is and its bounds.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    pub place: DatabasePlace,
    pub connections_max: NonZeroUsize,
    /// How long a request waits for a free connection.
    pub wait: Duration,
    pub statement_timeout: Duration,
    pub rows_max: u32,
    pub bytes_max: u64,
    /// A folder of `*.sql` files; absolute.
    pub migrations: Option<PathBuf>,
    /// A service without it is degraded rather than unhealthy.
    pub optional: bool,
}

#[derive(Debug, Clone)]
pub enum DatabasePlace {
    /// A private server that the host starts.
    Embedded,
    /// The operator's server. The URLs are secrets: `Debug` prints nothing of them.
    External { url: Secret, url_read: Option<Secret>, tls: TlsMode },
}

/// A Redis by name.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    pub place: RedisPlace,
}

#[derive(Debug, Clone)]
pub enum RedisPlace {
    /// A database of the private server that the host starts.
    Embedded,
    /// The operator's server.
    External { url: Secret },
}

/// How a connection to an operator's PostgreSQL is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    Disable,
    /// TLS when the server offers it. The certificate is not checked: it protects from reading
    /// along, not from an impostor.
    #[default]
    Prefer,
    /// TLS with a certificate that the system's roots, or `sslrootcert` of the URL, vouch for.
    Require,
}

/// Text that is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Debug, Clone)]
pub struct ServiceSettings {
    pub name: Arc<str>,
    /// Absolute; may not exist yet.
    pub component: PathBuf,
    /// How to build it, for the message when it is missing.
    pub build: Option<String>,
    pub version: String,
    /// Variables it sees, already filtered by its `env` permission.
    pub env: BTreeMap<String, String>,
    pub grants: Arc<Grants>,
    pub limits: Limits,
    /// The component's own health path.
    pub health_path: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Limits {
    /// One instance, all its linear memories together.
    pub memory_bytes: u64,
    /// Wall clock of one request.
    pub timeout: Duration,
    /// Guest execution of one request.
    pub cpu: Duration,
    /// Requests in the service at once.
    pub concurrency: NonZeroU32,
    pub queue_length: u32,
    pub queue_wait: Duration,
    pub reuse: Reuse,
}

/// How long an instance outlives the request it was made for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reuse {
    /// One request, then dropped: no guest memory is ever seen by a second request.
    #[default]
    Fresh,
    /// Kept for later requests, whose state the guest must keep apart by itself.
    Warm { requests_max: NonZeroU32, idle_max: Duration },
}

#[derive(Debug, Clone)]
pub struct RouteSettings {
    pub route: gateway::route::Route,
    pub target: Target,
    /// Its own, besides the gateway's.
    pub limit: Option<Rate>,
    /// Its place in the manifest, for messages: `routes[3]`.
    pub key: String,
}

/// What a route leads to.
#[derive(Debug, Clone)]
pub enum Target {
    Service(Arc<str>),
    /// One answer out of several.
    Gather(Vec<PartSettings>),
    Static(StatusCode),
}

/// A part of a gathered answer.
#[derive(Debug, Clone)]
pub struct PartSettings {
    pub name: String,
    pub service: Arc<str>,
    pub from: Template,
    pub default: Option<serde_json::Value>,
}

impl Target {
    /// The services it leads to, some perhaps more than once.
    pub fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        let (one, parts) = match self {
            Self::Service(service) => (Some(service), &[][..]),
            Self::Gather(parts) => (None, &parts[..]),
            Self::Static(_) => (None, &[][..]),
        };
        one.into_iter().chain(parts.iter().map(|part| &part.service))
    }
}

#[cfg(test)]
mod tests;
