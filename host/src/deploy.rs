//! From a manifest to services that could run together.
//!
//! All that can fail (read, compile, compare with grants, link, one trial instance) happens here,
//! before anything is served. Nothing here makes anything live: that is `system`'s.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gateway::call::Callee;

use crate::service::Service;
use manifest::ServiceSettings;

mod accept;
mod elsewhere;
mod error;
mod fetch;
mod lane;
mod loader;
mod next;
mod smoke;

pub use accept::{Gone, accepted, lacks, widened};
pub use elsewhere::{Elsewhere, Remotes, elsewhere, fates};
pub use error::DeployError;
pub use fetch::{Freshness, Pinned, Unfetched, fetch, forget_others, registries};
pub use lane::{Lane, Pending, Turn};
pub use loader::{Bounds, Haste, Loader, Origin, entry, now, permitted};
pub use next::{Fate, Plan, Watch};
pub use smoke::smoke;

/// All components of a manifest by the names of their services.
pub type Services = BTreeMap<Arc<str>, Arc<Deployed>>;

/// A service and how it came to run; with other settings it is another one.
#[derive(Clone)]
pub struct Deployed {
    pub service: Arc<Service>,
    pub settings: Arc<ServiceSettings>,
    /// The same, for the services that call it.
    pub callee: Arc<Callee>,
    /// Which build its settings came with.
    pub origin: Origin,
    /// What making it ready took.
    pub start: Duration,
    /// Whose turn it is to change what it runs; the same for all that follow it under its name.
    pub lane: Arc<Lane>,
}

impl Deployed {
    fn new(service: Service, settings: Arc<ServiceSettings>, origin: Origin, start: Duration) -> Self {
        let service = Arc::new(service);
        let callee = Arc::new(Callee::new(settings.name.clone(), service.clone()));
        Self { service, settings, callee, origin, start, lane: Arc::default() }
    }

    /// Swaps that are on their way.
    pub fn pending(&self) -> Pending {
        self.lane.pending()
    }
}
