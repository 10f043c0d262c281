//! How many requests are let in at once, and the other settings of the whole gateway.
//!
//! Decides yes or no at once; nobody waits here.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;

use crate::{auth::Access, cors::Cors, limit::Limit, trust::Trust};

/// What holds for every request that its route does not decide itself.
#[derive(Clone)]
pub struct Settings {
    /// Authorities this gateway answers for, with or without a port; empty: any.
    pub hosts: Vec<String>,
    /// Besides `hosts`, whatever address it is asked by; names are then only those. No page can come to
    /// have an address for its name, so this is safe where a name is not.
    pub any_address: bool,
    /// Whether answers name the component and its version.
    pub expose_version: bool,
    pub body_limit_bytes: u64,
    /// From the request's head to the answer's last byte.
    pub timeout: Duration,
    /// Requests in flight; one more is a 503.
    pub requests_max: NonZeroUsize,
    /// Who is told that a route does not exist.
    pub access: Access,
    /// How often one address may ask, over all routes.
    pub limit: Option<Arc<dyn Limit>>,
    /// Whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Other hosts whose word is believed.
    pub trust: Option<Arc<Trust>>,
    /// Which pages of other origins may use the routes that do not say.
    pub cors: Option<Arc<Cors>>,
}

/// The count of requests in flight. The maximum may change from one request to the next.
#[derive(Debug, Default)]
pub(crate) struct InFlight(AtomicUsize);

/// One request in flight, until dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<InFlight>);

impl InFlight {
    pub(crate) fn admit(self: &Arc<Self>, requests_max: NonZeroUsize) -> Option<Permit> {
        let below_max = |count: usize| (count < requests_max.get()).then_some(count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below_max).ok()?;
        Some(Permit(self.clone()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
