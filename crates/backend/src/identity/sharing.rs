//! Sees to it that all hosts of a manifest have the same generated keys.
//!
//! Each has all of them in its own file, so a Redis that is away or empty loses none: who comes first puts them back.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::sleep};

use super::generated::KeyFile;

/// How often the others are asked.
const EVERY: Duration = Duration::from_secs(2);

/// Ended when dropped.
pub(super) struct Sharing(JoinHandle<()>);

impl Drop for Sharing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sharing {
    /// Of the issuer `name`, again and again.
    pub(super) fn start(file: Arc<KeyFile>, name: Arc<str>) -> Self {
        Self(tokio::spawn(async move {
            let mut fails = false;
            loop {
                let shared = file.share().await;
                match &shared {
                    Ok(_) if fails => tracing::info!(auth = %name, "keys are shared with other hosts again"),
                    Err(reason) if !fails => {
                        tracing::warn!(auth = %name, reason, "keys cannot be shared with other hosts; those that are here go on counting");
                    }
                    _ => {}
                }
                fails = shared.is_err();
                sleep(EVERY).await;
            }
        }))
    }
}
