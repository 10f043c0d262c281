//! `permissions.net` and `permissions.call` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Named;

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawNet {
    Everything(bool),
    Allow(Vec<String>),
    Lists(RawNetLists),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNetLists {
    /// Hosts, `*.` domains, addresses or ranges, each with a port or without.
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    /// The same, out of reach whatever `allow` says.
    #[serde(default)]
    pub(crate) deny: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawCall {
    Whole(Vec<String>),
    Narrow(Named<Vec<String>>),
}
