//! A start: a manifest applied onto nothing.

use std::sync::Arc;

use super::{
    Ground, NextError, System,
    commit::tell_unrestricted,
    next::{self, Wanted},
    siblings,
};
use crate::deploy::Watch;
use manifest::Manifest;

/// Who wants what a start runs, in histories and in `status`.
const MANIFEST: &str = "manifest";

impl System {
    /// Everything that `manifest` describes, or nothing: what was started for it is stopped again. `own` is where others
    /// reach our gateway.
    pub async fn start(
        ground: Ground,
        manifest: Manifest,
        digest: String,
        own: &(String, u16),
        watch: &Arc<dyn Watch>,
    ) -> Result<Arc<Self>, NextError> {
        // Long before the host says that it is ready.
        tell_unrestricted(&manifest);
        siblings::take_over(&ground, &manifest, own).await;
        let wanted = Wanted { manifest, digest, by: MANIFEST.into() };
        let prepared = next::next(&ground, None, wanted, Some(watch)).await?;
        // From here on nothing can fail.
        let (system, gone) = Self::begin(ground, prepared);
        system.forget(gone).await;
        Ok(Arc::new(system))
    }
}
