//! Services that an applied manifest removed: nobody outside reaches them any more, and those that are
//! at work can still call them for a while.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gateway::call::Callee;

use super::System;
use crate::deploy::Deployed;

/// A service that is not in the manifest any more, until its last callers are done.
pub(super) struct Leaving {
    callee: Arc<Callee>,
    until: Instant,
}

impl System {
    /// Lets those go whose time to be called is over.
    pub fn part(&self) {
        let mut leaving = self.leaving();
        if leaving.iter().any(|leaving| leaving.until <= Instant::now()) {
            leaving.retain(|leaving| leaving.until > Instant::now());
            drop(leaving);
            self.direct();
        }
    }

    /// From now on these can be called by those at work only, for `drain`.
    pub(super) fn leave<'a>(&self, gone: impl Iterator<Item = &'a Arc<Deployed>>, drain: Duration) {
        let until = Instant::now() + drain;
        self.leaving().extend(gone.map(|old| Leaving { callee: old.callee.clone(), until }));
        self.direct();
    }

    /// Tells callers where services are now.
    fn direct(&self) {
        let leaving = self.leaving();
        let old = leaving.iter().map(|leaving| leaving.callee.clone());
        let services = self.services();
        // Later ones win: a service that is back is the new one.
        let all = old.chain(services.values().map(|deployed| deployed.callee.clone()));
        self.current().backends.directory.replace(all);
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Leaving>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
