//! A service while a ramp gives a share of its requests to another build: where that begins, whom a
//! request meets, and where it ends.

use std::sync::Arc;

use super::{Ramp, Service, breaker::Admitted, ramp::Chosen};

impl Service {
    /// From now on `ramp` gets its share of the requests. One that had it before is superseded.
    pub fn begin(&self, ramp: Arc<Ramp>) {
        ramp.version.admit_requests();
        let by = ramp.version.text().to_owned();
        if let Some(before) = self.ramp.swap(Some(ramp)) {
            before.version.withdraw();
            before.end(format!("superseded by {by}"));
        }
    }

    /// The version that is on its way, if one is.
    pub fn ramp(&self) -> Option<Arc<Ramp>> {
        self.ramp.load_full()
    }

    /// Gives all requests back to the live version, at once. None: there was no ramp, or its end is
    /// decided already.
    pub fn end_ramp(&self, reason: &str) -> Option<Arc<Ramp>> {
        let ramp = self.ramp.load_full()?;
        let first = ramp.end(reason.to_owned());
        first.then(|| {
            self.drop_ramp(&ramp);
            ramp
        })
    }

    /// `ramp` has ended: its build gets no more requests.
    pub fn drop_ramp(&self, ramp: &Arc<Ramp>) {
        self.ramp.compare_and_swap(&Some(ramp.clone()), None);
        ramp.version.withdraw();
    }

    /// The live version, or the one on its way where a trace is in its share.
    pub(super) fn chosen(&self, trace_id: u128, admitted: Admitted) -> Chosen {
        let Some(ramp) = &*self.ramp.load() else {
            return Chosen { version: self.version(), admitted, arm: None };
        };
        let own = if ramp.takes(trace_id) { ramp.breaker.admit().ok() } else { None };
        match own {
            Some(own) => {
                let arm = Some(ramp.new.clone());
                Chosen { version: ramp.version.clone(), admitted: own.of(ramp.new.clone()), arm }
            }
            None => {
                let arm = Some(ramp.old.clone());
                Chosen { version: self.version(), admitted: admitted.of(ramp.old.clone()), arm }
            }
        }
    }
}
