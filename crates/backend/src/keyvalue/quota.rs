//! How much of its Redis one store may hold, so that those beside it find room.
//!
//! What is written is added up, and what it takes the place of is not looked at. Once the sum is over the quota the
//! store's keys are counted in the Redis itself: what was replaced, deleted or has expired is room again. So a
//! store pays for the counting by what it writes, and reading costs nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::Script;
use tokio::sync::Notify;

use super::error::Error;
use crate::{
    crowd::Crowd,
    redis::{AskError, Store},
};

/// What a key takes beside its name and its value, about.
const KEY_BYTES: u64 = 128;
/// A part of the quota that may be written beyond it while the store is being counted.
const BEYOND: u64 = 8;
/// Between two counts.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How long a write waits to hear whether there is room after all.
const COUNT_PATIENCE: Duration = Duration::from_millis(100);
/// Keys that are looked at in one go.
const LOOK_KEYS: u32 = 100;
/// A count that takes longer is given up.
const COUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// `ARGV`: cursor, pattern, keys. Where to go on, and what the keys that were found take.
const LOOK: &str = "
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local bytes = 0
for _, key in ipairs(found[2]) do
  bytes = bytes + (redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0)
end
return {found[1], bytes}
";

/// The quota of one store, whoever uses it.
pub(super) struct Quota {
    max_bytes: u64,
    /// All keys of the store.
    pattern: String,
    store: Arc<Store>,
    look: Script,
    state: Mutex<State>,
    counted: Notify,
    /// Those who found no room.
    refused: Crowd,
}

#[derive(Debug, Default)]
struct State {
    /// As it was counted last.
    held: u64,
    /// Since then, at most.
    written: u64,
    /// The last count, if it has ended.
    at: Option<Instant>,
    is_counting: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Judged {
    admitted: bool,
    /// The caller shall have it counted.
    count: bool,
}

impl State {
    fn judge(&mut self, bytes: u64, max_bytes: u64) -> Judged {
        let sum = self.held.saturating_add(self.written).saturating_add(bytes);
        let admitted =
            self.held.saturating_add(bytes) <= max_bytes && sum <= max_bytes.saturating_add(max_bytes / BEYOND);
        let is_due = match self.at {
            // What was there before the host is not known.
            None => true,
            Some(at) => sum > max_bytes && at.elapsed() >= COUNT_EVERY,
        };
        let count = is_due && !self.is_counting;
        self.is_counting |= count;
        if admitted {
            self.written += bytes;
        }
        Judged { admitted, count }
    }
}

impl Quota {
    pub(super) fn new(max_bytes: u64, pattern: String, store: Arc<Store>) -> Arc<Self> {
        let (state, counted, refused) = (Mutex::default(), Notify::new(), Crowd::default());
        Arc::new(Self { max_bytes, pattern, store, look: Script::new(LOOK), state, counted, refused })
    }

    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// What it holds, as far as that is known: what was replaced since it was counted is in it.
    pub(super) fn held_bytes(&self) -> u64 {
        let state = self.state();
        state.held.saturating_add(state.written)
    }

    /// Whether somebody has just found no room.
    pub(super) fn is_full(&self) -> bool {
        self.refused.is_now()
    }

    /// Ends by itself, within `COUNT_TIMEOUT`.
    fn start_count(self: &Arc<Self>) {
        let quota = self.clone();
        tokio::spawn(async move { quota.count().await });
    }

    /// Room for a key of this name and value. Cancel safe: what was admitted and is not written is found when the
    /// store is counted.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(super) async fn room(self: &Arc<Self>, name: &str, value: usize, deadline: Instant) -> Result<(), Error> {
        let bytes = (name.len() + value) as u64 + KEY_BYTES;
        let counted = self.counted.notified();
        let judged = self.judge(bytes);
        if judged.count {
            self.start_count();
        }
        if judged.admitted {
            return Ok(());
        }
        let by = deadline.min(Instant::now() + COUNT_PATIENCE);
        // Whether it came in time or not is seen below.
        let _ = tokio::time::timeout_at(by.into(), counted).await;
        if self.judge_again(bytes) {
            return Ok(());
        }
        self.refused.refused();
        Err(Error::Full(self.max_bytes))
    }

    fn judge(&self, bytes: u64) -> Judged {
        self.state().judge(bytes, self.max_bytes)
    }

    /// Without another count.
    fn judge_again(&self, bytes: u64) -> bool {
        let mut state = self.state();
        let is_counting = std::mem::replace(&mut state.is_counting, true);
        let judged = state.judge(bytes, self.max_bytes);
        state.is_counting = is_counting;
        judged.admitted
    }

    async fn count(&self) {
        let before = self.state().written;
        let counted = tokio::time::timeout(COUNT_TIMEOUT, self.sum()).await;
        let mut state = self.state();
        state.is_counting = false;
        state.at = Some(Instant::now());
        match counted {
            Ok(Ok(held)) => {
                state.held = held;
                state.written = state.written.saturating_sub(before);
            }
            // An operator's server may not tell: nothing is refused for what nobody knows.
            Ok(Err(AskError::Refused { reason, .. })) => {
                tracing::warn!(redis = self.store.name(), reason, "a key-value store cannot be counted");
                (state.held, state.written) = (0, 0);
            }
            Ok(Err(_)) | Err(_) => {}
        }
        drop(state);
        self.counted.notify_waiters();
    }

    async fn sum(&self) -> Result<u64, AskError> {
        let (mut cursor, mut sum) = ("0".to_owned(), 0_u64);
        loop {
            let mut look = self.look.prepare_invoke();
            look.arg(&cursor).arg(&self.pattern).arg(LOOK_KEYS);
            let asked = async |mut connection| look.invoke_async(&mut connection).await;
            let (next, bytes): (String, u64) = self.store.work(asked).await?;
            sum = sum.saturating_add(bytes);
            if next == "0" {
                return Ok(sum);
            }
            cursor = next;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_counted_once_it_may_be_full_and_refused_only_when_it_is() {
        let mut state = State::default();
        assert_eq!(state.judge(10, 800), Judged { admitted: true, count: true }, "what was there before is not known");
        assert_eq!(state.judge(780, 800), Judged { admitted: true, count: false }, "one count at a time");
        assert_eq!(state.judge(100, 800), Judged { admitted: true, count: false }, "it may have been replaced");
        assert_eq!(state.judge(100, 800), Judged { admitted: false, count: false }, "but not without an end");
        let long_ago = Instant::now().checked_sub(COUNT_EVERY);
        state = State { held: 700, written: 0, at: long_ago, is_counting: false };
        assert_eq!(state.judge(100, 800), Judged { admitted: true, count: false });
        assert_eq!(state.judge(100, 800), Judged { admitted: true, count: true });
        state = State { held: 790, written: 0, at: Some(Instant::now()), is_counting: false };
        assert_eq!(state.judge(20, 800), Judged { admitted: false, count: false }, "it was counted just now");
        state.at = long_ago;
        assert_eq!(state.judge(20, 800), Judged { admitted: false, count: true });
    }
}
