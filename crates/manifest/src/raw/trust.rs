//! `[trust.NAME]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTrust {
    /// The services here that it may speak to in the name of users and of its own services.
    #[schemars(required, extend("examples" = [["orders"]]))]
    pub(crate) services: Option<Vec<String>>,
    /// Where the key set is that its tokens are signed with: a file, or the address of its gateway's
    /// `/.well-known/trust.json`. Not written: only its certificate is believed.
    #[schemars(extend("examples" = ["https://front.internal.example/.well-known/trust.json"]))]
    pub(crate) jwks: Option<String>,
    /// Whose certificate the address in `jwks` must have, a PEM file. Not written: the web's roots.
    pub(crate) ca: Option<String>,
}
