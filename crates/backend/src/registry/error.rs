//! Why a component could not be fetched, or put where others can.

use manifest::Sha256;

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("cannot reach `{registry}`: {reason}")]
    Unreached { registry: String, reason: String },

    #[error("`{registry}` wants credentials, and {reason}")]
    Credentials { registry: String, reason: String },

    #[error("`{registry}` refused: {reason}; log in to it with `docker login {registry}`, or with whom may do that")]
    Unauthorized { registry: String, reason: String },

    #[error("there is no `{of}`")]
    NotThere { of: String },

    #[error("`{of}` is {found}, not {asked}; nothing of it is used")]
    Another { of: String, asked: Sha256, found: Sha256 },

    #[error("`{of}` broke off after {has} of {promised} bytes; nothing of it is used")]
    Truncated { of: String, has: u64, promised: u64 },

    #[error("`{of}` is larger than {bytes_max} bytes")]
    TooLarge { of: String, bytes_max: usize },

    #[error("`{of}` is no component: {reason}")]
    NoComponent { of: String, reason: String },

    #[error(
        "`{of}` has {found} signatures and none by a key of `host.import.signed_by`; sign it (`cosign sign --key`), or name the key that has"
    )]
    Unsigned { of: String, found: usize },

    #[error("`{of}` names no tag to push to; write `:` and one at its end")]
    NoTag { of: String },

    #[error("cannot fetch or push `{of}`: {reason}")]
    Odd { of: String, reason: String },
}

impl RegistryError {
    /// It may be there again later: what was fetched before goes on meanwhile.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreached { .. } | Self::Odd { .. })
    }
}
