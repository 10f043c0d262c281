//! Events that nobody was handed yet, by a blocking read.

use std::time::Duration;

use redis::{RedisResult, aio::MultiplexedConnection};

use super::{Delivered, entry::Fields, hand::Hand};

/// Waits for the first, for so long.
pub(super) async fn take(
    hand: &Hand,
    redis: &mut MultiplexedConnection,
    streams: &[String],
    want: usize,
    block: Duration,
) -> RedisResult<Vec<Delivered>> {
    let group = &hand.group;
    let each = (want / streams.len()).max(1);
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(&**group.name()).arg(&group.events.consumer).arg("COUNT").arg(each);
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
