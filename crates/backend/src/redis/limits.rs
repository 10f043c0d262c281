//! Rate limits that several hosts count together: GCRA as one script, by the server's own clock.
//!
//! A request waits at most [`DRAW_TIMEOUT`] for an answer, and not at all during an outage. Keys
//! end by themselves when their bucket is full again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gateway::limit::{Away, Balance, Drawn, Owner, Rate, SharedLimit};
use redis::Script;

use super::{Store, outage::Outage};

/// Half of what a request may ever wait for a Redis.
const DRAW_TIMEOUT: Duration = Duration::from_millis(50);

/// The bucket is kept as the moment at which it is full again, in microseconds since 1970: below
/// 2^53, so exact in Lua. A clock that was set back does not lock anybody out for longer than a
/// burst.
const DRAW: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1]) or now) or now
full = math.min(math.max(full, now), now + burst)
if full + interval > now + burst then
  return {0, full - now}
end
full = full + interval
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return {1, full - now}
";

/// The limits of one system in one Redis.
pub struct Limits {
    store: Arc<Store>,
    /// Systems may share a Redis, but no buckets.
    system: String,
    draw: Script,
    outage: Outage,
}

impl Limits {
    pub fn new(store: Arc<Store>, system: String) -> Self {
        Self {
            outage: Outage::new(store.name.clone(), "limits are counted in memory"),
            store,
            system,
            draw: Script::new(DRAW),
        }
    }

    async fn ask(&self, limit: &str, rate: Rate, owner: &Owner) -> Result<Balance, Away> {
        let mut call = self.draw.key(format!("archipel:limit:{}:{limit}:{owner}", self.system));
        call.arg(micros(rate.interval())).arg(micros(rate.interval()) * u64::from(rate.count()));
        let draw = async |mut connection| call.invoke_async::<(u8, u64)>(&mut connection).await;
        let never = Instant::now() + 2 * DRAW_TIMEOUT;
        let (accepted, ahead) =
            self.store.asked(&self.outage, DRAW_TIMEOUT, never, draw).await.map_err(|_reason| Away)?;
        Ok(Balance { accepted: accepted == 1, ahead: Duration::from_micros(ahead) })
    }
}

impl SharedLimit for Limits {
    fn draw<'a>(&'a self, limit: &'a str, rate: Rate, owner: &'a Owner) -> Drawn<'a> {
        Box::pin(self.ask(limit, rate, owner))
    }
}

/// Rounded up: in steps of a microsecond a very high rate becomes a little less, never more.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}
