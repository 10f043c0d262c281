//! The certificates of our own listeners: read again when their files change, and told of before they
//! expire.

use std::{
    path::Path,
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
pub struct Certificates(Vec<Certificate>);

/// What one listener shows.
#[derive(Clone)]
pub struct Certificate {
    /// `gateway` or `admin`.
    pub listener: &'static str,
    tls: Tls,
}

impl Certificates {
    pub fn new(all: impl IntoIterator<Item = (&'static str, Option<Tls>)>) -> Self {
        let held = all.into_iter().filter_map(|(listener, tls)| Some(Certificate { listener, tls: tls? }));
        Self(held.collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter()
    }

    /// Follows the files for as long as it is polled. Cancel safe.
    pub async fn follow(&self) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Vec<Option<Instant>> = vec![None; self.0.len()];
        loop {
            looks.tick().await;
            for (certificate, told) in self.0.iter().zip(&mut told) {
                certificate.look().await;
                if certificate.left().is_some_and(|left| left < SOON) && is_due(*told, Instant::now()) {
                    certificate.warn();
                    *told = Some(Instant::now());
                }
            }
        }
    }
}

/// Once a day.
fn is_due(told: Option<Instant>, now: Instant) -> bool {
    told.is_none_or(|told| now.duration_since(told) >= DAY)
}

impl Certificate {
    pub fn file(&self) -> &Path {
        self.tls.certificate()
    }

    /// None where it does not say so in a way we read.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.tls.not_after()
    }

    /// Nothing where it is over.
    fn left(&self) -> Option<Duration> {
        Some(self.not_after()?.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Until when it is good, as people and JSON write times.
    pub fn end(&self) -> Option<String> {
        jiff::Timestamp::try_from(self.not_after()?).ok().map(|end| end.to_string())
    }

    /// On a thread for such things: a folder on another machine may hang.
    async fn look(&self) {
        let tls = self.tls.clone();
        let (listener, file) = (self.listener, self.file().display());
        match tokio::task::spawn_blocking(move || tls.refresh()).await {
            Ok(Ok(true)) => tracing::info!(listener, %file, notAfter = self.end(), "a renewed certificate is used"),
            Ok(Err(error)) => {
                let reason = chain(&error);
                tracing::warn!(listener, %file, reason, "a changed certificate cannot be used; the one before it is used on");
            }
            Ok(Ok(false)) | Err(_) => {} // a panic has been logged
        }
    }

    fn warn(&self) {
        let days = self.left().unwrap_or_default().as_secs() / DAY.as_secs();
        let (listener, file) = (self.listener, self.file().display());
        let said = if days == 0 { "a certificate expires today, or has expired" } else { "a certificate expires soon" };
        tracing::warn!(listener, %file, notAfter = self.end(), days, "{said}; replace its files, they are read again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_is_told_once_a_day() {
        let now = Instant::now();
        assert!(is_due(None, now));
        assert!(!is_due(Some(now), now + DAY - Duration::from_secs(1)));
        assert!(is_due(Some(now), now + DAY));
    }
}
