//! Memory that guests make the host hold: taken from an account before it is used, given back when dropped.
//!
//! Whose account it is and how large, the host decides. Nothing waits here: what is not there is refused.

use std::{fmt, sync::Arc};

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

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
