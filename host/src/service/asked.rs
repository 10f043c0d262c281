//! One request while it is answered; counted when that is over, also for who did not wait for it.

use std::time::Instant;

use gateway::{body::Body, dispatch::DispatchError};
use http::Response;

use super::traffic::Traffic;
use crate::telemetry::counts::{ServiceCounts, Trouble};

pub(super) struct Asked<'a> {
    counts: &'a ServiceCounts,
    traffic: &'a Traffic,
    pub(super) began: Instant,
    /// None while there is no answer.
    failed: Option<bool>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(counts: &'a ServiceCounts, traffic: &'a Traffic) -> Self {
        Self { counts, traffic, began: Instant::now(), failed: None }
    }

    pub(super) fn answered(
        mut self,
        answer: Result<Response<Body>, DispatchError>,
    ) -> Result<Response<Body>, DispatchError> {
        self.failed = Some(answer.as_ref().map_or(true, |response| response.status().is_server_error()));
        answer
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.failed.is_none() {
            self.counts.troubles.count(Trouble::Client);
        }
        self.traffic.record(self.began.elapsed(), self.failed.unwrap_or(true));
    }
}
