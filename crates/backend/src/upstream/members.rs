//! The addresses of one service elsewhere, as they are now.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{sync::watch, time::timeout};

use super::{dial::Dialler, endpoint::Endpoint};
use grant::net::{Scheme, Target};
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
    /// Why nobody has, as far as that is known.
    unfound: ArcSwapOption<String>,
}

impl Members {
    pub(super) fn new(service: Arc<str>, dialler: Dialler, pool: PoolSettings) -> Self {
        Self {
            service,
            dialler,
            pool,
            all: ArcSwap::default(),
            known: watch::Sender::new(false),
            unfound: ArcSwapOption::default(),
        }
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

    /// Where it is could not be asked.
    pub(super) fn failed(&self, reason: &str) {
        self.unfound.store(Some(Arc::new(reason.to_owned())));
    }

    #[cfg(test)]
    pub(super) fn has_failed(&self) -> bool {
        self.unfound.load().is_some()
    }

    /// Why it has no address, where it has none.
    pub(super) fn why_none(&self) -> String {
        match &*self.unfound.load() {
            _ if *self.known.borrow() => "who knows where it is names none".to_owned(),
            Some(reason) => format!("nobody has said yet where it is: {reason}"),
            None => "nobody has said yet where it is".to_owned(),
        }
    }

    /// What is known there is known here, and asked by `scheme`. None known is nothing.
    pub(super) fn inherit(&self, before: &Self, scheme: Scheme) {
        let targets: Vec<_> = before.all().iter().map(|one| Target { scheme, ..one.target().clone() }).collect();
        if !targets.is_empty() {
            self.replace(&targets);
        }
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
