//! Taking events for one service: new ones by a blocking read, those that are due again, those that others
//! left. One task's, over a connection of its own, because a blocking read blocks all of its connection.
//!
//! Nothing fails here: an outage is waited out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, RedisResult, aio::MultiplexedConnection};

use super::{
    Delivered,
    claim::Abandoned,
    due::Due,
    fresh::Fresh,
    group::Group,
    hand::{BLOCK, Hand, Room},
};

/// For the answer of a read beyond that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts to reach a Redis that is away.
const PAUSE: Duration = Duration::from_millis(250);
const STREAMS_EVERY: Duration = Duration::from_secs(1);
const ABANDONED_EVERY: Duration = Duration::from_secs(2);
/// How often a host says what it subscribes to.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Of what comes at once, by one event more: whoever subscribes to a thousand topics is not handed one of each.
const TAKE_MAX_BYTES: usize = 8 << 20;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Takes events for a service.
pub struct Taker {
    pub(super) hand: Hand,
    abandoned: Abandoned,
    due: Due,
    fresh: Fresh,
    connection: Option<MultiplexedConnection>,
    /// The shared connection that was there when it was made.
    made_beside: u64,
    /// Those of them that have the group.
    streams: Vec<String>,
    said_at: Option<Instant>,
    streams_at: Option<Instant>,
    abandoned_at: Option<Instant>,
    due_at: Option<Instant>,
}

impl Taker {
    pub fn new(group: Arc<Group>) -> Self {
        Self {
            hand: Hand::new(group),
            abandoned: Abandoned::new(),
            due: Due::new(),
            fresh: Fresh::new(),
            connection: None,
            made_beside: 0,
            streams: Vec::new(),
            said_at: None,
            streams_at: None,
            abandoned_at: None,
            due_at: None,
        }
    }

    /// Some events, perhaps none: after half a second at most, unless Redis is away. May be more than `want`, and
    /// than 8 MiB, by what is published in several of the service's topics in the same moment.
    ///
    /// Not cancel safe: what was on its way is found again only after a while.
    pub async fn take(&mut self, want: usize) -> Vec<Delivered> {
        if !self.hand.group.events.is_known() {
            // Else others would take what is handed to it for abandoned.
            tokio::time::sleep(PAUSE / 5).await;
            return Vec::new();
        }
        if self.made_beside != self.hand.group.events.store.connection_number() {
            // The server may be another one now.
            self.forget();
        }
        let mut taken = Vec::new();
        if let Err(error) = self.try_take(want, &mut taken).await {
            tracing::debug!(service = &**self.hand.group.name(), %error, "taking events failed");
            // A connection that is left in the middle of an answer is of no use; what it was bringing
            // is pending for this host, and found there.
            self.forget();
            tokio::time::sleep(PAUSE).await;
        }
        taken
    }

    /// What it learned from a Redis that is gone may not be true of the one that comes.
    fn forget(&mut self) {
        self.connection = None;
        (self.said_at, self.streams_at, self.abandoned_at, self.due_at) = (None, None, None, None);
        self.due.anew();
    }

    /// What was taken before an error counts too.
    async fn try_take(&mut self, want: usize, taken: &mut Vec<Delivered>) -> Result<(), Failed> {
        let now = Instant::now();
        if is_over(self.streams_at, now) {
            self.find_streams().await?;
            self.streams_at = Some(now + STREAMS_EVERY);
        }
        let mut connection = self.connected().await?;
        let mut room = Room { events: want, bytes: TAKE_MAX_BYTES };
        if is_over(self.due_at, now) {
            let (next, claimed) = self.due.take(&self.hand, &mut connection, room).await?;
            self.due_at = Some(now + next);
            room.fill(&claimed);
            taken.extend(claimed);
        }
        if is_over(self.abandoned_at, now) && !room.is_full() {
            self.abandoned_at = Some(now + ABANDONED_EVERY);
            for stream in &self.streams {
                let found = self.abandoned.take(&self.hand, &mut connection, stream, room).await?;
                room.fill(&found);
                taken.extend(found);
                if room.is_full() {
                    // What the others have is found when there is room.
                    self.abandoned_at = Some(now);
                    break;
                }
            }
        }
        if taken.is_empty() && !self.streams.is_empty() {
            let until_due = self.due_at.map_or(BLOCK, |due| due.saturating_duration_since(now));
            let block = until_due.min(BLOCK);
            taken.extend(self.fresh.take(&self.hand, &mut connection, &self.streams, room, block).await?);
        }
        Ok(())
    }

    async fn connected(&mut self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(BLOCK + ANSWER_TIMEOUT));
        let store = &self.hand.group.events.store;
        let (client, beside) = (&store.client, store.connection_number());
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        self.made_beside = beside;
        Ok(self.connection.insert(connection).clone())
    }

    async fn find_streams(&mut self) -> Result<(), crate::redis::AskError> {
        let now = Instant::now();
        if is_over(self.said_at, now) {
            self.hand.subscribed = self.hand.group.subscribe().await?;
            self.said_at = Some(now + SAY_EVERY);
        }
        let streams = self.hand.group.streams().await?;
        for stream in &streams {
            if !self.streams.contains(stream) || self.streams_at.is_none() {
                self.hand.group.join(stream).await?;
            }
        }
        self.streams = streams;
        Ok(())
    }
}

fn is_over(at: Option<Instant>, now: Instant) -> bool {
    at.is_none_or(|at| at <= now)
}
