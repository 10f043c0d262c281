//! `[auth.NAME]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::defaults;
use document::quantity::Time;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAuth {
    /// The `iss` of its tokens, exactly.
    #[schemars(required, extend("examples" = ["archipel"]))]
    pub(crate) issuer: Option<String>,
    /// A member of the `aud` of its tokens.
    #[schemars(required, extend("examples" = ["shop"]))]
    pub(crate) audience: Option<String>,
    /// The claim that has the roles, `realm_access.roles` for one within another: a list of texts, or of a
    /// claim other than `roles` one text with spaces.
    #[schemars(extend("default" = "roles", "examples" = ["realm_access.roles"]))]
    pub(crate) roles: Option<String>,
    /// Where its keys come from: one of `generate`, `jwks`, `pem`, `hs256`.
    #[schemars(required)]
    pub(crate) keys: Option<RawKeys>,
    /// How far the clocks of issuer and gateway may be apart.
    #[schemars(extend("default" = defaults::LEEWAY))]
    pub(crate) leeway: Option<Time>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeys {
    /// An Ed25519 key that the host makes on first use and keeps under `host.data`.
    #[schemars(extend("const" = true))]
    pub(crate) generate: Option<bool>,
    /// By what all hosts of this manifest share the generated keys: `redis.NAME`, or `postgres.NAME` of a database with a
    /// `url` that no service reaches. Not written: each host makes its own.
    #[schemars(extend("examples" = ["redis.main", "postgres.keys"]))]
    pub(crate) store: Option<String>,
    /// A JSON Web Key Set of others: a file, or an `https://` address.
    #[schemars(extend("examples" = ["https://id.example.com/.well-known/jwks.json"]))]
    pub(crate) jwks: Option<String>,
    /// Whose certificate the address in `jwks` must have, a PEM file. Not written: the web's roots.
    pub(crate) ca: Option<String>,
    /// A PEM file: a public key, which verifies, or a private one (PKCS#8), which signs too.
    pub(crate) pem: Option<String>,
    /// What the key in `pem` is for: `EdDSA`, `RS256` or `ES256`.
    pub(crate) alg: Option<RawAlgorithm>,
    /// A secret of at least 32 bytes, shared with whoever else signs or verifies.
    pub(crate) hs256: Option<RawSecret>,
}

// The variants carry no comments: the schema lists their words only.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum RawAlgorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSecret {
    /// A variable of the host's environment. No service can be granted it.
    pub(crate) env: Option<String>,
    /// A file whose content is the secret; a newline at its end is dropped.
    pub(crate) file: Option<String>,
}
