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
    claim::Claims,
    entry::{Fields, Kept, Mark, Place},
    group::Group,
};

/// A read waits this long for news; then there may be new topics, or an end.
pub(super) const BLOCK: Duration = Duration::from_millis(500);
/// For the answer of a read beyond that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts to reach a Redis that is away.
const PAUSE: Duration = Duration::from_millis(250);
const STREAMS_EVERY: Duration = Duration::from_secs(1);
const ABANDONED_EVERY: Duration = Duration::from_secs(2);

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Takes events for a service.
pub struct Taker {
    pub(super) group: Arc<Group>,
    pub(super) claims: Claims,
    connection: Option<MultiplexedConnection>,
    /// Those of them that have the group.
    streams: Vec<String>,
    streams_at: Option<Instant>,
    abandoned_at: Option<Instant>,
    due_at: Option<Instant>,
}

impl Taker {
    pub fn new(group: Arc<Group>) -> Self {
        let claims = Claims::new();
        Self {
            group,
            claims,
            connection: None,
            streams: Vec::new(),
            streams_at: None,
            abandoned_at: None,
            due_at: None,
        }
    }

    /// Some events, perhaps none: after half a second at most, unless Redis is away. May be more than `want`
    /// by one for each of the service's topics.
    ///
    /// Not cancel safe: what was on its way is found again only after a while.
    pub async fn take(&mut self, want: usize) -> Vec<Delivered> {
        if !self.group.events.is_known() {
            // Else others would take what is handed to it for abandoned.
            tokio::time::sleep(PAUSE / 5).await;
            return Vec::new();
        }
        let mut taken = Vec::new();
        if let Err(error) = self.try_take(want, &mut taken).await {
            tracing::debug!(service = &**self.group.name(), %error, "taking events failed");
            // A connection that is left in the middle of an answer is of no use; what it was bringing
            // is pending for this host, and found there.
            (self.connection, self.streams_at, self.abandoned_at, self.due_at) = (None, None, None, None);
            tokio::time::sleep(PAUSE).await;
        }
        taken
    }

    /// What was taken before an error counts too.
    async fn try_take(&mut self, want: usize, taken: &mut Vec<Delivered>) -> Result<(), Failed> {
        let now = Instant::now();
        if is_over(self.streams_at, now) {
            self.find_streams().await?;
            self.streams_at = Some(now + STREAMS_EVERY);
        }
        let mut connection = self.connected().await?;
        if is_over(self.due_at, now) {
            let (next, claimed) = self.due(&mut connection, want).await?;
            self.due_at = Some(now + next);
            taken.extend(claimed);
        }
        if is_over(self.abandoned_at, now) {
            self.abandoned_at = Some(now + ABANDONED_EVERY);
            for stream in self.streams.clone() {
                taken.extend(self.abandoned(&mut connection, &stream, want).await?);
            }
        }
        if taken.is_empty() && !self.streams.is_empty() {
            let until_due = self.due_at.map_or(BLOCK, |due| due.saturating_duration_since(now));
            taken.extend(self.new_ones(&mut connection, want, until_due.min(BLOCK)).await?);
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
        let client = &self.group.events.store.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(self.connection.insert(connection).clone())
    }

    async fn find_streams(&mut self) -> Result<(), crate::redis::AskError> {
        if self.streams_at.is_none() {
            self.group.subscribe().await?;
        }
        let streams = self.group.streams().await?;
        for stream in &streams {
            if !self.streams.contains(stream) || self.streams_at.is_none() {
                self.group.join(stream).await?;
            }
        }
        self.streams = streams;
        Ok(())
    }

    async fn new_ones(
        &mut self,
        redis: &mut MultiplexedConnection,
        want: usize,
        block: Duration,
    ) -> RedisResult<Vec<Delivered>> {
        let each = (want / self.streams.len()).max(1);
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&**self.group.name()).arg(&self.group.events.consumer).arg("COUNT").arg(each);
        // 0 would block without an end.
        read.arg("BLOCK").arg(block.as_millis().max(1) as u64).arg("STREAMS");
        self.streams.iter().for_each(|stream| _ = read.arg(stream));
        self.streams.iter().for_each(|_| _ = read.arg(">"));
        type Read = Option<Vec<(String, Vec<(String, Option<Fields>)>)>>;
        let mut taken = Vec::new();
        for (stream, entries) in read.query_async::<Read>(redis).await?.unwrap_or_default() {
            for (entry, fields) in entries {
                taken.extend(self.delivered(&stream, entry, 1, fields.unwrap_or_default()).await);
            }
        }
        Ok(taken)
    }

    /// Nothing for what is in work here already. What is no event, or of a topic that the service does not
    /// subscribe to any more, goes to the dead letters.
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
            Some(event) => (event.topic, "the service does not subscribe to its topic any more"),
            None => (group.events.names.topic_of(stream).unwrap_or_default().to_owned(), "the entry is no event"),
        };
        tracing::warn!(service = &**group.name(), topic, reason, "an entry goes to the dead letters unseen");
        // One that stays pending is found again.
        let _ = group.bury_at(&place, &topic, reason, attempt).await;
        None
    }
}

fn is_over(at: Option<Instant>, now: Instant) -> bool {
    at.is_none_or(|at| at <= now)
}
