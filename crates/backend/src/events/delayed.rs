//! Delayed events: moved to their topics when their time has come, by whichever host is first.

use std::time::Duration;

use redis::Script;

use super::Events;
use crate::redis::AskError;

/// What others have delayed is found within this; what this host has delayed, on time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// In one turn of the script, which nobody else's commands interrupt.
const MOVED_MAX: usize = 100;

/// KEYS: delayed, delayed events, their bytes, how many each service has of them. ARGV: how many at once, what streams begin with. Gives the ms until the
/// next is due, -1 without one.
pub(super) const SCRIPT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], id)
  if packed then
    local event = cmsgpack.unpack(packed)
    redis.call('XADD', ARGV[2] .. event[1], '*', unpack(event[2]))
    redis.call('HDEL', KEYS[2], id)
    redis.call('DECRBY', KEYS[3], #packed)
    if event[3] and redis.call('HINCRBY', KEYS[4], event[3], -1) <= 0 then redis.call('HDEL', KEYS[4], event[3]) end
  end
  redis.call('ZREM', KEYS[1], id)
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not first[2] then
  redis.call('DEL', KEYS[3], KEYS[4])
  return -1
end
return math.max(0, first[2] - now)
";

impl Events {
    /// Moves what is due, for as long as it is polled.
    pub(super) async fn move_delayed(&self) {
        let script = Script::new(SCRIPT);
        loop {
            let pause = match self.move_due(&script).await {
                Ok(Some(next)) => next.min(LOOK_EVERY),
                // Whether Redis is away is told by the beat of the host.
                Ok(None) | Err(_) => LOOK_EVERY,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.delayed.notified() => {}
            }
        }
    }

    /// How long until the next is due.
    pub(super) async fn move_due(&self, script: &Script) -> Result<Option<Duration>, AskError> {
        let mut call = script.prepare_invoke();
        call.key(self.names.delayed()).key(self.names.delayed_events());
        call.key(self.names.delayed_bytes()).key(self.names.delayed_of());
        call.arg(MOVED_MAX).arg(self.names.topic(""));
        let next = self.store.work(|mut redis| async move { call.invoke_async::<i64>(&mut redis).await }).await?;
        Ok(u64::try_from(next).ok().map(Duration::from_millis))
    }
}
