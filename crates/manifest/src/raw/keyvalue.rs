//! `[keyvalue.NAME]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use document::quantity::{Size, Time};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeyValue {
    /// The Redis that keeps it: a name of `[redis]`.
    #[schemars(required)]
    pub(crate) redis: Option<String>,
    /// How long a value is kept that is written without a time of its own. Not written: until it is
    /// deleted.
    pub(crate) ttl: Option<Time>,
    /// How much the store may hold in its Redis: what is over it is refused. Not written: without a bound of its own
    /// on a Redis by URL; on the private one `host.redis_memory` divided by the number of stores there and one more.
    pub(crate) memory: Option<Size>,
    /// Whether a service without this store is degraded rather than unhealthy.
    #[schemars(extend("default" = false))]
    pub(crate) optional: Option<bool>,
}
