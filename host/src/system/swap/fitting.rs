//! What a new build runs with: the manifest's word, or more where an operator accepts that.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::SwapError;
use crate::{
    component::Component,
    deploy::{self, Deployed, Haste, permitted},
    system::{Current, System, backends},
};
use backend::Backends;
use manifest::ServiceSettings;

/// How a build is to go live.
#[derive(Debug, Clone, Copy, Default)]
pub struct SwapOptions {
    /// By shares of the requests.
    pub ramp: bool,
    /// Whoever sends it says when its share grows.
    pub led: bool,
    /// It gets what it needs beyond the manifest; otherwise it is refused then.
    pub accept: bool,
    /// Somebody waits for it: quickly made code will do. What runs is preferred to that otherwise.
    pub soon: bool,
}

impl SwapOptions {
    pub(super) fn haste(self) -> Haste {
        if self.soon { Haste::Soon } else { Haste::Best }
    }
}

/// The settings that a build runs with.
pub(super) struct Fitting {
    pub(super) settings: Arc<ServiceSettings>,
    pub(super) backends: Arc<Backends>,
    pub(super) accepted: Vec<String>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl System {
    /// What the build runs with: the manifest's word, or more where that is accepted.
    pub(super) async fn fitting(
        &self,
        settings: &Arc<ServiceSettings>,
        component: &Component,
        options: SwapOptions,
    ) -> Result<Fitting, SwapError> {
        let refused = match permitted(component, settings) {
            Ok(()) => {
                let (settings, backends) = (settings.clone(), self.current().backends.clone());
                return Ok(Fitting { settings, backends, accepted: Vec::new(), _turn: None });
            }
            Err(refused) => refused,
        };
        if !options.accept {
            return Err(refused.into());
        }
        let accepted = component.needs().map(|needs| settings.grants.lacking(&needs).lines()).unwrap_or_default();
        if accepted.is_empty() {
            return Err(refused.into()); // it does not say itself what it needs
        }
        if options.ramp {
            return Err(SwapError::RampNeeds);
        }
        let fitting = self.widened(settings, accepted).await.map_err(|reason| SwapError::NotAccepted { reason })?;
        permitted(component, &fitting.settings)?;
        Ok(fitting)
    }

    /// Exactly the lines of `accepted` more than `settings`, and databases that know of them.
    ///
    /// # Errors
    /// Why not: a name that the manifest does not have, say.
    async fn widened(&self, settings: &Arc<ServiceSettings>, accepted: Vec<String>) -> Result<Fitting, String> {
        let busy = |_| "a manifest is being applied; try again when it is done".to_owned();
        let turn = self.turn.clone().try_lock_owned().map_err(busy)?;
        let now = self.current();
        let settings = Arc::new(deploy::widened(settings, &accepted, &now.manifest)?);
        let backends = backends::widened(&now, &settings).await?;
        Ok(Fitting { settings, backends, accepted, _turn: Some(turn) })
    }

    /// The service has these settings from now on; it stays the same otherwise.
    pub(super) fn settle(&self, deployed: &Deployed, settings: &Arc<ServiceSettings>, backends: &Arc<Backends>) {
        let now = self.current();
        let settled = Arc::new(Deployed { settings: settings.clone(), ..deployed.clone() });
        let mut services = (*now.services).clone();
        services.insert(settings.name.clone(), settled);
        // Nobody else stores meanwhile: `fitting` holds the turn.
        let (services, backends) = (Arc::new(services), backends.clone());
        self.current.store(Arc::new(Current { services, backends, ..(*now).clone() }));
        self.take_part();
    }
}
