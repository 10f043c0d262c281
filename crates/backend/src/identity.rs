//! Tokens and passwords: every issuer of a manifest with its keys, and the work of hashing.
//!
//! A private key never leaves this folder of the house: what comes out is a signed token or a
//! public key. Start at [`Identities::open`].

mod generated;
mod issuer;
mod jwks;
mod passwords;
mod place;
mod sharing;
mod voucher;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use gateway::auth::Verifier;
use serde_json::{Value, json};

use self::place::Kept;
pub use self::{
    generated::{KeyFile, KeyFileError},
    issuer::{Issuer, IssuerError, SignError, of_others},
    passwords::{PasswordError, Passwords},
    voucher::{Spoken, Voucher},
};
use crate::{postgres::Databases, redis::Stores};
use manifest::{AuthSettings, KeySettings, KeyStore};

/// Everything the host knows of who is who.
pub struct Identities {
    issuers: BTreeMap<Arc<str>, (AuthSettings, Arc<Issuer>)>,
    pub passwords: Arc<Passwords>,
}

impl Identities {
    /// Reads the keys of every issuer, and makes those that are to be generated.
    ///
    /// # Errors
    /// The first issuer whose keys cannot be used.
    pub fn open(issuers: &BTreeMap<Arc<str>, AuthSettings>, data: &Path) -> Result<Self, IssuerError> {
        Self { issuers: BTreeMap::new(), passwords: Arc::default() }.changed(issuers, data)
    }

    /// Those of a manifest that changed: what is the same keeps its keys.
    ///
    /// # Errors
    /// The first issuer whose keys cannot be used.
    pub fn changed(&self, issuers: &BTreeMap<Arc<str>, AuthSettings>, data: &Path) -> Result<Self, IssuerError> {
        let open = |(name, settings): (&Arc<str>, &AuthSettings)| {
            let same = self.issuers.get(name).filter(|(known, _)| known == settings);
            let issuer = match same {
                Some((_, issuer)) => issuer.clone(),
                None => Arc::new(Issuer::open(name, settings, data)?),
            };
            Ok((name.clone(), (settings.clone(), issuer)))
        };
        let issuers = issuers.iter().map(open).collect::<Result<_, IssuerError>>()?;
        Ok(Self { issuers, passwords: self.passwords.clone() })
    }

    /// Shares generated keys where the manifest `system` says so; waits a moment for those of other hosts. Whoever
    /// does it already goes on. Needs a tokio runtime. Cancel safe.
    pub async fn share(&self, stores: &Stores, databases: &Databases, system: &str) {
        for (settings, issuer) in self.issuers.values() {
            let KeySettings::Generated { store: Some(store) } = &settings.keys else { continue };
            let kept = match store {
                KeyStore::Redis(name) => stores.get(name).cloned().map(Kept::Redis),
                KeyStore::Postgres(name) => databases.shelf(name).map(|shelf| Kept::Postgres(Arc::new(shelf))),
            };
            if let Some(kept) = kept {
                issuer.share(kept, system).await;
            }
        }
    }

    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.get(name).map(|(_, issuer)| issuer)
    }

    /// What tells a true token of `name` from any other text.
    pub fn verifier(&self, name: &str) -> Option<Arc<Verifier>> {
        self.issuer(name).map(|issuer| issuer.verifier())
    }

    /// The public keys that others need to verify what this host signs.
    pub async fn published(&self) -> Value {
        let mut keys: Vec<Value> = Vec::new();
        for (_, issuer) in self.issuers.values() {
            keys.extend(issuer.published().await.iter().filter_map(|key| key.to_jwk()));
        }
        json!({ "keys": keys })
    }
}
