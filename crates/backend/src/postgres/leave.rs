//! Events that a transaction leaves in the outbox: they go to the server with the commit, without a round trip of their
//! own, or in one before a statement that comes first.
//!
//! Decides how many may wait for that. An event that the server refuses fails the transaction, as any statement
//! does: then the commit is a rollback.

use super::{
    error::Failure,
    exchange::Exchange,
    pipeline::Scope,
    pool::Lease,
    statement::{Effect, Statement},
    value::Value,
};
use crate::outbox::PUT;

/// The host's own statement: its function computes nothing but the row.
pub(super) const KIND: Statement = Statement { effect: Effect::Change, plain: true };

/// Events that wait for the next exchange, and their bytes; one more is sent at once.
const EVENTS_MAX: usize = 16;
const BYTES_MAX: usize = 256 << 10;

/// The parameters of one event.
pub(super) type Event = [Value; 10];

/// Events that are still to be sent, in their order.
#[derive(Default)]
pub(super) struct Left {
    events: Vec<Event>,
    bytes: usize,
}

impl Left {
    /// Keeps an event of so many bytes for later, or gives it back.
    pub(super) fn push(&mut self, event: Event, bytes: usize) -> Option<Event> {
        if self.events.len() == EVENTS_MAX || self.bytes + bytes > BYTES_MAX {
            return Some(event);
        }
        self.bytes += bytes;
        self.events.push(event);
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// Sends what was left, and the commit with it if that comes next.
pub(super) struct Leave<'a>(pub(super) &'a Left, pub(super) Scope);

impl Exchange for Leave<'_> {
    type Answer = ();

    async fn on(&self, lease: &mut Lease) -> Result<(), Failure> {
        let Self(left, scope) = self;
        let schema = lease.schema();
        let prepared = lease.prepare(&schema.sql(PUT), KIND).await?;
        let items: Vec<_> = left.events.iter().map(|event| (prepared.clone(), event.as_slice())).collect();
        let sent = lease.execute_all(&items, *scope).await;
        sent.map(drop).map_err(|(_, failure)| {
            lease.forget_if_stale(&failure);
            failure
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_many_nor_large_events_wait() {
        let event = || std::array::from_fn(|_| Value::Null);
        let mut left = Left::default();
        assert!(left.is_empty());
        for _ in 0..EVENTS_MAX {
            assert!(left.push(event(), 1).is_none());
        }
        assert!(left.push(event(), 1).is_some());
        let mut left = Left::default();
        assert!(left.push(event(), BYTES_MAX).is_none());
        assert!(left.push(event(), 1).is_some());
        assert_eq!(left.events.len(), 1);
    }
}
