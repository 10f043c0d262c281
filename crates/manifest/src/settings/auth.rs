//! What a manifest says of an issuer of tokens, and where its keys come from.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gateway::auth::RolesClaim;

use super::Secret;

/// An issuer of tokens by name: what its tokens say and where its keys come from.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthSettings {
    pub issuer: String,
    pub audience: String,
    /// The claim that has the roles.
    pub roles: RolesClaim,
    pub leeway: Duration,
    pub keys: KeySettings,
}

#[derive(Debug, Clone, PartialEq)]
pub enum KeySettings {
    /// Made by the host, under its `data`.
    Generated {
        /// By what the hosts of a manifest share them; none: each has its own.
        store: Option<KeyStore>,
    },
    /// A key set of others; absolute.
    JwksFile(PathBuf),
    /// A key set of others, fetched when it is needed.
    Address {
        uri: http::Uri,
        /// Whose certificate it has, if not one that the web's roots vouch for.
        ca: Option<PathBuf>,
    },
    /// A private key in PEM that can be used.
    Private(Secret),
    Public(gateway::auth::VerifyingKey),
    /// Shared, at least 32 bytes.
    Secret(Secret),
}

/// What all hosts of a manifest reach, by its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyStore {
    Redis(Arc<str>),
    /// A database that no service reaches.
    Postgres(Arc<str>),
}

impl KeySettings {
    /// The database that keeps the keys, if one does.
    pub fn database(&self) -> Option<&Arc<str>> {
        match self {
            Self::Generated { store: Some(KeyStore::Postgres(name)) } => Some(name),
            _ => None,
        }
    }

    /// Whether the host holds what signs.
    pub fn can_sign(&self) -> bool {
        matches!(self, Self::Generated { .. } | Self::Private(_) | Self::Secret(_))
    }
}
