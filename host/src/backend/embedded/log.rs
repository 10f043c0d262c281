//! A private server's own log: into ours while it runs, and its last words when it dies.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::ChildStderr,
};

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
pub(super) async fn forward(log: ChildStderr, last_lines: LastLines) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut log).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        match text.starts_with("FATAL") || text.starts_with("PANIC") {
            true => tracing::warn!(target: "postgres", "{text}"),
            false => tracing::debug!(target: "postgres", "{text}"),
        }
        last_lines.push(text);
    }
}
