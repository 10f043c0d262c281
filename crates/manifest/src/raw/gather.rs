//! `routes[].gather` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A part of a gathered answer: whom to ask, or that and what stands for it when it fails.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawPart {
    Plain(String),
    From(RawPartFrom),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPartFrom {
    /// `SERVICE:/path?query`, asked with GET; `{name}` is a parameter of the route.
    #[schemars(required, extend("examples" = ["users:/api/users/{id}"]))]
    pub(crate) from: Option<String>,
    /// What stands for this part when it fails; not written: its failure is the answer.
    pub(crate) default: Option<Value>,
}
