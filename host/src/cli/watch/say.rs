//! What a watching host says to the person who edits.

use std::io::Write;

/// One line: standard output is the host's log.
pub(super) fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
