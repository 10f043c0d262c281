//! What the type of a handler says, for the table.

use super::operation::{Success, Taken};
use crate::Handler;

/// What it takes, and what it answers.
#[doc(hidden)]
pub const fn said<P, H: Handler<P>>(_handler: &H) -> (&'static [Taken], &'static Success) {
    (H::TAKES, H::ANSWERS)
}
