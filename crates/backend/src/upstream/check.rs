//! Asks each address again and again whether it is well.

use std::{sync::Arc, time::Duration};

use gateway::body;
use http::{HeaderValue, Request, header::USER_AGENT};
use http_body_util::{BodyExt, Limited};
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::{
    endpoint::{Endpoint, Times},
    members::Members,
};
use manifest::HealthCheck;

/// What one check may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A longer answer closes its connection.
const BODY_MAX_BYTES: usize = 64 << 10;
const USER: HeaderValue = HeaderValue::from_static("archipel-health-check");

/// Ended when dropped.
pub(super) struct Checks(JoinHandle<()>);

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Checks {
    pub(super) fn start(of: HealthCheck, members: Arc<Members>) -> Self {
        Self(tokio::spawn(async move {
            let mut round = tokio::time::interval(of.interval);
            round.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                round.tick().await;
                let all = members.all();
                let each = all.iter().map(|endpoint| check(endpoint, &of));
                futures_util::future::join_all(each).await;
            }
        }))
    }
}

async fn check(endpoint: &Endpoint, of: &HealthCheck) {
    let timeout = TIMEOUT.min(of.interval);
    let found = tokio::time::timeout(timeout, asked(endpoint, of, timeout)).await;
    endpoint.standing.checked(found.unwrap_or_else(|_elapsed| Err("it did not answer in time".to_owned())));
}

async fn asked(endpoint: &Endpoint, of: &HealthCheck, timeout: Duration) -> Result<(), String> {
    let request = Request::get(&*of.path).header(USER_AGENT, USER).body(body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let times = Times { wait: timeout, by: std::time::Instant::now() + timeout };
    let answer = endpoint.send(request, times).await.map_err(|unanswered| unanswered.error.to_string())?;
    match answer.status().as_u16() {
        200..400 => {
            // Read only so that its connection can be used again.
            let _ = Limited::new(answer.into_body(), BODY_MAX_BYTES).collect().await;
            Ok(())
        }
        status => Err(format!("`{}` answered {status}", of.path)),
    }
}
