//! The manifest in the file's own words.
//!
//! These types are the JSON Schema of `archipel schema`: each comment on a field is what an
//! editor shows. Everything is optional here, so that a file with one mistake can still be read
//! as a whole; what must be written is `required` in the schema and checked in `check`.

mod auth;
mod ceiling;
mod cors;
mod discovery;
mod events;
mod gather;
mod keyvalue;
mod redis;
mod secrets;
mod service;
mod telemetry;
mod text;
mod trust;
mod upstream;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::auth::{RawAlgorithm, RawAuth, RawKeys, RawSecret};
pub(crate) use self::ceiling::RawCeiling;
pub(crate) use self::cors::{RawCors, RawRouteCors};
pub(crate) use self::discovery::{RawConsul, RawDiscovery, RawDns, RawTakeBuilds};
pub(crate) use self::events::{RawConsumer, RawEvents};
pub(crate) use self::gather::{RawPart, RawPartFrom};
pub(crate) use self::keyvalue::RawKeyValue;
pub(crate) use self::redis::RawRedis;
pub(crate) use self::secrets::{RawNamedSecret, RawSecretHeader};
pub(crate) use self::service::{RawHealth, RawLimits, RawReuse, RawService, RawSwap};
pub(crate) use self::telemetry::{RawCollector, RawProtocol, RawTelemetry};
pub(crate) use self::text::{Named, RawText, RawTextFrom};
pub(crate) use self::trust::RawTrust;
pub(crate) use self::upstream::{RawDiscover, RawPool, RawProof, RawUpstreamTls, RawUrl};
use super::defaults;
use document::quantity::{Size, Time};
use grant::RawPermissions;

/// A microservice system of WebAssembly components: its services, their permissions and limits,
/// its databases and its routes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Archipel manifest")]
pub(crate) struct RawManifest {
    /// The name of the system, in lower case: `shop`.
    #[schemars(required, extend("examples" = ["shop"]))]
    pub(crate) name: Option<String>,
    /// Files with more `[services.*]`, `[[routes]]`, `[postgres.*]` and `[redis.*]`, like
    /// `services/*.toml`. Their paths are relative to this manifest too.
    #[schemars(extend("examples" = [["services/*.toml"]]))]
    #[serde(default)]
    pub(crate) include: Vec<String>,
    /// The public side: where it listens and what bounds every request.
    #[serde(default)]
    pub(crate) gateway: RawGateway,
    /// Which pages of other origins may use the routes that do not say. Not written: none.
    pub(crate) cors: Option<RawCors>,
    /// The operator's side: health, metrics, status.
    #[serde(default)]
    pub(crate) admin: RawAdmin,
    /// What all services share: the data folder, memory, how to stop.
    #[serde(default)]
    pub(crate) host: RawHost,
    /// Issuers of tokens by name: what their tokens say and where their keys come from.
    #[serde(default)]
    pub(crate) auth: Named<RawAuth>,
    /// Secrets by name, for services that are granted them.
    #[serde(default)]
    pub(crate) secrets: Named<RawNamedSecret>,
    /// Databases by name. Services ask for them by these names and never see an address.
    #[serde(default)]
    pub(crate) postgres: Named<RawDatabase>,
    /// Redis servers by name.
    #[serde(default)]
    pub(crate) redis: Named<RawRedis>,
    /// Key-value stores by name. Services ask for them by these names.
    #[serde(default)]
    pub(crate) keyvalue: Named<RawKeyValue>,
    /// Who knows where services are that run elsewhere.
    #[serde(default)]
    pub(crate) discovery: RawDiscovery,
    /// Other hosts by name, whose word is believed about who calls: the `name` of their manifest, or a name in their
    /// certificate.
    #[serde(default)]
    pub(crate) trust: Named<RawTrust>,
    /// What carries events between services.
    pub(crate) events: Option<RawEvents>,
    /// Where traces go.
    #[serde(default)]
    pub(crate) telemetry: RawTelemetry,
    /// Permissions by name that services take over with `use`.
    #[serde(default, rename = "permission-sets")]
    pub(crate) permission_sets: Named<RawPermissions>,
    /// Services by name: a component, its permissions and its limits; or the `url` of one that runs elsewhere.
    #[serde(default)]
    pub(crate) services: Named<RawService>,
    /// Which requests go to which service. Their order never matters.
    #[serde(default)]
    pub(crate) routes: Vec<RawRoute>,
}

/// A file that a manifest includes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawInclude {
    /// Databases by name.
    #[serde(default)]
    pub(crate) postgres: Named<RawDatabase>,
    /// Redis servers by name.
    #[serde(default)]
    pub(crate) redis: Named<RawRedis>,
    /// Services by name.
    #[serde(default)]
    pub(crate) services: Named<RawService>,
    /// Which requests go to which service.
    #[serde(default)]
    pub(crate) routes: Vec<RawRoute>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGateway {
    /// The address to listen on, or several; `{ env = "SHOP_LISTEN", optional = true }` takes it from a variable,
    /// with a comma between several.
    #[schemars(extend("default" = defaults::GATEWAY_LISTEN))]
    pub(crate) listen: Option<RawListen>,
    /// Whose tokens are asked for on every route that is not public: a name of `[auth]`.
    pub(crate) auth: Option<String>,
    /// PEM files of the gateway's own certificate. Without them it speaks plain HTTP.
    pub(crate) tls: Option<RawTls>,
    /// Whether to speak HTTP/2 without TLS to those who start with it.
    #[schemars(extend("default" = true))]
    pub(crate) h2c: Option<bool>,
    /// The hosts this gateway answers for; requests for others get 421. None: any.
    #[schemars(extend("examples" = [["shop.example.com"]]))]
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// The largest request body.
    #[schemars(extend("default" = defaults::GATEWAY_BODY_LIMIT))]
    pub(crate) body_limit: Option<Size>,
    /// How long a request may take, from its first byte to the answer's last; while a slow client is waited for, the
    /// clock stands still.
    #[schemars(extend("default" = defaults::GATEWAY_TIMEOUT))]
    pub(crate) timeout: Option<Time>,
    /// How long a connection may be idle between two requests: longer than a load balancer in front keeps it.
    #[schemars(extend("default" = defaults::KEEP_ALIVE))]
    pub(crate) keep_alive: Option<Time>,
    /// Open connections at once.
    #[schemars(extend("default" = defaults::GATEWAY_CONNECTIONS_MAX))]
    pub(crate) connections_max: Option<u64>,
    /// Requests in flight at once; more get 503.
    #[schemars(extend("default" = defaults::GATEWAY_REQUESTS_MAX))]
    pub(crate) requests_max: Option<u64>,
    /// How often one client address may ask, over all routes: `100/min`, `10/s`, `1000/h`, or
    /// `off`. Beyond it: 429. As many may come at once. IPv6 addresses count by /64.
    #[schemars(extend("default" = defaults::GATEWAY_LIMIT))]
    pub(crate) limit: Option<String>,
    /// Where limits are counted for several hosts together: `redis.NAME`. Not written, and while
    /// that Redis is away: in memory.
    #[schemars(extend("examples" = ["redis.main"]))]
    pub(crate) limit_store: Option<String>,
    /// The proxies in front of this gateway, whose `X-Forwarded-*` and `Forwarded` are believed:
    /// addresses and networks. None: nobody's.
    #[schemars(extend("examples" = [["10.0.0.0/8", "::1"]]))]
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<String>,
    /// Whether answers name the service and its version.
    #[schemars(extend("default" = true))]
    pub(crate) expose_version: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawListen {
    One(String),
    More(Vec<String>),
    From(RawTextFrom),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTls {
    /// The certificate chain, a PEM file.
    #[schemars(required)]
    pub(crate) cert: Option<String>,
    /// The private key, a PEM file.
    #[schemars(required)]
    pub(crate) key: Option<String>,
    /// A PEM file of authorities: who shows a certificate of one of them may be a host of `[trust]`. Clients without
    /// a certificate are let in, too; one of another authority is not.
    pub(crate) client_ca: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdmin {
    /// The address of health, status and swaps, or the variable that has it. One that is not loopback needs `tokens`.
    #[schemars(extend("default" = defaults::ADMIN_LISTEN))]
    pub(crate) listen: Option<RawText>,
    /// The names by which it is asked, `ops.example.com`, besides its own address; on all addresses of
    /// a machine, any of these. Requests for others get 421.
    #[schemars(extend("examples" = [["ops.example.com"]]))]
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// PEM files of its own certificate. Without them it speaks plain HTTP.
    pub(crate) tls: Option<RawAdminTls>,
    /// Who may change what runs, by name. On a loopback address there is one more, `local`, in the
    /// file `admin-token` under `data`.
    #[serde(default)]
    pub(crate) tokens: Named<RawAdminToken>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdminTls {
    /// The certificate chain, a PEM file.
    #[schemars(required)]
    pub(crate) cert: Option<String>,
    /// The private key, a PEM file.
    #[schemars(required)]
    pub(crate) key: Option<String>,
    /// A PEM file of authorities: who has no certificate of one of them gets no connection, for health
    /// and metrics neither.
    pub(crate) client_ca: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdminToken {
    /// A variable of the host's environment that holds the token.
    pub(crate) env: Option<String>,
    /// A file that holds the token; a newline at its end is dropped.
    pub(crate) file: Option<String>,
    /// `read`, `swap`, `apply`; `accept`: permissions that a build needs beyond the manifest, with `swap`.
    #[schemars(required, extend("examples" = [["read", "swap"]]))]
    pub(crate) may: Option<Vec<RawMay>>,
}

// The variants carry no comments: the schema lists their words only.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawMay {
    Read,
    Swap,
    Apply,
    Accept,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHost {
    /// The folder for everything that outlives the process.
    #[schemars(extend("default" = defaults::DATA))]
    pub(crate) data: Option<String>,
    /// How long requests in flight may take to end when the host stops, or on a build that was replaced.
    #[schemars(extend("default" = defaults::DRAIN))]
    pub(crate) drain: Option<Time>,
    /// How long to go on accepting after being told to stop, until load balancers have noticed.
    #[schemars(extend("default" = defaults::LINGER))]
    pub(crate) linger: Option<Time>,
    /// By what the hosts of this manifest share the key that vouches for them (`trust = "token"`): `redis.NAME`. Not
    /// written: each has its own.
    pub(crate) trust_store: Option<String>,
    /// All instances of all services together. Not written: half of the machine's or the
    /// container's memory.
    pub(crate) guest_memory: Option<Size>,
    /// What the private Redis may hold, for all names together: what is over it is refused. Not written: a quarter
    /// of the machine's or the container's memory.
    pub(crate) redis_memory: Option<Size>,
    /// The cache of compiled components under `data`.
    #[schemars(extend("default" = defaults::ARTIFACTS_MAX))]
    pub(crate) artifacts_max: Option<Size>,
    /// Whether a component over 1 MiB that was never compiled here begins on quickly made code, until the full compilation
    /// is done.
    #[schemars(extend("default" = true))]
    pub(crate) quick_compiler: Option<bool>,
    /// Registries of components that are spoken to without TLS, as `registry.lan:5000`; those of this machine are anyway.
    #[serde(default)]
    pub(crate) plain_registries: Vec<String>,
    /// What components from elsewhere must have.
    #[serde(default)]
    pub(crate) import: RawImport,
    /// Whether a service may have `net = true`. For development only.
    #[schemars(extend("default" = false))]
    pub(crate) allow_unrestricted: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawImport {
    /// Files with a public key each (PEM; ECDSA on P-256, Ed25519 or RSA): a component from a registry runs only with a
    /// signature by one of them, as `cosign sign --key` makes it.
    #[serde(default)]
    pub(crate) signed_by: Vec<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDatabase {
    /// The operator's server: `postgres://…`. Not written: a private server that the host starts.
    pub(crate) url: Option<RawText>,
    /// The same database as a role that may only SELECT, for services with `read`.
    pub(crate) url_read: Option<RawText>,
    /// `disable`, `prefer` (encrypted if offered, certificate not checked) or `require` (checked).
    #[schemars(extend("default" = "prefer"))]
    pub(crate) tls: Option<RawTlsMode>,
    /// The schema of the operator's server in which the host keeps its own tables (`archipel_…`); made if it is missing.
    #[schemars(extend("default" = "public", "examples" = ["archipel"]))]
    pub(crate) schema: Option<String>,
    /// Open connections at once.
    #[schemars(extend("default" = defaults::DATABASE_CONNECTIONS_MAX))]
    pub(crate) connections_max: Option<u64>,
    /// How long a request waits for a free connection; then 503.
    #[schemars(extend("default" = defaults::DATABASE_WAIT))]
    pub(crate) wait: Option<Time>,
    /// How long one statement may run; then it is cancelled in the server too.
    #[schemars(extend("default" = defaults::STATEMENT_TIMEOUT))]
    pub(crate) statement_timeout: Option<Time>,
    /// The most rows one statement may return.
    #[schemars(extend("default" = defaults::ROWS_MAX))]
    pub(crate) rows_max: Option<u64>,
    /// The most bytes one statement may return.
    #[schemars(extend("default" = defaults::BYTES_MAX))]
    pub(crate) bytes_max: Option<Size>,
    /// A folder of `*.sql` files that the host runs, in order of their names, as the owner.
    pub(crate) migrations: Option<String>,
    /// Whether a service without this database is degraded rather than unhealthy.
    #[schemars(extend("default" = false))]
    pub(crate) optional: Option<bool>,
}

// The variants carry no comments: the schema lists their words only.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawTlsMode {
    Disable,
    Prefer,
    Require,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRoute {
    /// `/api/users/{id}`: `{name}` is one segment, a final `{*rest}` zero or more.
    #[schemars(required, extend("examples" = ["/api/users/{*rest}"]))]
    pub(crate) path: Option<String>,
    /// Only requests for this host: `shop.example.com`, or `*.example.com` for its subdomains.
    pub(crate) host: Option<String>,
    /// Only these methods; `GET` includes `HEAD`. Not written: every method.
    #[schemars(extend("examples" = [["GET"]]))]
    pub(crate) methods: Option<Vec<String>>,
    /// The service that answers.
    pub(crate) service: Option<String>,
    /// Instead of a service: an answer put together from several, by the names of its parts. Each
    /// is `SERVICE:/path`, or `{ from, default }`; their `data` become members of its `data`.
    #[schemars(extend("examples" = [{ "user": "users:/api/users/{id}" }]))]
    pub(crate) gather: Option<Named<RawPart>>,
    /// Instead of a service: always this status: 403, 404, 410, 451 or 503.
    #[serde(rename = "static")]
    pub(crate) fixed: Option<u64>,
    /// How often one client may call it, besides the gateway's limit: one user on a route with a
    /// token, one address on a public one.
    #[schemars(extend("examples" = ["10/min"]))]
    pub(crate) limit: Option<String>,
    /// Which pages of other origins may use it, instead of `[cors]`; `false`: none.
    #[schemars(extend("examples" = [{ "origins": ["*"] }]))]
    pub(crate) cors: Option<RawRouteCors>,
    /// Whether anybody may call it, without a token.
    #[schemars(extend("default" = false))]
    pub(crate) public: Option<bool>,
    /// Whose tokens are asked for, instead of `gateway.auth`: a name of `[auth]`.
    pub(crate) auth: Option<String>,
    /// Instead of the gateway's.
    pub(crate) timeout: Option<Time>,
    /// Instead of the gateway's.
    pub(crate) body_limit: Option<Size>,
    /// Whether an answer may go on for as long as it goes on, for server-sent events, and whether a service with a
    /// `url` may be asked for a WebSocket: `timeout` is only for the answer's head then.
    #[schemars(extend("default" = false))]
    pub(crate) stream: Option<bool>,
    /// With `stream`: how long nothing may be said before it is ended; of a WebSocket, by neither side.
    #[schemars(extend("default" = "60s"))]
    pub(crate) idle: Option<Time>,
}
