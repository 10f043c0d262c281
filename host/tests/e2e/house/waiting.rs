//! What waits to be opened or split. Both lists only get shorter; `rooms` says so when a name may go.

use super::rooms::Known;

/// Circles of files, each of which uses each, by way of others or at once.
pub const CIRCLES: &[Known] = &[];

/// Files of more than 400 lines.
pub const LONG: &[&str] = &[];
