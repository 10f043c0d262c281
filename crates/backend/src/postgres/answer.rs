//! An answer while it is read, never larger than its bounds.

use tokio_postgres::Row;

use super::{decode, error::Error, value::Value};

/// What a cell costs in the host beside its bytes.
const CELL_BYTES: u64 = 24;

/// How large an answer may be. A row counts its bytes and 24 for each cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) rows_max: u32,
    pub(super) bytes_max: u64,
}

pub(super) struct Answer {
    bounds: Bounds,
    bytes: u64,
    /// Once it is too large, nothing of it is kept.
    rows: Result<Vec<Vec<Value>>, Error>,
}

impl Answer {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, bytes: 0, rows: Ok(Vec::new()) }
    }

    /// # Errors
    /// The answer is over a bound, or a row cannot be read; so is every later one then.
    pub(super) fn push(&mut self, row: &Row) -> Result<(), Error> {
        let rows = self.rows.as_mut().map_err(|error| error.clone())?;
        self.bytes += row.raw_size_bytes() as u64 + CELL_BYTES * row.len() as u64;
        let read = if rows.len() >= self.bounds.rows_max as usize {
            Err(Error::TooLarge(self.bounds.rows_max.into()))
        } else if self.bytes > self.bounds.bytes_max {
            Err(Error::TooLarge(self.bounds.bytes_max))
        } else {
            decode::row(row)
        };
        match read {
            Ok(row) => rows.push(row),
            Err(error) => self.rows = Err(error),
        }
        self.rows.as_ref().map(|_| ()).map_err(Error::clone)
    }

    pub(super) fn rows(self) -> Result<Vec<Vec<Value>>, Error> {
        self.rows
    }
}
