//! One account for the memory of all guests (`host.guest_memory`): their own, and what they make the host
//! hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::telemetry::counts::ServiceCounts;
use backend::memory::Account;

/// What all instances of all services have of memory, and the most they may have.
#[derive(Debug)]
pub struct GuestMemory {
    used: AtomicU64,
    max: u64,
}

impl GuestMemory {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { used: AtomicU64::new(0), max: max_bytes }
    }

    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub fn max_bytes(&self) -> u64 {
        self.max
    }

    fn take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.max)
            })
            .is_ok()
    }
}

/// The account as one service draws on it.
#[derive(Debug, Clone)]
pub struct Drawer {
    account: Arc<GuestMemory>,
    counts: Arc<ServiceCounts>,
}

impl Drawer {
    pub fn new(account: Arc<GuestMemory>, counts: Arc<ServiceCounts>) -> Self {
        Self { account, counts }
    }
}

impl Account for Drawer {
    fn take(&self, bytes: u64) -> bool {
        let taken = self.account.take(bytes);
        if taken {
            self.counts.memory_taken(bytes);
        }
        taken
    }

    fn give_back(&self, bytes: u64) {
        self.account.used.fetch_sub(bytes, Ordering::Relaxed);
        self.counts.memory_given_back(bytes);
    }
}

/// One instance's part of the account; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    drawer: Drawer,
    bytes: u64,
}

impl Reservation {
    pub fn new(drawer: Drawer) -> Self {
        Self { drawer, bytes: 0 }
    }

    /// Of the service whose instance it is.
    pub fn counts(&self) -> &ServiceCounts {
        &self.drawer.counts
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// False when the account is full; nothing has changed then.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.drawer.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.drawer.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_share_one_account_and_give_back_what_they_had() {
        let account = Arc::new(GuestMemory::new(100));
        let service = Arc::<ServiceCounts>::default();
        let mut one = Reservation::new(Drawer::new(account.clone(), service.clone()));
        let mut two = Reservation::new(Drawer::new(account.clone(), Arc::default()));
        assert!(one.grow(60));
        assert!(!two.grow(50), "60 + 50 is over 100");
        assert!(two.grow(40));
        assert_eq!(service.memory_bytes(), 60);
        drop(one);
        assert_eq!(service.memory_bytes(), 0);
        assert_eq!(account.used.load(Ordering::Relaxed), 40);
        assert!(two.grow(60));
    }
}
