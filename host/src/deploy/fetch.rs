//! Components that are no files of this machine are brought here, before anything of a manifest is loaded.
//!
//! Decides what is asked for again. A digest never is, once it is here. A tag is pinned: a start goes on with what it stood
//! for, so that a restart changes nothing and needs no registry; only who applies a manifest, or pulls, has it looked
//! at anew. Where nobody answers then, what is here stays, and that is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use crate::component::pulled;
use backend::{
    http::Outbound,
    registry::{Fetched, Registries, RegistryError},
};
use manifest::{Environment, Manifest, Remote};

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
            None => one(name, remote, file, registries, freshness).await,
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

async fn one(
    service: &Arc<str>,
    remote: &Remote,
    file: &Path,
    registries: &Registries,
    freshness: Freshness,
) -> Result<Pinned, Why> {
    let pinned = |digest: String, fetched, unknown| Pinned {
        service: service.to_string(),
        component: remote.to_string(),
        digest,
        fetched,
        unknown,
    };
    let here = pulled::pin(file);
    if let Some(here) = here.clone().filter(|_| remote.is_pinned() || freshness == Freshness::Kept) {
        return Ok(pinned(here, false, None));
    }
    let fetching = async {
        if let (Some(here), Remote::Registry(image)) = (&here, remote)
            && registries.resolve(image).await?.to_string() == *here
        {
            return Ok(None);
        }
        registries.fetch(remote).await.map(Some)
    };
    match (fetching.await, here) {
        (Ok(Some(Fetched { wasm, digest })), _) => {
            let keep = pulled::keep(file, &wasm, &digest.to_string());
            keep.map_err(|source| Why::Keep { file: file.to_owned(), source })?;
            tracing::info!(%service, component = %remote, %digest, bytes = wasm.len(), "fetched a component");
            Ok(pinned(digest.to_string(), true, None))
        }
        (Ok(None), Some(here)) => Ok(pinned(here, false, None)),
        (Err(error), Some(here)) if error.is_passing() => {
            tracing::warn!(%service, component = %remote, digest = here, %error, "cannot ask what a tag stands for now; what it stood for stays");
            Ok(pinned(here, false, Some(error.to_string())))
        }
        (Err(error), _) => Err(error.into()),
        (Ok(None), None) => unreachable_pin(remote),
    }
}

/// Only what is here is compared.
fn unreachable_pin(remote: &Remote) -> Result<Pinned, Why> {
    Err(RegistryError::NotThere { of: remote.to_string() }.into())
}
