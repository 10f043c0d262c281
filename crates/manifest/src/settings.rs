//! What a manifest says, table by table, after every word has been checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gateway::{cors::RouteCors, gather::Template, limit::Rate, tls};
use http::StatusCode;

use grant::Grants;

mod auth;
mod discovery;
mod public;
mod remote;
mod telemetry;
mod trust;
mod upstream;

pub use auth::{AuthSettings, KeySettings, KeyStore};
pub use discovery::{ConsulSettings, DnsQuestion, DnsSettings, TakeBuilds};
pub use public::GatewaySettings;
pub use remote::{Image, Remote, Sha256, pulled};
pub use telemetry::{Collector, OtlpProtocol, TelemetrySettings};
pub use trust::{OwnCertificate, Proof, TrustSettings, UpstreamTls};
pub use upstream::{HealthCheck, PoolSettings, UpstreamLimits, UpstreamSettings, Whereabouts};

/// The host's environment, read once by whoever starts us. Variables that are not Unicode are
/// left out: no service could see them.
pub type Environment = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub struct AdminSettings {
    pub listen: SocketAddr,
    /// Names by which it is asked, besides its address.
    pub hosts: Vec<String>,
    pub tls: Option<tls::Files>,
    /// By name. None is needed on a loopback address.
    pub tokens: BTreeMap<Arc<str>, AdminToken>,
}

/// Who may change what runs.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminToken {
    pub secret: Secret,
    pub may: BTreeSet<May>,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum May {
    Read,
    Swap,
    Apply,
    /// Permissions that a build needs beyond the manifest, with a swap.
    Accept,
}

impl May {
    pub const ALL: [Self; 4] = [Self::Read, Self::Swap, Self::Apply, Self::Accept];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Swap => "swap",
            Self::Apply => "apply",
            Self::Accept => "accept",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct HostSettings {
    /// Absolute.
    pub data: PathBuf,
    pub drain: Duration,
    pub linger: Duration,
    /// The Redis by which hosts share the key that vouches for them; none: each has its own.
    pub trust_store: Option<Arc<str>>,
    /// All instances of all services together.
    pub guest_memory_bytes: u64,
    /// What the private Redis may hold.
    pub redis_memory_bytes: u64,
    pub artifacts_max_bytes: u64,
    /// What was never compiled may begin on quickly made code.
    pub quick_compiler: bool,
    /// Registries that are spoken to without TLS.
    pub plain_registries: BTreeSet<String>,
    /// One of them must have signed what comes from a registry; none: nobody must.
    pub signed_by: Vec<gateway::auth::VerifyingKey>,
    /// Services may have `net = true`.
    pub allow_unrestricted: bool,
}

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Public,
    /// Whoever has a token of this issuer; a name of `issuers`.
    Token(Arc<str>),
}

/// A database by name: where it is and its bounds.
#[derive(Debug, Clone, PartialEq)]
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

#[derive(Debug, Clone, PartialEq)]
pub enum DatabasePlace {
    /// A private server that the host starts.
    Embedded,
    /// The operator's server. The URLs are secrets: `Debug` prints nothing of them.
    ///
    /// The schema is that of the host's own tables there; none: `public`.
    External { url: Secret, url_read: Option<Secret>, tls: TlsMode, schema: Option<Arc<str>> },
}

/// A Redis by name.
#[derive(Debug, Clone, PartialEq)]
pub struct RedisSettings {
    pub place: RedisPlace,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RedisPlace {
    /// A database of the private server that the host starts.
    Embedded,
    /// The operator's server.
    External { url: Secret },
}

/// A key-value store by name.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyValueSettings {
    /// A name of `redis`.
    pub redis: Arc<str>,
    /// Of values that are written without one.
    pub ttl: Option<Duration>,
    /// What it may hold; none is said.
    pub memory_bytes: Option<u64>,
    /// A service without it is degraded rather than unhealthy.
    pub optional: bool,
}

/// What carries events between services.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSettings {
    /// A name of `redis`.
    pub redis: Arc<str>,
    pub retain: Duration,
    pub retain_bytes: u64,
}

/// How a service handles the events it subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Events in work at once.
    pub concurrency: NonZeroU32,
    /// Tries of one event, the first included.
    pub tries: NonZeroU32,
    /// Before the second try; doubled before each further one, up to [`BACKOFF_MAX`].
    pub backoff: Duration,
    /// Wall clock of one try.
    pub timeout: Duration,
}

/// The longest pause between two tries of an event that nobody asked for by name.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);

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

/// A secret by name: where it comes from, and who gets to see it.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretSettings {
    pub source: SecretSource,
    /// With it, the host puts the secret into requests and the component never sees it.
    pub header: Option<SecretHeader>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SecretSource {
    Value(Secret),
    /// Read again when it changes; absolute.
    File(PathBuf),
}

/// The header of requests to one host that a secret goes into.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretHeader {
    pub to: grant::net::Target,
    pub name: http::HeaderName,
    pub before: String,
    pub after: String,
}

impl SecretHeader {
    /// What the header says.
    pub fn text(&self, secret: &str) -> String {
        format!("{}{secret}{}", self.before, self.after)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSettings {
    pub name: Arc<str>,
    /// Absolute; may not exist yet.
    pub component: PathBuf,
    /// What is fetched as that file, where it is none of this machine's own.
    pub remote: Option<Remote>,
    /// How to build it, for the message when it is missing.
    pub build: Option<String>,
    pub version: String,
    /// Variables it sees, already filtered by its `env` permission.
    pub env: BTreeMap<String, String>,
    pub grants: Arc<Grants>,
    /// Those of `[secrets]` that it is granted.
    pub secrets: BTreeMap<Arc<str>, SecretSettings>,
    pub limits: Limits,
    /// The component's own health path.
    pub health_path: Option<String>,
    /// What a new build must answer before it is live.
    pub smoke: Smoke,
    /// How it goes live by shares of the traffic, when that is asked for.
    pub ramp: RampSettings,
    pub events: ConsumerSettings,
}

/// A swap by shares of the traffic, and when it goes back by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RampSettings {
    /// Per cent, rising, 1 to 99; at least one.
    pub steps: Vec<u8>,
    /// How long each step lasts at least.
    pub step: Duration,
    /// Requests that the new build must have answered before it is judged, and in each step.
    pub min_requests: NonZeroU32,
    /// Points of failed requests above the old build's, per cent.
    pub error_rate: u32,
    /// How much slower to the head, per cent of the old build's mean.
    pub latency: u32,
    pub window: Duration,
}

/// A request without headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smoke {
    pub method: http::Method,
    /// Path and query.
    pub target: String,
}

impl fmt::Display for Smoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

#[derive(Debug, Clone, PartialEq)]
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

#[derive(Debug, Clone, PartialEq)]
pub struct RouteSettings {
    pub route: gateway::route::Route,
    pub target: Target,
    pub access: Access,
    /// Its own, besides the gateway's.
    pub limit: Option<Rate>,
    pub cors: RouteCors,
    /// Its place in the manifest, for messages: `routes[3]`.
    pub key: String,
}

/// What a route leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Service(Arc<str>),
    /// One answer out of several.
    Gather(Vec<PartSettings>),
    Static(StatusCode),
}

/// A part of a gathered answer.
#[derive(Debug, Clone, PartialEq)]
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
