//! The certificates that this host shows: those of its own listeners are read again when their files change, and
//! all are told of before they expire.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use gateway::tls::Tls;
use tokio::time::{Instant, MissedTickBehavior, interval};

use document::problem::chain;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before its end a certificate is told of.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Of every listener that has one.
#[derive(Default)]
pub struct Certificates(Vec<(&'static str, Tls)>);

/// One that is shown to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `gateway`, `admin` or `service NAME`, which is the one that a service elsewhere is shown.
    pub owner: Arc<str>,
    pub file: PathBuf,
    /// None where it does not say so in a way we read.
    pub not_after: Option<SystemTime>,
}

impl Certificates {
    pub fn new(all: impl IntoIterator<Item = (&'static str, Option<Tls>)>) -> Self {
        Self(all.into_iter().filter_map(|(listener, tls)| Some((listener, tls?))).collect())
    }

    /// As they are now.
    pub fn iter(&self) -> impl Iterator<Item = Certificate> {
        self.0.iter().map(|(listener, tls)| Certificate::of(listener, tls))
    }

    /// Follows the files for as long as it is polled, and tells of the ends of these and of `others`. Cancel safe.
    pub async fn follow(&self, others: impl Fn() -> Vec<Certificate>) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told::default();
        loop {
            looks.tick().await;
            for (listener, tls) in &self.0 {
                look(listener, tls).await;
            }
            let all: Vec<_> = self.iter().chain(others()).collect();
            told.due(&all, Instant::now()).for_each(Certificate::warn);
        }
    }
}

/// On a thread for such things: a folder on another machine may hang.
async fn look(listener: &'static str, tls: &Tls) {
    let followed = tls.clone();
    let looked = tokio::task::spawn_blocking(move || followed.refresh()).await;
    let now = Certificate::of(listener, tls);
    let file = now.file.display();
    match looked {
        Ok(Ok(true)) => tracing::info!(listener, %file, notAfter = now.end(), "a renewed certificate is used"),
        Ok(Err(error)) => {
            let reason = chain(&error);
            tracing::warn!(listener, %file, reason, "a changed certificate cannot be used; the one before it is used on");
        }
        Ok(Ok(false)) | Err(_) => {} // a panic has been logged
    }
}

/// Whose end was told, and when: once a day.
#[derive(Default)]
struct Told(HashMap<Arc<str>, Instant>);

impl Told {
    /// Those to tell of now. Whoever is gone is forgotten.
    fn due<'a>(&mut self, all: &'a [Certificate], now: Instant) -> impl Iterator<Item = &'a Certificate> {
        self.0.retain(|owner, at| now.duration_since(*at) < DAY && all.iter().any(|of| of.owner == *owner));
        let soon = all.iter().filter(|of| of.left().is_some_and(|left| left < SOON));
        soon.filter(move |of| {
            let is_new = !self.0.contains_key(&of.owner);
            self.0.entry(of.owner.clone()).or_insert(now);
            is_new
        })
    }
}

impl Certificate {
    fn of(listener: &'static str, tls: &Tls) -> Self {
        Self { owner: listener.into(), file: tls.certificate().to_owned(), not_after: tls.not_after() }
    }

    /// Nothing where it is over.
    fn left(&self) -> Option<Duration> {
        Some(self.not_after?.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Until when it is good, as people and JSON write times.
    pub fn end(&self) -> Option<String> {
        jiff::Timestamp::try_from(self.not_after?).ok().map(|end| end.to_string())
    }

    fn warn(&self) {
        let days = self.left().unwrap_or_default().as_secs() / DAY.as_secs();
        let (owner, file) = (&*self.owner, self.file.display());
        let said = if days == 0 { "a certificate expires today, or has expired" } else { "a certificate expires soon" };
        tracing::warn!(owner, %file, notAfter = self.end(), days, "{said}; replace its files, they are read again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_is_told_once_a_day() {
        let of = |owner: &str, days: u64| {
            let not_after = Some(SystemTime::now() + DAY * u32::try_from(days).unwrap());
            Certificate { owner: owner.into(), file: "chain.pem".into(), not_after }
        };
        let (mut told, now) = (Told::default(), Instant::now());
        let mut due =
            |all: &[Certificate], now| -> Vec<String> { told.due(all, now).map(|of| of.owner.to_string()).collect() };
        let all = [of("gateway", 13), of("admin", 15), of("service legacy", 0)];
        assert_eq!(due(&all, now), ["gateway", "service legacy"]);
        assert_eq!(due(&all, now + DAY / 2), [""; 0]);
        assert_eq!(due(&all[..1], now + DAY), ["gateway"]);
        // It went, and came back.
        assert_eq!(due(&all, now + DAY), ["service legacy"]);
    }
}
