//! What is done with a lent connection, as values: the caller decides when, and whether again.

use std::{future::Future, sync::Arc};

use super::{
    batch::{self, Batch},
    error::Failure,
    pool::Lease,
    statement::Statement,
    value::{Rows, Value},
};
use crate::memory::{Account, Held};

/// One exchange with the server. May be asked for again after a connection that was dead before
/// anything was sent.
pub(super) trait Exchange: Sync {
    type Answer: Send;

    fn on(&self, lease: &mut Lease) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// A statement that answers with rows.
pub(super) struct Query<'a> {
    pub(super) sql: &'a str,
    pub(super) kind: Statement,
    pub(super) params: &'a [Value],
    /// Where the memory of the answer comes from.
    pub(super) account: Option<&'a Arc<dyn Account>>,
}

/// A statement that answers with how many rows it changed.
pub(super) struct Execute<'a> {
    pub(super) sql: &'a str,
    pub(super) kind: Statement,
    pub(super) params: &'a [Value],
}

/// Statements within a transaction that is open already.
pub(super) struct Within<'a>(pub(super) Batch<'a>);

/// A statement of our own about the transaction; `ends` when nothing of it is left afterwards.
pub(super) struct Control {
    pub(super) sql: String,
    pub(super) ends: bool,
}

impl Exchange for Query<'_> {
    type Answer = Rows;

    async fn on(&self, lease: &mut Lease) -> Result<Rows, Failure> {
        lease.query(self.sql, self.kind, self.params, Held::nothing_of(self.account.cloned())).await
    }
}

impl Exchange for Execute<'_> {
    type Answer = u64;

    async fn on(&self, lease: &mut Lease) -> Result<u64, Failure> {
        lease.execute(self.sql, self.kind, self.params).await
    }
}

impl Exchange for Within<'_> {
    type Answer = Vec<u64>;

    async fn on(&self, lease: &mut Lease) -> Result<Vec<u64>, Failure> {
        batch::run_within(lease, &self.0).await
    }
}

impl Exchange for Control {
    type Answer = ();

    async fn on(&self, lease: &mut Lease) -> Result<(), Failure> {
        match self.ends {
            true => lease.end(&self.sql).await,
            false => lease.control(&self.sql).await,
        }
    }
}
