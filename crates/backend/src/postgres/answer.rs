//! An answer while it is read, never larger than its bounds.
//!
//! What counts is what it takes in the host, not what came over the wire. It is taken from the account of
//! the guest that asked, row by row, before a row is read.

use tokio_postgres::Row;

use super::{decode, error::Error, pace::Pace, value::Value};
use crate::memory::Held;

/// How large an answer may be, in the host's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) rows_max: u32,
    pub(super) bytes_max: u64,
}

pub(super) struct Answer {
    bounds: Bounds,
    held: Held,
    pace: Pace,
    /// Once it is too large, nothing of it is kept.
    rows: Result<Vec<Vec<Value>>, Error>,
}

impl Answer {
    /// `held` grows with what is kept.
    pub(super) fn new(bounds: Bounds, held: Held) -> Self {
        Self { bounds, held, pace: Pace::begin(), rows: Ok(Vec::new()) }
    }

    /// Lets others run when it has worked for long: a deadline around it is looked at then.
    ///
    /// # Errors
    /// The answer is over a bound, or a row cannot be read; so is every later one then.
    pub(super) async fn push(&mut self, row: &Row) -> Result<(), Error> {
        self.pace.step().await;
        let rows = self.rows.as_mut().map_err(|error| error.clone())?;
        let size = match rows.len() >= self.bounds.rows_max as usize {
            true => Err(Error::TooLarge(self.bounds.rows_max.into())),
            false => decode::size(row),
        };
        let admitted = size.and_then(|size| match self.held.bytes().saturating_add(size) > self.bounds.bytes_max {
            true => Err(Error::TooLarge(self.bounds.bytes_max)),
            false if self.held.grow(size) => Ok(()),
            false => Err(Error::Overloaded),
        });
        let read = match admitted {
            Ok(()) => decode::row(row, &mut self.pace).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(row) => rows.push(row),
            Err(error) => {
                self.rows = Err(error);
                self.held.release();
            }
        }
        self.rows.as_ref().map(|_| ()).map_err(Error::clone)
    }

    pub(super) fn rows(self) -> Result<(Vec<Vec<Value>>, Held), Error> {
        self.rows.map(|rows| (rows, self.held))
    }
}
