//! Services that an applied manifest removed: nobody outside reaches them any more, and those that are
//! at work can still call them for a while.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use gateway::call::Callee;

use super::Current;

/// Those that are not in the manifest any more, until their last callers are done.
#[derive(Default)]
pub(super) struct Leaving(Mutex<Vec<Leaver>>);

struct Leaver {
    callee: Arc<Callee>,
    until: Instant,
}

impl Leaving {
    /// Lets those go whose time to be called is over.
    pub(super) fn part(&self, now: &Current) {
        let mut leaving = self.lock();
        if leaving.iter().any(|leaver| leaver.until <= Instant::now()) {
            leaving.retain(|leaver| leaver.until > Instant::now());
            drop(leaving);
            self.direct(now);
        }
    }

    /// From now on `gone` can be called by those at work only, for `host.drain`, and the services of
    /// `now` are where callers find them.
    pub(super) fn leave<'a>(&self, gone: impl Iterator<Item = &'a Arc<Callee>>, now: &Current) {
        let until = Instant::now() + now.manifest.host.drain;
        self.lock().extend(gone.map(|callee| Leaver { callee: callee.clone(), until }));
        self.direct(now);
    }

    /// Tells callers where services are now.
    fn direct(&self, now: &Current) {
        let leaving = self.lock();
        let old = leaving.iter().map(|leaver| leaver.callee.clone());
        // Later ones win: a service that is back is the new one.
        let all = old.chain(now.callees().cloned());
        now.backends.directory.replace(all);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Leaver>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
