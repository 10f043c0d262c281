//! The addresses of one service elsewhere, as they are now.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{sync::watch, time::timeout};

use super::{dial::Dialler, endpoint::Endpoint};
use grant::net::Target;
use manifest::PoolSettings;

/// How long the first answer of who knows the addresses is waited for.
const FIRST_MAX: Duration = Duration::from_secs(2);

/// Replaced as a whole; requests in flight keep theirs.
pub(super) struct Members {
    service: Arc<str>,
    dialler: Dialler,
    pool: PoolSettings,
    all: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Whether anybody has said where it is.
    known: watch::Sender<bool>,
}

impl Members {
    pub(super) fn new(service: Arc<str>, dialler: Dialler, pool: PoolSettings) -> Self {
        Self { service, dialler, pool, all: ArcSwap::default(), known: watch::Sender::new(false) }
    }

    pub(super) fn service(&self) -> &Arc<str> {
        &self.service
    }

    pub(super) fn all(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.all.load_full()
    }

    /// The same once it is known where it is, or two seconds have passed. Cancel safe.
    pub(super) async fn found(&self) -> Arc<Vec<Arc<Endpoint>>> {
        if !*self.known.borrow() {
            let mut known = self.known.subscribe();
            // Not known by then is no address.
            let _ = timeout(FIRST_MAX, known.wait_for(|known| *known)).await;
        }
        self.all()
    }

    /// It is there from now on. What stays keeps its connections, and how it is.
    pub(super) fn replace(&self, targets: &[Target]) {
        let before = self.all();
        let one = |target: &Target| {
            let same = before.iter().find(|old| old.target() == target);
            let new = || Arc::new(Endpoint::new(self.service.clone(), target.clone(), self.dialler.clone(), self.pool));
            same.cloned().unwrap_or_else(new)
        };
        let mut all: Vec<Arc<Endpoint>> = Vec::with_capacity(targets.len());
        for target in targets {
            if all.iter().all(|known| known.target() != target) {
                all.push(one(target));
            }
        }
        let is_same = all.len() == before.len() && all.iter().all(|one| before.iter().any(|old| Arc::ptr_eq(one, old)));
        if !is_same {
            self.all.store(Arc::new(all));
        }
        if !is_same && *self.known.borrow() {
            let addresses: Vec<String> = self.all().iter().map(|one| one.address.clone()).collect();
            tracing::info!(service = %self.service, addresses = addresses.join(", "), "a service is elsewhere now");
        }
        self.known.send_replace(true);
    }
}
