//! A host says that it is there, and hears who else is.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::Events;
use crate::redis::AskError;

/// While Redis is away: whoever takes events waits for its return to be noticed here.
const TRY_EVERY: Duration = Duration::from_millis(250);
/// A host that stops does not wait longer for a Redis that is away.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

impl Events {
    /// Says that this host is there, for as long as it is polled.
    pub(super) async fn beat(&self) {
        loop {
            let answer = self.say_alive().await;
            let pause = if answer.is_ok() { self.pace.beat } else { TRY_EVERY };
            self.heard(answer);
            tokio::time::sleep(pause).await;
        }
    }

    /// The consumers that are there, by the clock of Redis.
    async fn say_alive(&self) -> Result<Vec<String>, AskError> {
        let hosts = self.names.hosts();
        let asked = self.store.work(|mut redis| async move {
            let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut redis).await?;
            let now = seconds * 1000 + micros / 1000;
            let mut pipe = redis::pipe();
            pipe.zadd(&hosts, &self.consumer, now + self.pace.lease.as_millis() as u64).ignore();
            pipe.zrembyscore(&hosts, "-inf", now.saturating_sub(1)).ignore();
            pipe.zrangebyscore(&hosts, now, "+inf");
            let (alive,): (Vec<String>,) = pipe.query_async(&mut redis).await?;
            Ok(alive)
        });
        asked.await
    }

    fn heard(&self, answer: Result<Vec<String>, AskError>) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(alive) => {
                hosts.alive = alive.into_iter().collect();
                hosts.in_contact_since.get_or_insert_with(Instant::now);
                if std::mem::take(&mut hosts.told) {
                    tracing::info!(redis = self.store.name(), "events go on");
                }
            }
            Err(error) => {
                hosts.in_contact_since = None;
                if !std::mem::replace(&mut hosts.told, true) {
                    let error = document::problem::chain(&error);
                    tracing::warn!(
                        redis = self.store.name(),
                        error,
                        "events pause until Redis answers; nothing is lost"
                    );
                }
            }
        }
    }

    /// Those whose events nobody may take; nothing while that is not known.
    pub(super) fn alive(&self) -> Option<Vec<String>> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_steady = hosts.in_contact_since.is_some_and(|since| since.elapsed() >= self.pace.steady);
        is_steady.then(|| hosts.alive.iter().cloned().collect())
    }

    /// Whether this host has said that it is there, and was heard.
    pub(super) fn is_known(&self) -> bool {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.in_contact_since.is_some() && hosts.alive.contains(&self.consumer)
    }

    /// This host takes nothing any more: what it has not settled is others'.
    pub(super) async fn leave(&self) {
        let hosts = self.names.hosts();
        let leaving = self.store.work(|mut redis| async move {
            redis::cmd("ZREM").arg(hosts).arg(&self.consumer).query_async::<()>(&mut redis).await
        });
        // Else its lease ends by itself.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await;
    }
}
