//! `[discovery]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use document::quantity::Time;

use super::{super::defaults, text::RawTextFrom};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDiscovery {
    /// The agent of Consul that knows where services are, and is told of ours.
    pub(crate) consul: Option<RawConsul>,
    /// Who is asked for names of DNS, and how often. Not written: the servers of the system.
    pub(crate) dns: Option<RawDns>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDns {
    /// The servers, `10.96.0.10:53`. Not written: those of the system, `/etc/resolv.conf`.
    #[schemars(extend("examples" = [["10.96.0.10:53"]]))]
    #[serde(default)]
    pub(crate) servers: Vec<String>,
    /// After how long it is asked again at the latest, however long an answer may be kept.
    #[schemars(extend("default" = defaults::DNS_TTL_MAX))]
    pub(crate) ttl_max: Option<Time>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConsul {
    /// Its HTTP address.
    #[schemars(required, extend("examples" = ["http://127.0.0.1:8500"]))]
    pub(crate) url: Option<String>,
    /// The token that it is asked with: `{ env = "NAME" }` or `{ file = "path" }`.
    pub(crate) token: Option<RawTextFrom>,
    /// Whose services are looked for. Not written: those of the agent's own.
    pub(crate) datacenter: Option<String>,
    /// Whether Consul is told of the components here that routes lead to.
    #[schemars(extend("default" = true))]
    pub(crate) register: Option<bool>,
    /// Where others reach this gateway, `10.0.0.5:3000`. Not written: the first address of `gateway.listen`.
    pub(crate) address: Option<String>,
    /// What our services are marked with.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// A start takes the builds that were swapped in on the other hosts of this system over the same component file.
    pub(crate) take_builds: Option<RawTakeBuilds>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTakeBuilds {
    /// The name under `admin.tokens` of the token that all hosts know; it may `read`.
    #[schemars(required, extend("examples" = ["ops"]))]
    pub(crate) token: Option<String>,
    /// A PEM file of authorities: the certificates of their `admin.tls` must be of one of them. Not written: of the web's.
    pub(crate) ca: Option<String>,
}
