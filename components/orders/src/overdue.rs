//! Who is looked after: an order that is still in the making a minute after it began.
//!
//! Nobody needs a message for each order: one serves all that begin within the same few seconds, a slot. Whoever begins
//! the first of a slot writes it in the same transaction; this instance then knows, and another one's is the same to
//! the topic. It is due when the last order of the slot has had its time.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

use sdk::{Error, Timestamp, messaging::Event};

use crate::event;

/// How long an order may be in the making before it is looked at; a request ends long before.
const CHECK_AFTER: Duration = Duration::from_secs(60);
/// Its name in the environment, in milliseconds.
const CHECK_AFTER_MS: &str = "CHECK_AFTER_MS";
/// So many slots fit into that time.
const SLOTS: u32 = 12;

/// The last slot for which this instance knows of a message.
static ANNOUNCED: AtomicI64 = AtomicI64::new(i64::MIN);

/// A few seconds, by when they began, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    start: i64,
    check_after: Duration,
}

impl Slot {
    pub(crate) fn of(at: Timestamp) -> Self {
        Self::within(at, check_after())
    }

    fn within(at: Timestamp, check_after: Duration) -> Self {
        let width = micros(check_after / SLOTS).max(1);
        Self { start: at.micros().div_euclid(width) * width, check_after }
    }

    /// Whether a message for all its orders has been committed.
    pub(crate) fn is_announced(self) -> bool {
        ANNOUNCED.load(Relaxed) == self.start
    }

    /// It has been.
    pub(crate) fn announced(self) {
        ANNOUNCED.store(self.start, Relaxed);
    }

    pub(crate) fn announcement(self) -> Result<Event, Error> {
        let delay = self.check_after + self.check_after / SLOTS;
        Ok(event::look(Timestamp::from_micros(0))?.delay(delay).dedup_id(format!("overdue-{}", self.start)))
    }
}

/// An order that began before is overdue at `now`.
pub(crate) fn began_before(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros() - micros(check_after()))
}

fn check_after() -> Duration {
    let set = std::env::var(CHECK_AFTER_MS).ok().and_then(|text| text.parse().ok());
    set.map_or(CHECK_AFTER, Duration::from_millis)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_slot_is_due_when_its_last_order_has_had_its_time() {
        let minute = Duration::from_secs(60);
        let slot = |seconds: i64| Slot::within(Timestamp::from_micros(seconds * 1_000_000), minute);
        assert_eq!(slot(100), slot(104));
        assert_ne!(slot(104), slot(105));
        let announcement = slot(100).announcement().unwrap();
        let (_, options) = announcement.wire();
        assert_eq!(options.delay_ms, Some(65_000));
    }
}
