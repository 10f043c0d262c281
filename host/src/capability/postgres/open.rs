//! What a guest holds of its databases.

use std::sync::Arc;

use backend::postgres::{Pool, Transaction};

/// A database a guest has opened: proof that it may, and the pool of its role.
#[derive(Clone)]
pub struct OpenDatabase(pub(super) Arc<(Arc<str>, Pool)>);

/// A transaction a guest holds. Dropping it rolls back, whatever the reason.
pub struct OpenTransaction {
    pub(super) transaction: Transaction,
    pub(super) database: Arc<str>,
    /// Counts it as open, for whoever decides whether an instance may be used again.
    pub(super) _open: Arc<()>,
}

impl OpenTransaction {
    pub(in crate::capability) fn transaction(&self) -> &Transaction {
        &self.transaction
    }
}
