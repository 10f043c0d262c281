//! Publishing: checked against the bounds, then one script for all events of a call. Either all of them
//! are there or none.

use std::{sync::PoisonError, time::Instant};

use redis::{Script, ScriptInvocation};
use uuid::Uuid;

use super::{
    BATCH_MAX, BATCH_MAX_BYTES, BODY_MAX_BYTES, DEDUP, DELAY_MAX, DELAYED_EACH_MAX, DELAYED_MAX, Event, Events,
    HEADERS_MAX, HEADERS_MAX_BYTES, NAME_MAX_BYTES, Options, PublishError, TOPICS_EACH_MAX, TOPICS_MAX,
};
use crate::redis::Share;

/// How the script says that too many delayed events wait, or that there are too many topics.
pub(super) const FULL: &str = "too many delayed events or topics";

/// KEYS: topics, delayed, delayed events, their bytes, how many each service has of them, how many topics each
/// service has begun; then for each event its stream and its dedup key. ARGV: how many may be delayed, how long dedup
/// ids are kept (s), how many topics there may be, how many bytes and how many events of one service may be delayed,
/// how many topics one service may begin; then for each event its topic, its
/// publisher, its delay (ms), whether it has a dedup id, its id, how many arguments follow, and these: the fields of
/// its entry. Gives the ids; for a repeated dedup id, that of the event which had it first.
pub(super) const SCRIPT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local events, delayed, bytes, of, topics, begun, seen, at = {}, 0, 0, {}, 0, {}, {}, 7
for number = 1, (#KEYS - 6) / 2 do
  local event = {topic = ARGV[at], delay = tonumber(ARGV[at + 2]), dedup = ARGV[at + 3] == '1', id = ARGV[at + 4]}
  local count = tonumber(ARGV[at + 5])
  event.publisher = ARGV[at + 1]
  event.fields = {unpack(ARGV, at + 6, at + 5 + count)}
  at = at + 6 + count
  if event.delay > 0 then
    event.packed = cmsgpack.pack({event.topic, event.fields, event.publisher})
    delayed, bytes = delayed + 1, bytes + #event.packed
    of[event.publisher] = (of[event.publisher] or 0) + 1
  end
  if not seen[event.topic] and redis.call('SISMEMBER', KEYS[1], event.topic) == 0 then
    topics = topics + 1
    begun[event.publisher] = (begun[event.publisher] or 0) + 1
  end
  seen[event.topic] = true
  events[number] = event
end
local crowded = false
for publisher, more in pairs(of) do
  crowded = crowded or tonumber(redis.call('HGET', KEYS[5], publisher) or 0) + more > tonumber(ARGV[5])
end
for publisher, more in pairs(begun) do
  crowded = crowded or tonumber(redis.call('HGET', KEYS[6], publisher) or 0) + more > tonumber(ARGV[6])
end
if crowded or (delayed > 0 and redis.call('ZCARD', KEYS[2]) + delayed > tonumber(ARGV[1]))
  or (delayed > 0 and tonumber(redis.call('GET', KEYS[4]) or 0) + bytes > tonumber(ARGV[4]))
  or (topics > 0 and redis.call('SCARD', KEYS[1]) + topics > tonumber(ARGV[3])) then
  return redis.error_reply('ERR too many delayed events or topics')
end
local ids = {}
for number, event in ipairs(events) do
  local stream, dedup = KEYS[5 + number * 2], KEYS[6 + number * 2]
  local is_new = true
  if event.dedup then
    is_new = redis.call('SET', dedup, event.id, 'NX', 'EX', ARGV[2])
  end
  ids[number] = event.id
  if redis.call('SADD', KEYS[1], event.topic) == 1 then redis.call('HINCRBY', KEYS[6], event.publisher, 1) end
  if not is_new then
    ids[number] = redis.call('GET', dedup)
  elseif event.delay > 0 then
    redis.call('ZADD', KEYS[2], now + event.delay, event.id)
    local before = redis.call('HSTRLEN', KEYS[3], event.id)
    redis.call('HSET', KEYS[3], event.id, event.packed)
    redis.call('INCRBY', KEYS[4], #event.packed - before)
    if before == 0 then redis.call('HINCRBY', KEYS[5], event.publisher, 1) end
  else
    redis.call('XADD', stream, '*', unpack(event.fields))
  end
end
return ids
";

impl Events {
    /// Publishes all of `events`, in order, in one round trip; when it returns, Redis has acknowledged
    /// them. Gives their ids: for a repeated dedup id, that of the event which had it first.
    ///
    /// Within 100 ms and by `deadline`. Cancel safe, but what was sent may be published all the same.
    pub async fn publish(&self, events: &[(Event, Options)], deadline: Instant) -> Result<Vec<Uuid>, PublishError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        check(events)?;
        let (call, share) = (self.call(events), share(events));
        let asked = self.store.ask(share, deadline, |mut connection| async move {
            call.invoke_async::<Vec<String>>(&mut connection).await
        });
        let ids = asked.await?;
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().for_each(|(event, _)| *published.entry(event.publishing.get().service.clone()).or_default() += 1);
        drop(published);
        if events.iter().any(|(_, options)| options.delay.is_some()) {
            self.delayed.notify_one();
        }
        let parse = |id: &String| id.parse().map_err(|_| PublishError::Unavailable(format!("{id:?} is no event id")));
        ids.iter().map(parse).collect()
    }

    fn call(&self, events: &[(Event, Options)]) -> ScriptInvocation<'_> {
        let mut call = Script::prepare_invoke(&self.publishing);
        call.key(self.names.topics()).key(self.names.delayed()).key(self.names.delayed_events());
        call.key(self.names.delayed_bytes()).key(self.names.delayed_of()).key(self.names.topics_of());
        call.arg(DELAYED_MAX).arg(DEDUP.as_secs()).arg(TOPICS_MAX);
        call.arg(self.settings.load().retain_bytes).arg(DELAYED_EACH_MAX).arg(TOPICS_EACH_MAX);
        for (event, options) in events {
            let publishing = event.publishing.get();
            let topic = publishing.topic.as_str();
            let delay = options.delay.map_or(0, |delay| delay.as_millis() as u64);
            call.key(self.names.topic(topic));
            call.key(self.names.dedup(topic, options.dedup_id.as_deref().unwrap_or_default()));
            let fields = fields(event, options);
            call.arg(topic)
                .arg(&*publishing.service)
                .arg(delay)
                .arg(u8::from(options.dedup_id.is_some()))
                .arg(event.id.to_string());
            call.arg(fields.len() * 2);
            for (name, value) in &fields {
                call.arg(*name).arg(value.as_slice());
            }
        }
        call
    }
}

/// Of whose events they are: an outbox may carry on those of several services, and the first stands for all.
fn share(events: &[(Event, Options)]) -> Share<'_> {
    let bytes: usize = events.iter().map(|(event, _)| event.body.len()).sum();
    let places = u32::try_from(bytes.div_ceil(BODY_MAX_BYTES)).unwrap_or(u32::MAX);
    Share { service: events.first().map_or("", |(event, _)| &*event.publishing.get().service), places }
}

/// The entry of an event; what it does not have is left out.
fn fields(event: &Event, options: &Options) -> Vec<(&'static str, Vec<u8>)> {
    let mut fields = vec![("id", event.id.to_string().into_bytes())];
    if let Some(key) = &event.key {
        fields.push(("key", key.clone().into_bytes()));
    }
    if let Some(content_type) = &event.content_type {
        fields.push(("type", content_type.clone().into_bytes()));
    }
    if !event.headers.is_empty() {
        fields.push(("h", serde_json::json!(event.headers).to_string().into_bytes()));
    }
    let at = event.at.as_millisecond();
    fields.push(("at", at.to_string().into_bytes()));
    if let Some(ttl) = options.ttl {
        let until = at.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        fields.push(("exp", until.to_string().into_bytes()));
    }
    fields.push(("body", event.body.clone()));
    fields
}

/// What hosts add to an event's headers.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

fn check(events: &[(Event, Options)]) -> Result<(), PublishError> {
    if events.len() > BATCH_MAX {
        return Err(PublishError::Invalid(format!("{BATCH_MAX} events at most are published together")));
    }
    if events.iter().map(|(event, _)| event.body.len()).sum::<usize>() > BATCH_MAX_BYTES {
        return Err(PublishError::TooLarge(BATCH_MAX_BYTES));
    }
    events.iter().try_for_each(|(event, options)| event.check(options))
}

impl Event {
    /// Whether it is within its bounds; what is kept to be published later is checked before.
    pub fn check(&self, options: &Options) -> Result<(), PublishError> {
        if self.body.len() > BODY_MAX_BYTES {
            return Err(PublishError::TooLarge(BODY_MAX_BYTES));
        }
        // The host adds the trace at the end: that is not the publisher's.
        let added = self.headers.iter().rev().take(TRACE.len()).take_while(|(name, _)| TRACE.contains(&name.as_str()));
        let own = &self.headers[..self.headers.len() - added.count()];
        let header_bytes: usize = own.iter().map(|(name, value)| name.len() + value.len()).sum();
        if own.len() > HEADERS_MAX || header_bytes > HEADERS_MAX_BYTES {
            let rule = format!("an event has {HEADERS_MAX} headers and {HEADERS_MAX_BYTES} bytes of them at most");
            return Err(PublishError::Invalid(rule));
        }
        for (what, text) in [("key", &self.key), ("content type", &self.content_type), ("dedup id", &options.dedup_id)]
        {
            if text.as_ref().is_some_and(|text| text.len() > NAME_MAX_BYTES) {
                return Err(PublishError::Invalid(format!("a {what} has {NAME_MAX_BYTES} bytes at most")));
            }
        }
        match options.delay.is_some_and(|delay| delay > DELAY_MAX) {
            true => Err(PublishError::Invalid("a delay is a year at most".into())),
            false => Ok(()),
        }
    }
}
