//! One account for the linear memory of all guests (`host.guest_memory`).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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

    fn take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.max)
            })
            .is_ok()
    }
}

/// One instance's part of the account; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<GuestMemory>,
    bytes: u64,
}

impl Reservation {
    pub fn new(account: Arc<GuestMemory>) -> Self {
        Self { account, bytes: 0 }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// False when the account is full; nothing has changed then.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.account.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_share_one_account_and_give_back_what_they_had() {
        let account = Arc::new(GuestMemory::new(100));
        let mut one = Reservation::new(account.clone());
        let mut two = Reservation::new(account.clone());
        assert!(one.grow(60));
        assert!(!two.grow(50), "60 + 50 is over 100");
        assert!(two.grow(40));
        drop(one);
        assert_eq!(account.used.load(Ordering::Relaxed), 40);
        assert!(two.grow(60));
    }
}
