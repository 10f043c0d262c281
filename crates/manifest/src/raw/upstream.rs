//! What `[services.NAME]` says of a service that is no component, in the file's own words.

use document::quantity::Time;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::defaults;

/// Where it runs.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawUrl {
    One(String),
    More(Vec<String>),
    Discover(RawDiscover),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDiscover {
    /// Who knows where it is, and under which name: `consul:orders`, `dns:orders.internal.example:4000` (a name and a
    /// port), `srv:_http._tcp.orders.internal.example` (SRV records).
    #[schemars(required, extend("examples" = ["consul:orders", "dns:orders.internal.example:4000"]))]
    pub(crate) discover: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawUpstreamTls {
    /// A PEM file of authorities: its certificate must be of one of them. Not written: of the web's.
    pub(crate) ca: Option<String>,
    /// Our own certificate chain, a PEM file, shown where it asks for one; read again when it changes.
    pub(crate) cert: Option<String>,
    /// The key of `cert`, a PEM file.
    pub(crate) key: Option<String>,
    /// The name that its certificate must have. Not written: that of its address; with `trust = "mtls"` the
    /// service's own.
    #[schemars(extend("examples" = ["orders"]))]
    pub(crate) name: Option<String>,
}

// The variants carry no comments: the schema lists their words only.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawProof {
    None,
    Mtls,
    Token,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPool {
    /// Open connections to each of its addresses.
    #[schemars(extend("default" = defaults::POOL_CONNECTIONS_MAX))]
    pub(crate) connections_max: Option<u64>,
    /// How long a connection may wait for its next request: less than the service itself keeps it.
    #[schemars(extend("default" = defaults::POOL_IDLE))]
    pub(crate) idle: Option<Time>,
    /// HTTP/2 where there is no TLS to agree on it: for a service that is known to speak it.
    #[schemars(extend("default" = false))]
    pub(crate) http2: Option<bool>,
}
