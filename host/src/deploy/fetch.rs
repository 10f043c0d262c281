//! Components that are no files of this machine are brought here, before anything of a manifest is loaded.
//!
//! Decides what is asked for again. A digest never is, once it is here. A tag is pinned: a start goes on with what it stood
//! for, so that a restart changes nothing and needs no registry; only who applies a manifest, or pulls, has it looked
//! at anew. Where nobody answers then, what is here stays, and that is told. Where the manifest wants signatures, nothing of a
//! registry runs without: what proves one is kept beside the component, so that this needs no registry either.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use crate::component::pulled;
use backend::{
    http::Outbound,
    registry::{Fetched, Proof, Registries, RegistryError},
};
use gateway::auth::VerifyingKey;
use manifest::{Environment, Manifest, Remote, Sha256};

/// Which tags are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// None that is here.
    Kept,
    /// Every one.
    Anew,
}

/// What a service's component is, and where from.
#[derive(Debug, Clone, Serialize)]
pub struct Pinned {
    pub service: String,
    pub component: String,
    pub digest: String,
    /// It was fetched just now.
    pub fetched: bool,
    /// Why nobody could say whether the tag still means this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Why a service's component is not here.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch the component of `{service}`")]
pub struct Unfetched {
    pub service: Arc<str>,
    #[source]
    source: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("cannot keep it as `{}`", .file.display())]
    Keep {
        file: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A way to registries for those who have a manifest.
pub fn registries(manifest: &Manifest, outbound: &Outbound, environment: &Environment) -> Registries {
    Registries::new(outbound, environment, manifest.host.plain_registries.clone())
}

/// Brings the components of `manifest` here that are not, each once.
///
/// # Errors
/// Every service whose component cannot be had; what could be had is kept all the same.
pub async fn fetch(
    manifest: &Manifest,
    registries: &Registries,
    freshness: Freshness,
) -> Result<Vec<Pinned>, Vec<Unfetched>> {
    let mut done: BTreeMap<&Path, Pinned> = BTreeMap::new();
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for service in manifest.services.values() {
        let Some(remote) = &service.remote else { continue };
        let (file, name) = (&*service.component, &service.name);
        let known = done.get(file).cloned();
        let pinned = match known {
            Some(pinned) => Ok(Pinned { service: name.to_string(), ..pinned }),
            None => {
                let of = Of { service: name, remote, file, registries, keys: &manifest.host.signed_by };
                of.brought(freshness).await
            }
        };
        match pinned {
            Ok(pinned) => {
                done.insert(file, pinned.clone());
                all.push(pinned);
            }
            Err(source) => problems.push(Unfetched { service: name.clone(), source }),
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// Removes components that were fetched for another manifest.
pub fn forget_others(manifest: &Manifest) {
    let fetched = manifest.services.values().filter(|service| service.remote.is_some());
    let wanted: BTreeSet<_> = fetched.filter_map(|service| service.component.file_stem()).collect();
    if let Err(error) = pulled::keep_only(&manifest::pulled(&manifest.host.data), &wanted) {
        tracing::debug!(%error, "cannot remove components that nobody names any more");
    }
}

/// One service's component, and who must have signed it.
struct Of<'a> {
    service: &'a Arc<str>,
    remote: &'a Remote,
    file: &'a Path,
    registries: &'a Registries,
    keys: &'a [VerifyingKey],
}

impl Of<'_> {
    async fn brought(&self, freshness: Freshness) -> Result<Pinned, Why> {
        let (service, remote) = (self.service, self.remote);
        let here = pulled::pin(self.file);
        if let Some(here) = here.clone().filter(|_| remote.is_pinned() || freshness == Freshness::Kept) {
            return self.as_it_was(here, None).await;
        }
        match (self.looked_up(here.as_deref()).await, here) {
            (Ok(Some(Fetched { wasm, digest })), _) => {
                let proof = self.proof(digest).await?;
                let kept = pulled::keep(self.file, &wasm, &digest.to_string());
                kept.and_then(|()| self.keep_proof(proof)).map_err(|source| self.not_kept(source))?;
                tracing::info!(%service, component = %remote, %digest, bytes = wasm.len(), "fetched a component");
                Ok(self.pinned(digest.to_string(), true, None))
            }
            (Ok(None), Some(here)) => self.as_it_was(here, None).await,
            (Err(error), Some(here)) if error.is_passing() => {
                tracing::warn!(%service, component = %remote, digest = here, %error, "cannot ask what a tag stands for now; what it stood for stays");
                self.as_it_was(here, Some(error.to_string())).await
            }
            (Err(error), _) => Err(error.into()),
            // Only what is here is compared.
            (Ok(None), None) => Err(RegistryError::NotThere { of: remote.to_string() }.into()),
        }
    }

    /// None: it is what is here.
    async fn looked_up(&self, here: Option<&str>) -> Result<Option<Fetched>, RegistryError> {
        if let (Some(here), Remote::Registry(image)) = (here, self.remote)
            && self.registries.resolve(image).await?.to_string() == here
        {
            return Ok(None);
        }
        self.registries.fetch(self.remote).await.map(Some)
    }

    /// What is here goes on, if who must has signed it.
    async fn as_it_was(&self, here: String, unknown: Option<String>) -> Result<Pinned, Why> {
        let kept = || serde_json::from_slice::<Proof>(&pulled::proof(self.file)?).ok();
        if !self.keys.is_empty() && !kept().is_some_and(|proof| proof.holds(&here, self.keys)) {
            let digest = here.parse().map_err(|reason| RegistryError::Odd { of: self.remote.to_string(), reason })?;
            let proof = self.proof(digest).await?;
            self.keep_proof(proof).map_err(|source| self.not_kept(source))?;
        }
        Ok(self.pinned(here, false, unknown))
    }

    /// None where nobody must have signed it.
    async fn proof(&self, digest: Sha256) -> Result<Option<Proof>, RegistryError> {
        match self.remote {
            Remote::Registry(image) if !self.keys.is_empty() => {
                self.registries.proof(image, digest, self.keys).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    fn keep_proof(&self, proof: Option<Proof>) -> std::io::Result<()> {
        let Some(proof) = proof else { return Ok(()) };
        pulled::keep_proof(self.file, &serde_json::to_vec(&proof)?)
    }

    fn not_kept(&self, source: std::io::Error) -> Why {
        Why::Keep { file: self.file.to_owned(), source }
    }

    fn pinned(&self, digest: String, fetched: bool, unknown: Option<String>) -> Pinned {
        Pinned { service: self.service.to_string(), component: self.remote.to_string(), digest, fetched, unknown }
    }
}
