//! The log while the host runs: who follows it, and how much is told.
//!
//! A follower gets every line that is told from now on, as JSON whatever the host's own output is, and misses
//! those for which it is too slow. Without followers a line is not made twice.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::filter::filter;

/// Lines that a follower may be behind.
const FOLLOWER_MAX_LINES: usize = 1024;
/// Who may follow at once.
const FOLLOWERS_MAX: usize = 8;

/// What can be asked of the log, and said to it.
pub struct Logs {
    followers: Followers,
    level: Mutex<Level>,
}

struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    /// As it was said last.
    text: String,
}

/// Those who follow; clones share one list.
#[derive(Clone, Default)]
pub(super) struct Followers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    any: AtomicBool,
    lines: Mutex<Vec<mpsc::Sender<Bytes>>>,
}

impl Logs {
    pub(super) fn new(followers: Followers, filter: reload::Handle<EnvFilter, Registry>, text: &str) -> Arc<Self> {
        Arc::new(Self { followers, level: Mutex::new(Level { filter, text: text.to_owned() }) })
    }

    /// Lines from now on; none when there are too many who follow.
    pub fn follow(&self) -> Option<mpsc::Receiver<Bytes>> {
        self.followers.follow()
    }

    /// What is told, in the syntax of `ARCHIPEL_LOG`.
    pub fn level(&self) -> String {
        lock(&self.level).text.clone()
    }

    /// From the next line on.
    ///
    /// # Errors
    /// When the text is not understood; nothing is changed then.
    pub fn set_level(&self, text: &str) -> Result<(), String> {
        let wanted = filter(text)?;
        let mut level = lock(&self.level);
        level.filter.reload(wanted).map_err(|error| error.to_string())?;
        text.clone_into(&mut level.text);
        Ok(())
    }
}

impl Followers {
    pub(super) fn are_any(&self) -> bool {
        self.0.any.load(Relaxed)
    }

    fn follow(&self) -> Option<mpsc::Receiver<Bytes>> {
        let mut lines = lock(&self.0.lines);
        lines.retain(|follower| !follower.is_closed());
        if lines.len() >= FOLLOWERS_MAX {
            return None;
        }
        let (sender, receiver) = mpsc::channel(FOLLOWER_MAX_LINES);
        lines.push(sender);
        self.0.any.store(true, Relaxed);
        Some(receiver)
    }
}

impl Followers {
    /// A line on its way to all of them, if there are any.
    pub(super) fn tell(&self, line: &[u8]) {
        if !self.are_any() {
            return;
        }
        let mut lines = lock(&self.0.lines);
        let shared = Bytes::copy_from_slice(line);
        lines
            .retain(|follower| !matches!(follower.try_send(shared.clone()), Err(mpsc::error::TrySendError::Closed(_))));
        self.0.any.store(!lines.is_empty(), Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
