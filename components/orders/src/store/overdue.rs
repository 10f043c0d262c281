//! Orders that should be done and are not, in PostgreSQL.

use sdk::{
    Error, Timestamp, Uuid, params,
    postgres::{self, FromRow, Row, Statements as _},
};

use super::Store;
use crate::{
    event,
    overdue::{Slot, began_before},
};

/// Orders that are looked at with one message; the next one is for those behind them.
const AT_ONCE: u16 = 200;

struct Unsettled {
    id: Uuid,
    created_at: Timestamp,
    is_overdue: bool,
}

impl Store {
    /// Each order that is overdue gets a message of its own, which is tried until it succeeds; whoever sees it again
    /// within an hour adds none. Those that are in the making are looked at later: their own message may have been
    /// due by the clock of another host.
    pub(crate) fn pass_on_overdue(&self, since: Timestamp, now: Timestamp) -> Result<(), Error> {
        let sql = "select id, created_at, created_at <= $1 as is_overdue from orders
                   where status in ('reserving', 'failed') and created_at >= $2 order by created_at limit $3";
        self.database().transaction(|transaction| {
            let found: Vec<Unsettled> =
                transaction.query(sql, params![began_before(now), since, i64::from(AT_ONCE)])?;
            for order in found.iter().filter(|order| order.is_overdue) {
                transaction.publish(&event::check(order.id)?.dedup_id(order.id))?;
            }
            match found.last() {
                Some(last) if !last.is_overdue => transaction.publish(&Slot::of(now).announcement()?).map(drop)?,
                Some(last) if found.len() >= usize::from(AT_ONCE) => {
                    transaction.publish(&event::look(last.created_at)?).map(drop)?
                }
                _ => {}
            }
            Ok(())
        })
    }
}

impl FromRow for Unsettled {
    fn from_row(row: &Row<'_>) -> Result<Self, postgres::Error> {
        let (id, created_at, is_overdue) = (row.get("id")?, row.get("created_at")?, row.get("is_overdue")?);
        Ok(Self { id, created_at, is_overdue })
    }
}
