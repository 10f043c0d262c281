//! What changes on the machine of a host that runs: the file of a component or of the manifest, as it is
//! now, goes live.

use std::{sync::Arc, time::Duration};

use super::Running;
use crate::{
    deploy::Fate,
    system::{ApplyError, SwapError},
};
use document::problem::chain;
use manifest::Manifest;

/// Who asked for it, in histories.
const BY: &str = "watch";

/// What became of a build.
pub enum Rebuilt {
    /// It is what runs.
    Same,
    Live {
        version: String,
        took: Duration,
    },
}

impl Running {
    /// What runs now.
    pub fn manifest(&self) -> Arc<Manifest> {
        self.system.current().manifest.clone()
    }

    /// What the manifest's file says now, if it can be read; its components need not be there.
    pub async fn read_file(&self) -> Option<Manifest> {
        self.system.read_file().await
    }

    /// Makes the manifest's file the running manifest; a sentence for people.
    pub async fn apply_file(&self) -> Result<String, ApplyError> {
        self.applied_file(BY).await
    }

    /// The same for an operator, who reads the log: why nothing was changed is told there. `by` asked for it.
    pub async fn reload(&self, by: &str) {
        match self.applied_file(by).await {
            Ok(said) => tracing::info!(by, "{said}"),
            Err(error) => {
                let error = chain(&error);
                tracing::error!(by, error, "the manifest's file cannot run; what ran before goes on");
            }
        }
    }

    async fn applied_file(&self, by: &str) -> Result<String, ApplyError> {
        let done = self.system.apply_file(by.into()).await?;
        let changed = done.services.iter().filter(|(_, fate)| **fate != Fate::Kept);
        let changed: Vec<String> = changed.map(|(name, fate)| format!("{name} {fate}")).collect();
        let changed = if changed.is_empty() { "no service changed".to_owned() } else { changed.join(", ") };
        let restart = match done.manifest.restart.is_empty() {
            true => String::new(),
            false => format!("; left as it was until a restart: {}", done.manifest.restart.join(", ")),
        };
        Ok(format!("the manifest runs as it is now: {changed}{restart}"))
    }

    /// Swaps in what the service's component file is now.
    pub async fn rebuilt(&self, service: &str) -> Result<Rebuilt, SwapError> {
        let swapped = self.system.swap_file(service, &BY.into()).await?;
        Ok(swapped.map_or(Rebuilt::Same, |swapped| Rebuilt::Live { version: swapped.version, took: swapped.took }))
    }
}
