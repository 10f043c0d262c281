//! Follows where a service is, and changes its addresses when that does.
//!
//! What was known stays while nobody can be asked. An answer that would leave nothing is asked for again for
//! ten seconds before it is believed: it is more often that whoever knows has lost something than a service that has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::sleep};

use super::{consul::Consul, dns::Dns, instances::Instances, members::Members};
use grant::net::Scheme;

/// How long nothing is not believed.
const NOTHING_BELIEVED_AFTER: Duration = Duration::from_secs(10);
const NOTHING_AGAIN: Duration = Duration::from_secs(1);
/// After a failure; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Who knows where a service is.
pub(super) enum Guide {
    Consul(Consul, String, Scheme),
    Dns(Dns),
}

impl Guide {
    /// What is known of it, perhaps held back until that is another answer than that of `index`.
    async fn instances(&self, index: u64) -> Result<Instances, String> {
        match self {
            Self::Consul(consul, name, scheme) => {
                consul.instances((name, *scheme), index).await.map_err(|error| error.to_string())
            }
            Self::Dns(dns) => dns.instances().await,
        }
    }
}

/// Ended when dropped.
pub(super) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watch {
    pub(super) fn start(guide: Guide, members: Arc<Members>) -> Self {
        Self(tokio::spawn(async move {
            let mut following = Following::default();
            loop {
                let pause = match guide.instances(following.index).await {
                    Ok(found) => following.found(found, &members),
                    Err(reason) => following.failed(&members, &reason),
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
    is_partial: bool,
}

impl Following {
    /// What an answer changes; gives how long to wait before the next question.
    fn found(&mut self, found: Instances, members: &Members) -> Duration {
        if self.failures > 0 {
            tracing::info!(service = %members.service(), "where a service is can be asked again");
        }
        self.failures = 0;
        if let Some(reason) = found.left_out.as_ref().filter(|_| !self.is_partial) {
            tracing::warn!(service = %members.service(), reason, "some addresses of a service are not known; the others are asked");
        }
        self.is_partial = found.left_out.is_some();
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
        found.again
    }

    fn failed(&mut self, members: &Members, reason: &str) -> Duration {
        if self.failures == 0 {
            let known = members.all().len();
            tracing::warn!(service = %members.service(), reason, known, "where a service is cannot be asked; what was known stays");
        }
        members.failed(reason);
        let pause = (PAUSE * 2_u32.saturating_pow(self.failures.min(10))).min(PAUSE_MAX);
        self.failures += 1;
        self.index = 0;
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}
