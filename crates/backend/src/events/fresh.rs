//! Events that nobody was handed yet: a look at all of a service's topics in turn, which brings no more bytes than
//! there is room for, and a wait for news where there was nothing.

use std::time::Duration;

use redis::{RedisResult, Script, aio::MultiplexedConnection};

use super::{
    Delivered,
    entry::Fields,
    hand::{Claimed, Hand, Room},
};

/// KEYS: streams. ARGV: group, consumer, how many, how many bytes, after which stream to begin. One of each stream
/// in turn, until there are as many or as many bytes. Gives which stream was the last, and what was taken.
const LOOK: &str = "
local want, room, at = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local taken, empty, left = {}, {}, #KEYS
while want > 0 and room > 0 and left > 0 do
  at = at % #KEYS + 1
  if not empty[at] then
    local read = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[at], '>')
    if read then
      local entry = read[1][2][1]
      for _, part in ipairs(entry[2]) do room = room - #part end
      taken[#taken + 1] = {KEYS[at], entry[1], 1, entry[2]}
      want = want - 1
    else
      empty[at] = true
      left = left - 1
    end
  end
end
return {at, taken}
";

/// The script, and which stream had the last turn.
pub(super) struct Fresh {
    look: Script,
    last: u64,
}

impl Fresh {
    pub(super) fn new() -> Self {
        Self { look: Script::new(LOOK), last: 0 }
    }

    /// What is new. Without anything it waits for so long.
    pub(super) async fn take(
        &mut self,
        hand: &Hand,
        redis: &mut MultiplexedConnection,
        streams: &[String],
        room: Room,
        block: Duration,
    ) -> RedisResult<Vec<Delivered>> {
        let group = &hand.group;
        let mut look = self.look.prepare_invoke();
        streams.iter().for_each(|stream| _ = look.key(stream));
        look.arg(&**group.name()).arg(&group.events.consumer).arg(room.events).arg(room.bytes).arg(self.last);
        let (last, taken): Claimed = look.invoke_async(redis).await?;
        self.last = last;
        match taken.is_empty() {
            true => news(hand, redis, streams, block).await,
            false => Ok(hand.claimed((0, taken)).await),
        }
    }
}

/// Waits for the next: one of each topic that has news in the same moment.
async fn news(
    hand: &Hand,
    redis: &mut MultiplexedConnection,
    streams: &[String],
    block: Duration,
) -> RedisResult<Vec<Delivered>> {
    let group = &hand.group;
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(&**group.name()).arg(&group.events.consumer).arg("COUNT").arg(1);
    // 0 would block without an end.
    read.arg("BLOCK").arg(block.as_millis().max(1) as u64).arg("STREAMS");
    streams.iter().for_each(|stream| _ = read.arg(stream));
    streams.iter().for_each(|_| _ = read.arg(">"));
    type Read = Option<Vec<(String, Vec<(String, Option<Fields>)>)>>;
    let mut taken = Vec::new();
    for (stream, entries) in read.query_async::<Read>(redis).await?.unwrap_or_default() {
        for (entry, fields) in entries {
            taken.extend(hand.delivered(&stream, entry, 1, fields.unwrap_or_default()).await);
        }
    }
    Ok(taken)
}
