//! `[redis.NAME]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text::RawText;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRedis {
    /// The operator's server: `redis://…`, or `rediss://…` with TLS. Not written: a private server
    /// that the host starts.
    pub(crate) url: Option<RawText>,
}
