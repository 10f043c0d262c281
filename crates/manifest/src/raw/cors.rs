//! `[cors]` and `routes[].cors` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::defaults;
use document::quantity::Time;

/// Which pages of other origins may use the routes.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCors {
    /// Who may read answers: `https://app.example.com`, `https://*.example.com` for every name below, or `*`.
    #[schemars(required, extend("examples" = [["https://app.example.com"]]))]
    pub(crate) origins: Option<Vec<String>>,
    /// What pages may ask with. Not written: every method but `OPTIONS`.
    #[schemars(extend("examples" = [["GET", "POST"]]))]
    pub(crate) methods: Option<Vec<String>>,
    /// Headers that pages may send. Not written: whatever they ask for.
    #[schemars(extend("examples" = [["content-type", "authorization"]]))]
    pub(crate) headers: Option<Vec<String>>,
    /// Headers of answers that pages may read, besides the usual ones.
    #[schemars(extend("examples" = [["x-request-id"]]))]
    #[serde(default)]
    pub(crate) expose: Vec<String>,
    /// Whether browsers may send cookies. Not with the origin `*`.
    #[schemars(extend("default" = false))]
    pub(crate) credentials: Option<bool>,
    /// How long a browser may remember what it was told before it asked.
    #[schemars(extend("default" = defaults::CORS_MAX_AGE))]
    pub(crate) max_age: Option<Time>,
}

/// A route's own rules, or `false`: none.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawRouteCors {
    Switch(bool),
    Own(RawCors),
}
