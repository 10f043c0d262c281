//! How far a run has come, for whoever waits for it: lines on stderr, never among the figures.

/// Says one line.
#[allow(clippy::print_stderr, reason = "progress is for the person at the terminal, figures go to stdout")]
pub(crate) fn say(line: &str) {
    eprintln!("bench: {line}");
}
