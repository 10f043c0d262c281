//! What several tables of a file have in common: names, and texts that may come from elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) type Named<T> = BTreeMap<String, T>;

/// A text, or where it comes from.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawText {
    Plain(String),
    From(RawTextFrom),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTextFrom {
    /// A variable of the host's environment. No service can be granted it.
    pub(crate) env: Option<String>,
    /// Whether the variable may be unset; then it is as if the key were not written.
    #[schemars(extend("default" = false))]
    pub(crate) optional: Option<bool>,
    /// A file whose content is the text; a newline at its end is dropped.
    pub(crate) file: Option<String>,
}
