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
    /// Who knows where it is, and under which name: `consul:orders`.
    #[schemars(required, extend("examples" = ["consul:orders"]))]
    pub(crate) discover: Option<String>,
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
}
