//! The operator's ceiling in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use grant::RawPermissions;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Archipel ceiling")]
pub(crate) struct RawCeiling {
    /// What no service may exceed: the keys of `services.NAME.permissions`.
    #[schemars(required)]
    pub(crate) ceiling: Option<RawPermissions>,
}
