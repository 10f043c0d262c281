//! A check whose result is remembered for a second.

use std::{future::Future, pin::Pin, time::Instant};

use tokio::sync::Mutex;

use super::{CHECK_TIMEOUT, Check, Status};

/// Asks one dependency once. The text of a failure is for the log.
type Probe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// One dependency of one service.
pub struct Cached {
    probe: Probe,
    optional: bool,
    /// The lock is the subject: one check at a time, and those who wait share its result.
    last: Mutex<Option<(Instant, Check)>>,
}

impl Cached {
    pub fn new(
        optional: bool,
        probe: impl Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self { probe: Box::new(probe), optional, last: Mutex::new(None) }
    }

    /// The result, at most a second old. Cancel safe.
    pub async fn result(&self) -> Check {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, check)) if at.elapsed() < CHECK_TIMEOUT => check.clone(),
            _ => {
                let check = self.ask().await;
                *last = Some((Instant::now(), check.clone()));
                check
            }
        }
    }

    async fn ask(&self) -> Check {
        let began = Instant::now();
        let answer = tokio::time::timeout(CHECK_TIMEOUT, (self.probe)()).await;
        let latency = Some((began.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        let (reason, message) = match answer {
            Ok(Ok(())) => return Check { status: Status::Healthy, latency, message: None },
            Ok(Err(reason)) => (reason, "not available"),
            Err(_elapsed) => ("no answer within 1 s".into(), "no answer within 1 s"),
        };
        tracing::debug!(reason, "health check failed");
        let status = if self.optional { Status::Degraded } else { Status::Unhealthy };
        Check { status, latency, message: Some(message.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn a_thousand_probes_cause_one_check() {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let check = Cached::new(false, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        });
        let probes = (0..1000).map(|_| check.result());
        futures_util::future::join_all(probes).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_dependency_that_hangs_is_unhealthy_after_a_second() {
        let check = Cached::new(false, || Box::pin(std::future::pending()));
        assert_eq!(check.result().await.status, Status::Unhealthy);
    }

    #[tokio::test]
    async fn an_optional_dependency_only_degrades() {
        let check = Cached::new(true, || Box::pin(async { Err("down at 10.0.0.7".into()) }));
        let check = check.result().await;
        assert_eq!(check.status, Status::Degraded);
        assert_eq!(check.message.as_deref(), Some("not available"), "no address in it");
    }
}
