//! Events whose next attempt is due: found first, then taken, because a host takes only what it handles. What
//! another host of its group subscribes to is left to that one.

use std::time::Duration;

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use super::{
    Delivered,
    hand::{BLOCK, Claimed, Hand, Room},
    subscriptions::covered,
};

/// Looked at in one turn.
const LOOK_MAX: usize = 1000;

/// KEYS: the group's retries. ARGV: how many to pass over, how many. Gives the ms until the next that is not due
/// yet (-1 without one), and what is due.
const LOOK: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', ARGV[1], ARGV[2])
local first = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local wait = -1
if first[2] then wait = math.max(0, first[2] - now) end
return {wait, due}
";

/// KEYS: the group's retries. ARGV: group, consumer, how many bytes, what is due. Takes of that what nobody has taken
/// meanwhile, until there are as many bytes. Gives how many were gone, and what was taken: stream, entry, attempt, fields.
const TAKE: &str = "
local taken, gone, room = {}, 0, tonumber(ARGV[3])
for at = 4, #ARGV do
  if room <= 0 then break end
  local entry, stream = string.match(ARGV[at], '^(%S+) (.+)$')
  local pending = redis.pcall('XPENDING', stream, ARGV[1], entry, entry, 1)
  if redis.call('ZREM', KEYS[1], ARGV[at]) == 1 and pending[1] then
    local attempt = pending[1][4] + 1
    local claimed = redis.call('XCLAIM', stream, ARGV[1], ARGV[2], 0, entry, 'RETRYCOUNT', attempt)
    if claimed[1] then
      for _, part in ipairs(claimed[1][2]) do room = room - #part end
      taken[#taken + 1] = {stream, entry, attempt, claimed[1][2]}
    else
      redis.call('XACK', stream, ARGV[1], entry)
      gone = gone + 1
    end
  end
end
return {gone, taken}
";

/// Both scripts, and how many of those that are due were passed over so far: others' to take.
pub(super) struct Due {
    look: Script,
    take: Script,
    passed: usize,
}

impl Due {
    pub(super) fn new() -> Self {
        Self { look: Script::new(LOOK), take: Script::new(TAKE), passed: 0 }
    }

    /// From the beginning again.
    pub(super) fn anew(&mut self) {
        self.passed = 0;
    }

    /// What is due, and how long until there may be more.
    pub(super) async fn take(
        &mut self,
        hand: &Hand,
        redis: &mut MultiplexedConnection,
        room: Room,
    ) -> RedisResult<(Duration, Vec<Delivered>)> {
        let group = &hand.group;
        let retries = group.events.names.retries(group.name());
        let mut look = self.look.prepare_invoke();
        look.key(&retries).arg(self.passed).arg(LOOK_MAX);
        let (wait, due): (i64, Vec<String>) = look.invoke_async(redis).await?;
        let ours: Vec<&String> = due.iter().filter(|member| may_take(hand, member)).take(room.events).collect();
        let next = u64::try_from(wait).map_or(BLOCK, Duration::from_millis).min(BLOCK);
        // What is ours and was not wanted stands among them too: it is found at the next look from the beginning.
        let (passed, next) = match due.len() {
            LOOK_MAX if ours.len() < room.events => (self.passed + LOOK_MAX - ours.len(), Duration::ZERO),
            _ if ours.len() == room.events => (self.passed, Duration::ZERO),
            _ => (0, next),
        };
        let claimed = match ours.is_empty() {
            true => (0, Vec::new()),
            false => {
                let mut take = self.take.prepare_invoke();
                take.key(&retries).arg(&**group.name()).arg(&group.events.consumer).arg(room.bytes).arg(ours);
                take.invoke_async::<Claimed>(redis).await?
            }
        };
        self.passed = passed;
        Ok((next, hand.claimed(claimed).await))
    }
}

/// Whether it is this host's to handle, or nobody's any more.
fn may_take(hand: &Hand, member: &str) -> bool {
    let stream = member.split_once(' ').map(|(_, stream)| stream);
    match stream.and_then(|stream| hand.group.events.names.topic_of(stream)) {
        Some(topic) => hand.group.covers(topic) || !covered(&hand.subscribed, topic),
        // Replayed letters of any topic, whose topic is seen when they are here.
        None => true,
    }
}
