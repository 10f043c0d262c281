//! One host for the tests of a file, which start it together and end it with the last of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Host;

/// Started by the first test that asks, ended when none holds it any more.
pub struct Shared {
    start: fn() -> Host,
    host: Mutex<Weak<Host>>,
}

impl Shared {
    pub const fn new(start: fn() -> Host) -> Self {
        Self { start, host: Mutex::new(Weak::new()) }
    }

    pub fn get(&self) -> Arc<Host> {
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.upgrade().unwrap_or_else(|| {
            let started = Arc::new((self.start)());
            *host = Arc::downgrade(&started);
            started
        })
    }
}
