//! `[keyvalue.NAME]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use document::quantity::Time;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeyValue {
    /// The Redis that keeps it: a name of `[redis]`.
    #[schemars(required)]
    pub(crate) redis: Option<String>,
    /// How long a value is kept that is written without a time of its own. Not written: until it is
    /// deleted.
    pub(crate) ttl: Option<Time>,
    /// Whether a service without this store is degraded rather than unhealthy.
    #[schemars(extend("default" = false))]
    pub(crate) optional: Option<bool>,
}
