//! What answers and checks tell of one address, and what the log says of that.

use std::sync::Arc;

use super::{
    condition::{Condition, Health},
    error::UpstreamError,
};

pub(super) struct Standing {
    service: Arc<str>,
    address: String,
    condition: Condition,
}

impl Standing {
    pub(super) fn new(service: Arc<str>, address: String) -> Self {
        Self { service, address, condition: Condition::default() }
    }

    pub(super) fn now(&self) -> Health {
        self.condition.now()
    }

    pub(super) fn succeeded(&self) {
        self.condition.succeeded();
    }

    pub(super) fn failed(&self, reason: &UpstreamError) {
        if let Some(aside) = self.condition.failed() {
            let seconds = aside.as_secs();
            tracing::warn!(service = %self.service, address = self.address, %reason, seconds, "an address fails its requests and gets none for a while");
        }
    }

    /// What a check of it found.
    pub(super) fn checked(&self, found: Result<(), String>) {
        let news = self.condition.checked(found.is_ok());
        match found {
            Ok(()) if news => {
                tracing::info!(service = %self.service, address = self.address, "an address is well again");
            }
            Err(reason) if news => {
                tracing::warn!(service = %self.service, address = self.address, reason, "an address is not well and gets no requests");
            }
            _ => {}
        }
    }
}

/// One answer, whose end tells how its address is.
pub(super) struct Verdict {
    standing: Arc<Standing>,
    /// All of the request was there. Otherwise it may be the client that broke the exchange off.
    was_whole: bool,
}

impl Verdict {
    pub(super) fn new(standing: Arc<Standing>, was_whole: bool) -> Self {
        Self { standing, was_whole }
    }

    pub(super) fn whole(self) {
        self.standing.succeeded();
    }

    pub(super) fn broken(self, reason: &dyn std::fmt::Display) {
        if self.was_whole {
            let address = self.standing.address.clone();
            self.standing.failed(&UpstreamError::Broken { address, reason: reason.to_string() });
        }
    }
}
