//! `[events]` and `services.NAME.events` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::defaults;
use document::quantity::{Size, Time};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEvents {
    /// The Redis that carries them: a name of `[redis]`.
    #[schemars(required)]
    pub(crate) redis: Option<String>,
    /// How long an event is kept at most, also for a service that has not handled it yet.
    #[schemars(extend("default" = defaults::RETAIN))]
    pub(crate) retain: Option<Time>,
    /// How much is kept of each topic at most.
    #[schemars(extend("default" = defaults::RETAIN_BYTES))]
    pub(crate) retain_bytes: Option<Size>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConsumer {
    /// Events it handles at once.
    #[schemars(extend("default" = defaults::EVENT_CONCURRENCY))]
    pub(crate) concurrency: Option<u64>,
    /// How often an event is tried before it goes to the dead letters.
    #[schemars(extend("default" = defaults::EVENT_TRIES))]
    pub(crate) tries: Option<u64>,
    /// The pause before the second try; each further one is twice as long, up to a minute.
    #[schemars(extend("default" = defaults::EVENT_BACKOFF))]
    pub(crate) backoff: Option<Time>,
    /// Wall clock of one try.
    #[schemars(extend("default" = defaults::EVENT_TIMEOUT))]
    pub(crate) timeout: Option<Time>,
}
