//! What the host runs with: a manifest after every word in it has been checked.
//!
//! Nothing downstream checks again. The file's own words are in `manifest/raw`; how they become
//! this, with every mistake reported at once, is in `manifest/load`. Nothing here starts or
//! connects to anything.

mod audit;
mod ceiling;
mod check;
mod confines;
mod defaults;
mod files;
mod include;
mod later;
mod load;
mod memory;
mod names;
mod raw;
mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

pub use self::audit::{Audits, Oversight};
pub use self::ceiling::load_ceiling;
pub use self::check::{key_document, ttl};
pub use self::confines::Confines;
pub use self::load::Loaded;
pub use self::settings::{
    Access, AdminSettings, AdminToken, AuthSettings, BACKOFF_MAX, Collector, ConsulSettings, ConsumerSettings,
    DatabasePlace, DatabaseSettings, DnsQuestion, DnsSettings, Environment, EventSettings, GatewaySettings,
    HealthCheck, HostSettings, Image, KeySettings, KeyStore, KeyValueSettings, Limits, May, OtlpProtocol,
    OwnCertificate, PartSettings, PoolSettings, Proof, RampSettings, RedisPlace, RedisSettings, Remote, Reuse,
    RouteSettings, Secret, SecretHeader, SecretSettings, SecretSource, ServiceSettings, Sha256, Smoke, TakeBuilds,
    Target, TelemetrySettings, TlsMode, TrustSettings, UpstreamLimits, UpstreamSettings, UpstreamTls, Whereabouts,
    pulled,
};
/// A whole checked manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub name: String,
    /// Absolute; for messages.
    pub file: PathBuf,
    pub gateway: GatewaySettings,
    pub admin: AdminSettings,
    pub host: HostSettings,
    /// `[auth.NAME]`.
    pub issuers: BTreeMap<Arc<str>, AuthSettings>,
    pub databases: BTreeMap<Arc<str>, DatabaseSettings>,
    pub redis: BTreeMap<Arc<str>, RedisSettings>,
    pub keyvalue: BTreeMap<Arc<str>, KeyValueSettings>,
    /// Who knows where services elsewhere are, and is told of ours.
    pub consul: Option<ConsulSettings>,
    pub dns: DnsSettings,
    /// Other hosts whose word is believed, by name.
    pub trust: BTreeMap<Arc<str>, TrustSettings>,
    /// What carries events, if anything does.
    pub events: Option<EventSettings>,
    /// Where traces go.
    pub telemetry: TelemetrySettings,
    pub secrets: BTreeMap<Arc<str>, SecretSettings>,
    /// Those that are components.
    pub services: BTreeMap<Arc<str>, ServiceSettings>,
    /// Those that run elsewhere; no name is in both.
    pub upstreams: BTreeMap<Arc<str>, UpstreamSettings>,
    pub routes: Vec<RouteSettings>,
    /// Its file and those it includes, absolute.
    pub files: BTreeSet<PathBuf>,
    /// Every path that its files name, absolute.
    pub named: BTreeSet<PathBuf>,
    /// Variables that it reads itself, and those that stay hidden since an earlier one did.
    pub reserved: BTreeSet<String>,
}

#[cfg(test)]
mod tests;
