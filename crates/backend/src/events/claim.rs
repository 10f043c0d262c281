//! Taking what hosts that are gone have left. An event that waits for its next attempt is never taken for
//! abandoned.

use std::time::Duration;

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use super::{
    Delivered,
    group::WAITING,
    hand::{Claimed, Hand, Room},
};

/// KEYS: a stream, the group's retries. ARGV: group, consumer, how many, how long a consumer that is gone
/// must have been idle (ms), how many consumers are alive, how many bytes, these consumers, and the entries that are in work here.
/// Takes what consumers that are gone have left, and what was handed to this one but never arrived: that
/// was no attempt. Ends consumers that are gone and have nothing left. Gives how many entries were gone, and what
/// was taken: stream, entry, attempt, fields.
const ABANDONED: &str = "
local group, me, want, idle_min = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local alive, working = {[me] = true}, {}
for at = 7, 6 + ARGV[5] do alive[ARGV[at]] = true end
for at = 7 + ARGV[5], #ARGV do working[ARGV[at]] = true end
local taken, gone, room = {}, 0, tonumber(ARGV[6])
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], group)
if consumers.err then return {0, {}} end
for _, flat in ipairs(consumers) do
  local consumer = {}
  for at = 1, #flat, 2 do consumer[flat[at]] = flat[at + 1] end
  local is_mine = consumer.name == me
  if (is_mine or not alive[consumer.name]) and consumer.pending > 0 then
    local from = '-'
    while #taken < want and room > 0 do
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
        if #taken < want and room > 0 and not working[entry] and not redis.call('ZSCORE', KEYS[2], entry .. ' ' .. KEYS[1]) then
          local attempt = pending[4]
          if not is_mine then attempt = attempt + 1 end
          local claimed = redis.call('XCLAIM', KEYS[1], group, me, 0, entry, 'RETRYCOUNT', attempt)
          if claimed[1] then
            for _, part in ipairs(claimed[1][2]) do room = room - #part end
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
return {gone, taken}
";

/// The script.
pub(super) struct Abandoned(Script);

/// No consumer has been idle for as long: while nobody knows who is there, nothing is taken from others.
const NEVER: Duration = Duration::from_secs(1_000_000_000);

impl Abandoned {
    pub(super) fn new() -> Self {
        Self(Script::new(ABANDONED))
    }

    /// What hosts that are gone left in a stream, and what never arrived here.
    pub(super) async fn take(
        &self,
        hand: &Hand,
        redis: &mut MultiplexedConnection,
        stream: &str,
        room: Room,
    ) -> RedisResult<Vec<Delivered>> {
        let group = &hand.group;
        let (idle, mut alive) = match group.events.alive() {
            Some(alive) => (group.events.pace.lease, alive),
            None => (NEVER, Vec::new()),
        };
        alive.push(WAITING.to_owned());
        let mut call = self.0.prepare_invoke();
        call.key(stream).key(group.events.names.retries(group.name()));
        call.arg(&**group.name()).arg(&group.events.consumer).arg(room.events).arg(idle.as_millis() as u64);
        call.arg(alive.len()).arg(room.bytes).arg(alive).arg(group.working(stream));
        let claimed = call.invoke_async::<Claimed>(redis).await?;
        Ok(hand.claimed(claimed).await)
    }
}
