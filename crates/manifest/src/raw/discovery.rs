//! `[discovery]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::RawTextFrom;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDiscovery {
    /// The agent of Consul that knows where services are, and is told of ours.
    pub(crate) consul: Option<RawConsul>,
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
}
