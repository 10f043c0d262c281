//! What arrives at this host for a service, made an event or put where it belongs.

use std::{sync::Arc, time::Duration};

use super::{
    Delivered,
    entry::{Fields, Kept, Mark, Place},
    group::Group,
    subscriptions::covered,
};
use grant::topic::TopicPattern;

/// A read waits this long for news; then there may be new topics, or an end.
pub(super) const BLOCK: Duration = Duration::from_millis(500);
/// What another host handles waits for that one so long.
const HAND_BACK: Duration = Duration::from_secs(2);

/// How many were gone, and what was taken: stream, entry, attempt, fields.
pub(super) type Claimed = (u64, Vec<(String, String, u32, Fields)>);

/// How much may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn fill(&mut self, taken: &[Delivered]) {
        self.events = self.events.saturating_sub(taken.len());
        self.bytes = self.bytes.saturating_sub(taken.iter().map(|taken| taken.event.bytes()).sum());
    }

    pub(super) fn is_full(self) -> bool {
        self.events == 0 || self.bytes == 0
    }
}

/// In whose name events are taken.
pub(super) struct Hand {
    pub(super) group: Arc<Group>,
    /// What the group subscribes to, by the word of all its hosts.
    pub(super) subscribed: Vec<TopicPattern>,
}

impl Hand {
    pub(super) fn new(group: Arc<Group>) -> Self {
        Self { group, subscribed: Vec::new() }
    }

    pub(super) async fn claimed(&self, (gone, entries): Claimed) -> Vec<Delivered> {
        if gone > 0 {
            let service = &**self.group.name();
            tracing::warn!(service, events = gone, "events were past `events.retain` before they were handled");
        }
        let mut taken = Vec::new();
        for (stream, entry, attempt, fields) in entries {
            taken.extend(self.delivered(&stream, entry, attempt, fields).await);
        }
        taken
    }

    /// Nothing for what is in work here already. What another host's version of the service handles is left to
    /// that one. What is no event, or of a topic that no version subscribes to, goes to the dead letters.
    pub(super) async fn delivered(
        &self,
        stream: &str,
        entry: String,
        attempt: u32,
        fields: Fields,
    ) -> Option<Delivered> {
        let (group, place) = (&self.group, Place { stream: stream.to_owned(), entry });
        let mark = Mark::set(&group.events.marks, group.name(), &place)?;
        let (topic, reason) = match Kept::parse(&group.events.names, stream, fields) {
            Some(event) if group.covers(&event.topic) => return Some(Delivered { place, _mark: mark, attempt, event }),
            Some(event) if covered(&self.subscribed, &event.topic) => {
                // One that stays here is found again.
                let _ = group.hand_back(&place, attempt, HAND_BACK).await;
                return None;
            }
            Some(event) => (event.topic, "the service does not subscribe to its topic any more"),
            None => (group.events.names.topic_of(stream).unwrap_or_default().to_owned(), "the entry is no event"),
        };
        tracing::warn!(service = &**group.name(), topic, reason, "an entry goes to the dead letters unseen");
        // One that stays pending is found again.
        let _ = group.bury_at(&place, &topic, reason, attempt).await;
        None
    }
}
