//! Is it alive, is it ready: what probes are told.
//!
//! Checks come from what a service was granted and are made by the host: 1 s each, remembered for
//! 1 s, so that any number of probes causes at most one check a second. `live` looks at nothing
//! but the process.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use serde::Serialize;

mod cached;
mod check;
mod pages;

pub use cached::Cached;
pub use check::{Check, Found, Status};
pub use pages::{PAGES, Page, Pages, json};

/// The answer of `/health` and its kin.
#[derive(Debug, Serialize)]
pub struct Report {
    pub status: Status,
    pub service: String,
    pub version: String,
    /// Seconds.
    pub uptime: u64,
    pub checks: BTreeMap<String, Check>,
}

/// What one service depends on.
pub struct ServiceHealth {
    /// The version that is live when it is asked for.
    pub version: Box<dyn Fn() -> String + Send + Sync>,
    /// By name: `postgres.users`, `self`.
    pub checks: Vec<(String, Arc<Cached>)>,
}

/// The health of the host and of its services.
pub struct Health {
    started: Instant,
    draining: AtomicBool,
    checked: ArcSwap<Checked>,
}

/// What is looked at.
#[derive(Default)]
pub struct Checked {
    pub services: BTreeMap<Arc<str>, ServiceHealth>,
    /// What the gateway itself depends on, by name: `redis.main`.
    pub own: Vec<(String, Arc<Cached>)>,
}

impl Health {
    pub fn new(checked: Checked) -> Self {
        Self { started: Instant::now(), draining: AtomicBool::new(false), checked: ArcSwap::from_pointee(checked) }
    }

    /// From now on this is looked at.
    pub fn replace(&self, checked: Checked) {
        self.checked.store(Arc::new(checked));
    }

    /// From now on the host is not ready, whatever its services say.
    pub fn start_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// The host as a whole: one check for each service, and the gateway's own. Takes at most as long as the slowest
    /// check, a second. Cancel safe.
    pub async fn host(&self) -> Report {
        let checked = self.checked.load_full();
        let each = checked.services.keys().map(|name| async move {
            let status = self.service(name).await.map_or(Status::Unhealthy, |report| report.status);
            (name.to_string(), Check { status, latency: None, message: None })
        });
        let own = checked.own.iter().map(|(name, check)| async move { (name.clone(), check.result().await) });
        let (each, own) = tokio::join!(futures_util::future::join_all(each), futures_util::future::join_all(own));
        let checks: BTreeMap<_, _> = each.into_iter().chain(own).collect();
        let status = match self.draining.load(Relaxed) {
            true => Status::ShuttingDown,
            false => worst(checks.values()),
        };
        self.report("gateway", env!("CARGO_PKG_VERSION").to_owned(), status, checks)
    }

    /// One service by name; `None` when there is none of that name.
    pub async fn service(&self, name: &str) -> Option<Report> {
        let checked = self.checked.load_full();
        let (name, service) = checked.services.get_key_value(name)?;
        let each = service.checks.iter().map(|(key, check)| async move { (key.clone(), check.result().await) });
        let checks: BTreeMap<_, _> = futures_util::future::join_all(each).await.into_iter().collect();
        let status = worst(checks.values());
        Some(self.report(name, (service.version)(), status, checks))
    }

    fn report(&self, service: &str, version: String, status: Status, checks: BTreeMap<String, Check>) -> Report {
        Report { status, service: service.to_owned(), version, uptime: self.started.elapsed().as_secs(), checks }
    }
}

fn worst<'a>(checks: impl Iterator<Item = &'a Check>) -> Status {
    checks.map(|check| check.status).max().unwrap_or(Status::Healthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(services: &[(&str, Status)]) -> Health {
        let service = |status: Status| ServiceHealth {
            version: Box::new(|| "1".into()),
            checks: vec![(
                "self".into(),
                Arc::new(Cached::new(false, move || Box::pin(async move { failed(status) }))),
            )],
        };
        let services = services.iter().map(|(name, status)| ((*name).into(), service(*status))).collect();
        Health::new(Checked { services, own: Vec::new() })
    }

    fn failed(status: Status) -> Result<(), String> {
        if status == Status::Healthy { Ok(()) } else { Err("down".into()) }
    }

    #[tokio::test]
    async fn one_unhealthy_service_makes_the_host_unhealthy() {
        let report = health(&[("a", Status::Healthy), ("b", Status::Unhealthy)]).host().await;
        assert_eq!(report.status, Status::Unhealthy);
        assert_eq!(report.checks["a"].status, Status::Healthy);
    }

    #[tokio::test]
    async fn a_draining_host_is_not_ready_even_when_all_is_well() {
        let health = health(&[("a", Status::Healthy)]);
        health.start_draining();
        assert_eq!(health.host().await.status, Status::ShuttingDown);
    }
}
