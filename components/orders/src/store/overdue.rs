//! Orders that should be done and are not, in PostgreSQL.

use sdk::{
    Error, Timestamp, Uuid, params,
    postgres::{self, FromRow, Row, Statements as _},
};

use super::Store;
use crate::event::{self, Span};

/// Orders that are looked at with one message; the next one is for those behind them.
const AT_ONCE: u16 = 200;

struct Overdue {
    id: Uuid,
    created_at: Timestamp,
}

impl Store {
    /// Of these, each order that is not done gets a message of its own, with its own tries. Done again within an hour it
    /// adds none.
    pub(crate) fn pass_on(&self, begun: Span) -> Result<(), Error> {
        let sql = "select id, created_at from orders
                   where status in ('reserving', 'failed') and (created_at, id) > ($1, $2) and created_at < $3
                   order by created_at, id limit $4";
        let at = Timestamp::from_micros;
        let Span { from: (from, behind), to } = begun;
        self.database().transaction(|transaction| {
            let overdue: Vec<Overdue> =
                transaction.query(sql, params![at(from), behind, at(to), i64::from(AT_ONCE)])?;
            for order in &overdue {
                transaction.publish(&event::check(order.id)?.dedup_id(order.id))?;
            }
            if let Some(last) = overdue.last().filter(|_| overdue.len() >= usize::from(AT_ONCE)) {
                transaction.publish(&event::look(Span { from: (last.created_at.micros(), last.id), to })?)?;
            }
            Ok(())
        })
    }
}

impl FromRow for Overdue {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        Ok(Self { id: row.get("id")?, created_at: row.get("created_at")? })
    }
}
