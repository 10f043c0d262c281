//! What a new build runs with: the manifest's word, or more where an operator accepts that.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::OwnedMutexGuard;

use super::{
    super::{Deployed, Deployment, loader::permitted},
    SwapError, SwapOptions,
};
use crate::component::Component;
use backend::Backends;
use manifest::ServiceSettings;

/// What gives services more than the manifest grants, because somebody accepts it.
pub trait Widen: Send + Sync + 'static {
    /// Exactly `lines` more.
    ///
    /// # Errors
    /// Why not: a name that the manifest does not have.
    fn widen<'a>(&'a self, settings: &'a ServiceSettings, lines: &'a [String]) -> Widening<'a>;
}

/// What is about to be given.
pub type Widening<'a> = Pin<Box<dyn Future<Output = Result<Widened, String>> + Send + 'a>>;

/// What a service has with it.
pub struct Widened {
    pub settings: Arc<ServiceSettings>,
    pub backends: Arc<Backends>,
    /// Nobody else widens or applies anything meanwhile.
    pub turn: OwnedMutexGuard<()>,
}

/// The settings that a build runs with.
pub(super) struct Fitting {
    pub(super) settings: Arc<ServiceSettings>,
    pub(super) backends: Arc<Backends>,
    pub(super) accepted: Vec<String>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Deployment {
    /// What the build runs with: the manifest's word, or more where that is accepted.
    pub(super) async fn fitting(
        &self,
        settings: &Arc<ServiceSettings>,
        component: &Component,
        options: &SwapOptions,
    ) -> Result<Fitting, SwapError> {
        let refused = match (permitted(component, settings), &options.accept) {
            (Ok(()), _) => {
                let (settings, backends) = (settings.clone(), self.loader.backends());
                return Ok(Fitting { settings, backends, accepted: Vec::new(), _turn: None });
            }
            (Err(refused), None) => return Err(refused.into()),
            (Err(refused), Some(accept)) => (refused, accept),
        };
        let (refused, accept) = refused;
        let accepted = component.needs().map(|needs| settings.grants.lacking(&needs).lines()).unwrap_or_default();
        if accepted.is_empty() {
            return Err(refused.into()); // it does not say itself what it needs
        }
        if options.ramp {
            return Err(SwapError::RampNeeds);
        }
        let widened = accept.widen(settings, &accepted).await.map_err(|reason| SwapError::NotAccepted { reason })?;
        permitted(component, &widened.settings)?;
        let Widened { settings, backends, turn } = widened;
        Ok(Fitting { settings, backends, accepted, _turn: Some(turn) })
    }

    /// The service has these settings from now on; it stays the same otherwise.
    pub(super) fn settle(&self, deployed: &Deployed, settings: &Arc<ServiceSettings>, backends: &Arc<Backends>) {
        let settled = Arc::new(Deployed { settings: settings.clone(), ..deployed.clone() });
        self.services.rcu(|services| {
            let mut services = (**services).clone();
            services.insert(settings.name.clone(), settled.clone());
            services
        });
        self.loader.reach(backends.clone());
        self.take_part();
    }
}
