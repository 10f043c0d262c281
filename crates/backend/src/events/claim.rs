//! Taking events that were handed out before: those whose next attempt is due, and those of hosts that are
//! gone. An event that waits for its next attempt is never taken for abandoned.

use std::time::Duration;

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use super::{
    Delivered,
    entry::Fields,
    group::WAITING,
    hosts::LEASE,
    take::{BLOCK, Taker},
};

/// KEYS: the group's retries. ARGV: group, consumer, how many. Gives the ms until the next is due (-1 without
/// one), how many were gone, and what was taken: stream, entry, attempt, fields.
const DUE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])
local taken, gone = {}, 0
for _, member in ipairs(due) do
  redis.call('ZREM', KEYS[1], member)
  local entry, stream = string.match(member, '^(%S+) (.+)$')
  local pending = redis.pcall('XPENDING', stream, ARGV[1], entry, entry, 1)
  if pending[1] then
    local attempt = pending[1][4] + 1
    local claimed = redis.call('XCLAIM', stream, ARGV[1], ARGV[2], 0, entry, 'RETRYCOUNT', attempt)
    if claimed[1] then
      taken[#taken + 1] = {stream, entry, attempt, claimed[1][2]}
    else
      redis.call('XACK', stream, ARGV[1], entry)
      gone = gone + 1
    end
  end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = -1
if first[2] then wait = math.max(0, first[2] - now) end
return {wait, gone, taken}
";

/// KEYS: a stream, the group's retries. ARGV: group, consumer, how many, how long a consumer that is gone
/// must have been idle (ms), how many consumers are alive, these, and the entries that are in work here.
/// Takes what consumers that are gone have left, and what was handed to this one but never arrived: that
/// was no attempt. Ends consumers that are gone and have nothing left. Gives what [`DUE`] gives.
const ABANDONED: &str = "
local group, me, want, idle_min = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local alive, working = {[me] = true}, {}
for at = 6, 5 + ARGV[5] do alive[ARGV[at]] = true end
for at = 6 + ARGV[5], #ARGV do working[ARGV[at]] = true end
local taken, gone = {}, 0
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], group)
if consumers.err then return {-1, 0, {}} end
for _, flat in ipairs(consumers) do
  local consumer = {}
  for at = 1, #flat, 2 do consumer[flat[at]] = flat[at + 1] end
  local is_mine = consumer.name == me
  if (is_mine or not alive[consumer.name]) and consumer.pending > 0 then
    local from = '-'
    while #taken < want do
      local page
      if is_mine then
        page = redis.call('XPENDING', KEYS[1], group, from, '+', 100, consumer.name)
      else
        page = redis.call('XPENDING', KEYS[1], group, 'IDLE', idle_min, from, '+', 100, consumer.name)
      end
      if #page == 0 then break end
      for _, pending in ipairs(page) do
        local entry = pending[1]
        from = '(' .. entry
        if #taken < want and not working[entry] and not redis.call('ZSCORE', KEYS[2], entry .. ' ' .. KEYS[1]) then
          local attempt = pending[4]
          if not is_mine then attempt = attempt + 1 end
          local claimed = redis.call('XCLAIM', KEYS[1], group, me, 0, entry, 'RETRYCOUNT', attempt)
          if claimed[1] then
            taken[#taken + 1] = {KEYS[1], entry, attempt, claimed[1][2]}
          else
            redis.call('XACK', KEYS[1], group, entry)
            gone = gone + 1
          end
        end
      end
    end
  elseif not alive[consumer.name] and consumer.pending == 0 and consumer.idle >= idle_min then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, consumer.name)
  end
end
return {-1, gone, taken}
";

/// Both scripts.
pub(super) struct Claims {
    due: Script,
    abandoned: Script,
}

impl Claims {
    pub(super) fn new() -> Self {
        Self { due: Script::new(DUE), abandoned: Script::new(ABANDONED) }
    }
}

/// The ms until the next is due, how many were gone, and what was taken.
type Claimed = (i64, u64, Vec<(String, String, u32, Fields)>);

/// No consumer has been idle for as long: while nobody knows who is there, nothing is taken from others.
const NEVER: Duration = Duration::from_secs(1_000_000_000);

impl Taker {
    /// What is due, and how long until there may be more.
    pub(super) async fn due(
        &self,
        redis: &mut MultiplexedConnection,
        want: usize,
    ) -> RedisResult<(Duration, Vec<Delivered>)> {
        let group = &self.group;
        let mut call = self.claims.due.prepare_invoke();
        call.key(group.events.names.retries(group.name()));
        call.arg(&**group.name()).arg(&group.events.consumer).arg(want);
        let claimed = call.invoke_async::<Claimed>(redis).await?;
        let next = u64::try_from(claimed.0).map_or(BLOCK, Duration::from_millis);
        Ok((next.min(BLOCK), self.claimed(claimed).await))
    }

    /// What hosts that are gone left in a stream, and what never arrived here.
    pub(super) async fn abandoned(
        &self,
        redis: &mut MultiplexedConnection,
        stream: &str,
        want: usize,
    ) -> RedisResult<Vec<Delivered>> {
        let group = &self.group;
        let (idle, mut alive) = match group.events.alive() {
            Some(alive) => (LEASE, alive),
            None => (NEVER, Vec::new()),
        };
        alive.push(WAITING.to_owned());
        let mut call = self.claims.abandoned.prepare_invoke();
        call.key(stream).key(group.events.names.retries(group.name()));
        call.arg(&**group.name()).arg(&group.events.consumer).arg(want).arg(idle.as_millis() as u64);
        call.arg(alive.len()).arg(alive).arg(group.working(stream));
        let claimed = call.invoke_async::<Claimed>(redis).await?;
        Ok(self.claimed(claimed).await)
    }

    async fn claimed(&self, (_next, gone, entries): Claimed) -> Vec<Delivered> {
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
}
