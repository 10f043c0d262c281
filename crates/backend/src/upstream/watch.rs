//! Follows where a service is, and changes its addresses when that does.
//!
//! What was known stays while nobody can be asked. An answer that would leave nothing is asked for again for
//! ten seconds before it is believed: it is more often a Consul that has lost something than a service that has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::sleep};

use super::{
    consul::{Consul, Instances},
    members::Members,
};
use grant::net::Scheme;

/// How long nothing is not believed.
const NOTHING_BELIEVED_AFTER: Duration = Duration::from_secs(10);
const NOTHING_AGAIN: Duration = Duration::from_secs(1);
/// After a failure; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// At least so long between two questions: an agent that answers at once must not keep us busy.
const BETWEEN: Duration = Duration::from_millis(50);

/// Ended when dropped.
pub(super) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watch {
    pub(super) fn start(consul: Consul, (name, scheme): (String, Scheme), members: Arc<Members>) -> Self {
        Self(tokio::spawn(async move {
            let mut following = Following::default();
            loop {
                let pause = match consul.instances((&name, scheme), following.index).await {
                    Ok(found) => following.found(found, &members),
                    Err(error) => following.failed(&members, &error.to_string()),
                };
                sleep(pause).await;
            }
        }))
    }
}

#[derive(Default)]
struct Following {
    index: u64,
    /// In a row.
    failures: u32,
    nothing_since: Option<Instant>,
}

impl Following {
    /// What an answer changes; gives how long to wait before the next question.
    fn found(&mut self, found: Instances, members: &Members) -> Duration {
        if self.failures > 0 {
            tracing::info!(service = %members.service(), "where a service is can be asked again");
        }
        self.failures = 0;
        if found.addresses.is_empty() && !members.all().is_empty() {
            let since = *self.nothing_since.get_or_insert_with(Instant::now);
            if since.elapsed() < NOTHING_BELIEVED_AFTER {
                self.index = 0;
                return NOTHING_AGAIN;
            }
        }
        self.nothing_since = None;
        members.replace(&found.addresses);
        // One that goes back is another history: it is asked for from its start.
        self.index = if found.index < self.index { 0 } else { found.index };
        BETWEEN
    }

    fn failed(&mut self, members: &Members, reason: &str) -> Duration {
        if self.failures == 0 {
            let known = members.all().len();
            tracing::warn!(service = %members.service(), reason, known, "where a service is cannot be asked; what was known stays");
        }
        let pause = (PAUSE * 2_u32.saturating_pow(self.failures.min(10))).min(PAUSE_MAX);
        self.failures += 1;
        self.index = 0;
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}
