//! A private server's own log: into ours while it runs, and its last words when it dies.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

const LINE_BYTES_MAX: u64 = 4096;
const LAST_LINES: usize = 5;

/// The end of a log, for the message about a death.
#[derive(Debug, Clone, Default)]
pub(super) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    pub(super) fn joined(&self) -> String {
        self.lines().iter().map(String::as_str).collect::<Vec<_>>().join(" / ")
    }

    fn push(&self, line: String) {
        let mut lines = self.lines();
        lines.push_back(line);
        if lines.len() > LAST_LINES {
            lines.pop_front();
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        // Lines only: valid whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the server's log into ours, line by line, each cut at a bound.
pub(super) async fn forward(log: impl AsyncRead + Unpin, last_lines: LastLines, tell: impl Fn(&str)) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut log).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        tell(&text);
        last_lines.push(text);
    }
}

/// A line of a private PostgreSQL.
pub(super) fn of_postgres(line: &str) {
    match is_alarming(line) {
        true => tracing::warn!(target: "postgres", "{line}"),
        false => tracing::debug!(target: "postgres", "{line}"),
    }
}

/// A server says FATAL also to us when we ask whether it is up yet, and to sessions that it ends
/// when we stop it.
fn is_alarming(line: &str) -> bool {
    const EXPECTED: [&str; 3] =
        ["the database system is starting up", "the database system is shutting down", "due to administrator command"];
    (line.starts_with("FATAL") || line.starts_with("PANIC")) && !EXPECTED.iter().any(|text| line.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_and_a_stop_in_order_alarm_nobody() {
        assert!(!is_alarming("FATAL:  the database system is starting up"));
        assert!(!is_alarming("LOG:  database system is ready to accept connections"));
        assert!(is_alarming("FATAL:  could not open shared memory segment"));
        assert!(is_alarming("PANIC:  could not write to file"));
    }
}
