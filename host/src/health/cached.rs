//! A check whose result is remembered for a second.

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use tokio::{runtime::Handle, sync::Mutex};

use super::check::{CHECK_TIMEOUT, Check, Found, Status};

/// Asks one dependency once. The text of a failure is for the log.
type Probe = Box<dyn Fn() -> Asked + Send + Sync>;
type Asked = Pin<Box<dyn Future<Output = Result<Found, String>> + Send>>;

/// One dependency of one service.
pub struct Cached {
    check: Arc<Asking>,
    /// The lock is the subject: one check at a time, and those who wait share its result.
    last: Arc<Mutex<Option<(Instant, Check)>>>,
    /// Where checks run, whoever asks: the runtime of the services, not that of a listener.
    runtime: Handle,
}

struct Asking {
    probe: Probe,
    optional: bool,
}

impl Cached {
    /// Needs a tokio runtime, which is the one its checks run on.
    pub fn new(
        optional: bool,
        probe: impl Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self::finding(optional, move || {
            let asked = probe();
            Box::pin(async { asked.await.map(|()| Found::Well) })
        })
    }

    /// The same for what may also be full.
    pub fn finding(optional: bool, probe: impl Fn() -> Asked + Send + Sync + 'static) -> Self {
        let check = Arc::new(Asking { probe: Box::new(probe), optional });
        Self { check, last: Arc::default(), runtime: Handle::current() }
    }

    /// The result, at most a second old. Cancel safe: a check that has begun goes on and is
    /// remembered, so that impatient probes cause no more checks than patient ones.
    pub async fn result(&self) -> Check {
        let mut last = self.last.clone().lock_owned().await;
        if let Some((at, check)) = &*last
            && at.elapsed() < CHECK_TIMEOUT
        {
            return check.clone();
        }
        let asking = self.check.clone();
        let asked = self.runtime.spawn(async move {
            let check = asking.ask().await;
            *last = Some((Instant::now(), check.clone()));
            check
        });
        asked.await.unwrap_or_else(|_broken| self.check.failed(None, "the check broke off"))
    }
}

impl Asking {
    async fn ask(&self) -> Check {
        let began = Instant::now();
        let answer = tokio::time::timeout(CHECK_TIMEOUT, (self.probe)()).await;
        let latency = Some((began.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        match answer {
            Ok(Ok(Found::Well)) => Check { status: Status::Healthy, latency, message: None },
            Ok(Ok(Found::Full(words))) => Check { status: Status::Degraded, latency, message: Some(words.to_owned()) },
            Ok(Err(reason)) => {
                tracing::debug!(reason, "health check failed");
                self.failed(latency, "not available")
            }
            Err(_elapsed) => self.failed(latency, "no answer within 1 s"),
        }
    }

    fn failed(&self, latency: Option<f64>, message: &str) -> Check {
        let status = if self.optional { Status::Degraded } else { Status::Unhealthy };
        Check { status, latency, message: Some(message.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

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
    async fn a_prober_that_hangs_up_makes_nobody_ask_again() {
        let asked = Arc::new(AtomicU32::new(0));
        let answer = Arc::new(tokio::sync::Notify::new());
        let (counter, answered) = (asked.clone(), answer.clone());
        let check = Cached::new(false, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            let answered = answered.clone();
            Box::pin(async move {
                answered.notified().await;
                Ok(())
            })
        });
        for _ in 0..10 {
            tokio::select! {
                biased;
                _ = check.result() => panic!("nobody has answered yet"),
                () = tokio::task::yield_now() => {}
            }
        }
        answer.notify_one();
        assert_eq!(check.result().await.status, Status::Healthy);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_dependency_that_hangs_is_unhealthy_after_a_second() {
        let check = Cached::new(false, || Box::pin(std::future::pending()));
        assert_eq!(check.result().await.status, Status::Unhealthy);
    }

    #[tokio::test]
    async fn what_is_full_degrades_and_says_so() {
        let check = Cached::finding(false, || Box::pin(async { Ok(Found::Full("no room")) })).result().await;
        assert_eq!((check.status, check.message.as_deref()), (Status::Degraded, Some("no room")));
    }

    #[tokio::test]
    async fn an_optional_dependency_only_degrades() {
        let check = Cached::new(true, || Box::pin(async { Err("down at 10.0.0.7".into()) }));
        let check = check.result().await;
        assert_eq!(check.status, Status::Degraded);
        assert_eq!(check.message.as_deref(), Some("not available"), "no address in it");
    }
}
