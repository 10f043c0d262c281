//! The lines a host has logged, for waiting on one of them.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

/// Follows a stream of lines on a thread until it ends.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<State>, Condvar)>);

impl Log {
    pub fn follow(stream: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let followed = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                followed.0.0.lock().unwrap().lines.push(line);
                followed.0.1.notify_all();
            }
            followed.0.0.lock().unwrap().ended = true;
            followed.0.1.notify_all();
        });
        log
    }

    /// The first line `wanted` says something of; `None` when the stream ends without one.
    pub fn find<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.find_within(PATIENCE, wanted)
    }

    /// The same, for what may take its time.
    pub fn find_within<T>(&self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (state, changed) = &*self.0;
        let deadline = Instant::now() + patience;
        let mut state = state.lock().unwrap();
        let mut seen = 0;
        loop {
            if let Some(found) = state.lines[seen..].iter().find_map(|line| wanted(line)) {
                return Some(found);
            }
            seen = state.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a line that holds `text`.
    #[track_caller]
    pub fn expect_line(&self, text: &str) -> String {
        self.find(|line| line.contains(text).then(|| line.to_owned()))
            .unwrap_or_else(|| panic!("no line with `{text}` in:\n{}", self.text()))
    }

    /// Waits for a JSON line in which the field `name` is `value`.
    #[track_caller]
    pub fn expect_field(&self, name: &str, value: &str) -> Value {
        let wanted = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line[name] == value).then_some(line)
        };
        self.find(wanted).unwrap_or_else(|| panic!("no line with {name}={value} in:\n{}", self.text()))
    }

    /// All of it, once the stream has ended.
    pub fn ended(&self) -> String {
        let _never = self.find(|_| None::<()>);
        self.text()
    }

    pub fn text(&self) -> String {
        self.0.0.lock().unwrap().lines.join("\n")
    }
}
