//! Components that are no files of this machine, brought here before a manifest is run.

use crate::deploy::{self, Freshness, Unfetched};
use backend::http::Outbound;
use document::problem::{Problems, chain};
use manifest::{Environment, Loaded};

/// Brings the components of a manifest here; what cannot be had, as mistakes with their places.
pub(super) async fn fetch(
    loaded: &Loaded,
    environment: &Environment,
    freshness: Freshness,
) -> anyhow::Result<Result<Vec<deploy::Pinned>, Problems>> {
    let manifest = &loaded.manifest;
    if manifest.services.values().all(|service| service.remote.is_none()) {
        return Ok(Ok(Vec::new()));
    }
    let outbound = Outbound::of(environment)?;
    let registries = deploy::registries(manifest, &outbound, environment);
    let problem = |error: &Unfetched| loaded.problem(&format!("services.{}.component", error.service), chain(error));
    let fetched = deploy::fetch(manifest, &registries, freshness).await;
    Ok(fetched.map_err(|errors| Problems::new(&manifest.file, errors.iter().map(problem).collect())))
}
