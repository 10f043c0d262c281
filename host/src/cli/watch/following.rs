//! `archipel run --apply-on-change`: the manifest's file is applied when it changes, for hosts whose manifest is
//! put in place by something else, such as a ConfigMap of Kubernetes.
//!
//! Nothing is built. A manifest with mistakes is told and changes nothing; the next one may be better.

use std::{sync::Arc, time::Duration};

use notify::RecommendedWatcher;

use super::changed::{Changed, Scope};
use crate::serve::Running;

/// Who asked for it, in histories.
const BY: &str = "file";
/// So long nothing happens to a file before it is taken as whole: one that is written in place is not read half.
const SETTLED: Duration = Duration::from_millis(700);
/// Folders change with the manifest; a machine that cannot say when a file changes now may later.
const AGAIN: Duration = Duration::from_secs(10);

/// What is followed; as long as this lives.
pub(in crate::cli) struct Following {
    changed: Arc<Changed>,
    watcher: RecommendedWatcher,
}

impl Following {
    /// Sees every change from now on.
    pub(in crate::cli) fn start(running: &Running) -> anyhow::Result<Self> {
        let changed = Arc::new(Changed::default());
        Ok(Self { watcher: changed.follow(&running.manifest(), Scope::Manifest)?, changed })
    }

    /// Applies what changes, until it is dropped.
    pub(in crate::cli) async fn run(mut self, running: &Running) -> anyhow::Result<()> {
        loop {
            self.changed.quiet().await;
            while tokio::time::timeout(SETTLED, self.changed.quiet()).await.is_ok() {}
            self.changed.take();
            running.reload(BY).await;
            // Its links lead elsewhere, or it includes other files now.
            match self.changed.follow(&running.manifest(), Scope::Manifest) {
                Ok(watcher) => self.watcher = watcher,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "changes of the manifest may not be seen");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
