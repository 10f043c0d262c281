//! `[secrets]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNamedSecret {
    /// A variable of the host's environment that holds it. No service can be granted it.
    pub(crate) env: Option<String>,
    /// A file that holds it, read again when it changes; a newline at its end is dropped.
    pub(crate) file: Option<String>,
    /// Put by the host into a header of requests to one host; the component never sees it.
    pub(crate) header: Option<RawSecretHeader>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSecretHeader {
    /// The host, with a port if that is not 443: `api.stripe.com`. Over https only, but for loopback.
    #[schemars(required)]
    pub(crate) to: Option<String>,
    /// The header: `authorization`.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// What it says; `{}` stands for the secret. Not written: the secret alone.
    #[schemars(extend("default" = "{}"))]
    pub(crate) format: Option<String>,
}
