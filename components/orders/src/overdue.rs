//! Who is looked after: an order that is still in the making a minute after it began.
//!
//! Not every order needs a message: one serves all that begin within the same few seconds, a slot. Whoever begins the first
//! of a slot writes it in the same transaction, and its instance then knows. It comes when the last order of the slot has
//! had its time, so whatever began in the slot and is not done is overdue, without a look at a clock. Clocks of hosts may
//! differ by less than that time.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

use sdk::{Error, Timestamp, Uuid, messaging::Event};

use crate::event::{self, Span};

/// How long an order may be in the making before it is looked at; a request ends long before.
const CHECK_AFTER: Duration = Duration::from_secs(60);
/// Its name in the environment, in milliseconds: longer than a request may take.
const CHECK_AFTER_MS: &str = "CHECK_AFTER_MS";
/// So many slots fit into that time.
const SLOTS: u32 = 12;

/// The last slot for which this instance knows of a message.
static ANNOUNCED: AtomicI64 = AtomicI64::new(i64::MIN);

/// A few seconds in which orders begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// In microseconds since 1970.
    start: i64,
    width: i64,
    check_after: Duration,
}

impl Slot {
    pub(crate) fn of(at: Timestamp) -> Self {
        let set = std::env::var(CHECK_AFTER_MS).ok().and_then(|text| text.parse().ok());
        Self::within(at, set.map_or(CHECK_AFTER, Duration::from_millis))
    }

    fn within(at: Timestamp, check_after: Duration) -> Self {
        let width = i64::try_from((check_after / SLOTS).as_micros()).unwrap_or(i64::MAX).max(1);
        Self { start: at.micros().div_euclid(width) * width, width, check_after }
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
        let begun = Span { from: (self.start, Uuid::nil()), to: self.start.saturating_add(self.width) };
        Ok(event::look(begun)?.delay(self.check_after + self.check_after / SLOTS))
    }
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
        let announcement = slot(102).announcement().unwrap();
        let (message, options) = announcement.wire();
        assert_eq!(options.delay_ms, Some(65_000));
        let told: event::Check = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(told.begun, Some(Span { from: (100_000_000, Uuid::nil()), to: 105_000_000 }));
    }
}
