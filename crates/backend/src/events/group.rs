//! A service's consumer group: its streams, and how an event that was handed out is settled.
//!
//! Settling is answered within two seconds or fails; whoever fails tries again. Settling twice, or after
//! another host has taken the event over, does nothing.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use redis::Script;

use super::{
    Delivered, Events,
    entry::Place,
    subscriptions::{SAY, WITHDRAWAL, covered},
};
use crate::redis::AskError;
use grant::{
    Granted, Subscription,
    topic::{Topic, TopicPattern},
};

/// In whose name events wait for another attempt: no host's, so that nobody looking for what hosts left has
/// to walk them.
pub(super) const WAITING: &str = "~later";

/// KEYS: stream, the group's retries. ARGV: group, consumer, entry, pause (ms), which attempt it was, in whose
/// name it waits, how many attempts count. Only of what this consumer has in this attempt: a second time it does nothing.
const LATER: &str = "
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if not pending[1] or pending[1][2] ~= ARGV[2] or pending[1][4] ~= tonumber(ARGV[5]) then return 0 end
if not redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[6], 0, ARGV[3], 'RETRYCOUNT', ARGV[7], 'JUSTID')[1] then return 0 end
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]
redis.call('ZADD', KEYS[2], due, ARGV[3] .. ' ' .. KEYS[1])
return 1
";

/// KEYS: stream, the group's dead letters. ARGV: group, consumer, entry, topic, reason, attempts.
const BURY: &str = "
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if not pending[1] or pending[1][2] ~= ARGV[2] then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])
if found[1] then
  local letter, fields = {}, found[1][2]
  for at = 1, #fields, 2 do
    if fields[at] ~= 'topic' and fields[at] ~= 'exp' then
      letter[#letter + 1] = fields[at]
      letter[#letter + 1] = fields[at + 1]
    end
  end
  redis.call('XADD', KEYS[2], '*', 'topic', ARGV[4], 'reason', ARGV[5], 'attempts', ARGV[6], unpack(letter))
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
return 1
";

/// The events of one service.
pub struct Group {
    pub(super) events: Arc<Events>,
    pub(super) subscription: Granted<Subscription>,
    /// How long a topic stays subscribed to after the last host that asked for it.
    pub(super) withdrawal: Duration,
    say: Script,
    later: Script,
    bury: Script,
}

impl Group {
    pub fn new(events: Arc<Events>, subscription: Granted<Subscription>) -> Self {
        let [say, later, bury] = [SAY, LATER, BURY].map(Script::new);
        Self { events, subscription, withdrawal: WITHDRAWAL, say, later, bury }
    }

    /// The service's name.
    pub fn name(&self) -> &Arc<str> {
        &self.subscription.get().service
    }

    /// Where its events stand: the streams of its topics, as far as there are any, and its own.
    pub(super) async fn streams(&self) -> Result<Vec<String>, AskError> {
        let (names, topics) = (&self.events.names, &self.subscription.get().topics);
        let all = names.topics();
        let found = self.events.store.work(|mut redis| async move {
            redis::cmd("SMEMBERS").arg(all).query_async::<Vec<String>>(&mut redis).await
        });
        let found = found.await?.into_iter().filter_map(|topic| topic.parse::<Topic>().ok());
        let matching = found.filter(|topic| topics.iter().any(|pattern| pattern.matches(topic)));
        let topics: BTreeSet<Topic> = matching.chain(topics.iter().filter_map(|pattern| pattern.exact())).collect();
        let streams = topics.iter().map(|topic| names.topic(topic.as_str()));
        Ok(streams.chain([names.again(self.name())]).collect())
    }

    /// Says what it subscribes to; gives what all hosts of this group do.
    pub(super) async fn subscribe(&self) -> Result<Vec<TopicPattern>, AskError> {
        self.events.subscribe(&self.say, self.subscription.get(), self.withdrawal).await
    }

    /// Whether this host handles events of this topic.
    pub(super) fn covers(&self, topic: &str) -> bool {
        covered(&self.subscription.get().topics, topic)
    }

    /// Makes the group in a stream, from its first event on: what was published before counts too.
    pub(super) async fn join(&self, stream: &str) -> Result<(), AskError> {
        let (name, groups) = (self.name().clone(), self.events.names.groups());
        let joined = self.events.store.work(|mut redis| async move {
            redis::cmd("SADD").arg(groups).arg(&*name).query_async::<()>(&mut redis).await?;
            let mut create = redis::cmd("XGROUP");
            create.arg("CREATE").arg(stream).arg(&*name).arg("0").arg("MKSTREAM");
            match create.query_async::<()>(&mut redis).await {
                Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
                created => created,
            }
        });
        joined.await
    }

    /// It was handled, or need not be.
    pub async fn acknowledge(&self, delivered: &Delivered) -> Result<(), AskError> {
        let Place { stream, entry } = &delivered.place;
        let is_own = *stream == self.events.names.again(self.name());
        let acknowledged = self.events.store.work(|mut redis| async move {
            let mut pipe = redis::pipe();
            pipe.cmd("XACK").arg(stream).arg(&**self.name()).arg(entry).ignore();
            if is_own {
                pipe.cmd("XDEL").arg(stream).arg(entry).ignore();
            }
            pipe.query_async::<()>(&mut redis).await
        });
        acknowledged.await
    }

    /// Another attempt, not before `pause` has passed.
    pub async fn later(&self, delivered: &Delivered, pause: Duration) -> Result<(), AskError> {
        self.wait(&delivered.place, delivered.attempt, pause, delivered.attempt).await
    }

    /// The same attempt, from its beginning, at once.
    pub async fn again(&self, delivered: &Delivered) -> Result<(), AskError> {
        self.hand_back(&delivered.place, delivered.attempt, Duration::ZERO).await
    }

    /// What was no attempt, to whichever host takes it after the pause.
    pub(super) async fn hand_back(&self, place: &Place, attempt: u32, pause: Duration) -> Result<(), AskError> {
        self.wait(place, attempt, pause, attempt.saturating_sub(1)).await
    }

    async fn wait(&self, place: &Place, attempt: u32, pause: Duration, attempts: u32) -> Result<(), AskError> {
        let mut call = self.later.prepare_invoke();
        call.key(&place.stream).key(self.events.names.retries(self.name()));
        call.arg(&**self.name()).arg(&self.events.consumer).arg(&place.entry).arg(pause.as_millis() as u64);
        call.arg(attempt).arg(WAITING).arg(attempts);
        self.events.store.work(|mut redis| async move { call.invoke_async::<()>(&mut redis).await }).await
    }

    /// To the dead letters.
    pub async fn bury(&self, delivered: &Delivered, reason: &str) -> Result<(), AskError> {
        self.bury_at(&delivered.place, &delivered.event.topic, reason, delivered.attempt).await
    }

    pub(super) async fn bury_at(
        &self,
        place: &Place,
        topic: &str,
        reason: &str,
        attempts: u32,
    ) -> Result<(), AskError> {
        let mut call = self.bury.prepare_invoke();
        call.key(&place.stream).key(self.events.names.dead(self.name()));
        call.arg(&**self.name()).arg(&self.events.consumer).arg(&place.entry);
        call.arg(topic).arg(reason).arg(attempts);
        self.events.store.work(|mut redis| async move { call.invoke_async::<()>(&mut redis).await }).await
    }

    /// One was too old to be handled.
    pub fn expired(&self) {
        self.events.expired.fetch_add(1, Ordering::Relaxed);
    }

    /// The entries of a stream that are in work here.
    pub(super) fn working(&self, stream: &str) -> Vec<String> {
        let marks = self.events.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = marks.iter().filter(|(group, place)| group == self.name() && place.stream == stream);
        ours.map(|(_, place)| place.entry.clone()).collect()
    }
}
