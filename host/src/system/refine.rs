//! Quickly made code gives way to the full compilation's, while requests go on.
//!
//! Decides which service is next: one at a time, on the threads that compile. It is the same build, so nothing
//! is said of it but in the log and in `status`: no history, no swap is counted, no ramp and no breaker notices. A swap that
//! comes in between wins; its own code is looked at next.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::System;
use crate::{
    component::Compiler,
    deploy::{DeployError, Deployed, Haste},
    service::Version,
};
use document::problem::chain;

/// One that does not start is tried again so often, a second or more apart.
const TRIES_MAX: u32 = 20;

impl System {
    /// Begins with the next service that runs on quickly made code, unless another one is at work.
    pub(super) fn refine(self: &Arc<Self>) {
        let mut at_work = self.refining.at_work();
        if at_work.as_ref().is_some_and(|at_work| !at_work.is_finished()) {
            return;
        }
        let next = self.services().values().find_map(|deployed| Some((deployed.clone(), coarse(deployed)?)));
        *at_work = next.map(|(deployed, version)| tokio::spawn(self.clone().refined(deployed, version)));
    }

    async fn refined(self: Arc<Self>, deployed: Arc<Deployed>, before: Arc<Version>) {
        let began = Instant::now();
        let (service, version) = (&deployed.settings.name, before.text());
        match self.better(&before).await {
            Ok(new) => {
                if deployed.service.refine(&before, new) {
                    let took = began.elapsed().as_millis() as u64;
                    tracing::info!(%service, version, tookMs = took, "compiled in full: it runs on cranelift's code now");
                    self.loader().forget_quick(before).await;
                }
            }
            Err(error) => {
                // What does not compile never will; what found no room to start may find some.
                let more = if matches!(error, DeployError::Component { .. }) { TRIES_MAX } else { 1 };
                before.refusals.fetch_add(more, Relaxed);
                tracing::warn!(%service, version, error = chain(&error), "the full compilation did not come to anything; it stays on quickly made code");
            }
        }
    }

    async fn better(&self, before: &Version) -> Result<Arc<Version>, DeployError> {
        let (settings, digest) = (before.settings(), before.component.digest);
        let wasm = self.loader().kept(settings, digest).await?;
        let component = self.loader().compile(&settings.name, Path::new("the kept build"), wasm, Haste::Best).await?;
        self.loader().start_instead(before, component).await
    }
}

/// The version that is live, if there is better code to be had for it.
fn coarse(deployed: &Deployed) -> Option<Arc<Version>> {
    let version = deployed.service.version();
    let is_coarse = version.component.compiler == Compiler::Winch && version.refusals.load(Relaxed) < TRIES_MAX;
    is_coarse.then_some(version)
}
