//! Memory that guests make the host hold: taken from an account before it is used, given back when dropped.
//!
//! Whose account it is and how large, the host decides. Nothing waits here: what is not there is refused.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// An account of memory that many share.
pub trait Account: Send + Sync + fmt::Debug {
    /// Takes so many bytes from it, or nothing.
    fn take(&self, bytes: u64) -> bool;
    fn give_back(&self, bytes: u64);
}

/// What has been taken from an account; given back when dropped.
#[derive(Debug, Default)]
pub struct Held {
    /// None: nobody counts.
    account: Option<Arc<dyn Account>>,
    bytes: u64,
}

impl Held {
    pub fn nothing_of(account: Option<Arc<dyn Account>>) -> Self {
        Self { account, bytes: 0 }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// False when the account is empty; nothing has changed then.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.account.as_ref().is_none_or(|account| account.take(bytes));
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    pub fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(account) = &self.account {
            account.give_back(bytes);
        }
    }
}

/// Bytes that are counted as long as somebody has some of them.
pub fn counted(bytes: Vec<u8>, held: Held) -> Bytes {
    if held.bytes() == 0 { bytes.into() } else { Bytes::from_owner(Counted { bytes, _held: held }) }
}

struct Counted {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[derive(Debug, Default)]
    struct Ten(AtomicU64);

    impl Account for Ten {
        fn take(&self, bytes: u64) -> bool {
            self.0.fetch_update(Relaxed, Relaxed, |used| Some(used + bytes).filter(|sum| *sum <= 10)).is_ok()
        }

        fn give_back(&self, bytes: u64) {
            self.0.fetch_sub(bytes, Relaxed);
        }
    }

    #[test]
    fn counted_bytes_are_given_back_with_the_last_of_them() {
        let ten = Arc::new(Ten::default());
        let mut held = Held::nothing_of(Some(ten.clone()));
        assert!(!held.grow(11) && held.grow(7) && !held.grow(4));
        let bytes = counted(vec![7; 7], held);
        let some = bytes.slice(2..3);
        drop(bytes);
        assert_eq!((some.as_ref(), ten.0.load(Relaxed)), (&[7_u8][..], 7));
        drop(some);
        assert_eq!(ten.0.load(Relaxed), 0);
    }
}
