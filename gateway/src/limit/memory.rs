//! Counts in this process: GCRA over a bounded table.
//!
//! For each owner one number is kept, the moment at which everything it took will be there again
//! (its theoretical arrival time): a request is accepted while that moment is less than a burst
//! away. Whole nanoseconds, one lock for each owner's shard: exact under any concurrency.
//!
//! The table holds at most [`KEYS_MAX`] owners. When a shard is full, a new owner takes the place
//! of the one among the longest silent whose bucket is the fullest, in the usual case full: then
//! nothing is forgotten. Only somebody who asks from 100 000 addresses within one period can push
//! out a bucket that still counts, and has as many fresh ones anyway.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lru::LruCache;
use tokio::time::Instant;

use super::{Key, Limit, Owner, Quota, Rate, Taken, nanos};

/// As many owners are remembered for one limit.
pub const KEYS_MAX: usize = 100_000;
const SHARDS: usize = 16;
/// How many of the longest silent are compared before one is dropped.
const COMPARED: usize = 8;

/// The buckets of one limit.
pub struct Memory {
    rate: Rate,
    began: Instant,
    /// Keyed by chance, so that nobody can aim at a shard.
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// When each owner's bucket is full again, in nanoseconds since the beginning.
struct Shard(LruCache<Owner, u64>);

impl Memory {
    pub fn new(rate: Rate) -> Self {
        // Unbounded: a bounded one takes its whole memory at once. `Shard::set` keeps the bound.
        let shards = std::array::from_fn(|_| Mutex::new(Shard(LruCache::unbounded())));
        Self { rate, began: Instant::now(), hasher: RandomState::new(), shards }
    }

    /// Takes one request out of what `owner` has left.
    pub fn take_now(&self, owner: Owner) -> Quota {
        let (interval, burst) = (self.rate.interval_nanos(), self.rate.burst_nanos());
        let shard = &self.shards[usize::try_from(self.hasher.hash_one(&owner)).unwrap_or(usize::MAX) % SHARDS];
        // Single assignments only: valid whatever panicked.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = nanos(self.began.elapsed());
        let full = shard.0.get(&owner).map_or(now, |full| now.max(*full));
        let accepted = full + interval <= now + burst;
        let full = if accepted { full + interval } else { full };
        if accepted {
            shard.set(owner, full);
        }
        drop(shard);
        Quota::new(self.rate, Duration::from_nanos(full - now), accepted)
    }

    /// Owners remembered now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).0.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shard {
    fn set(&mut self, owner: Owner, full: u64) {
        if self.0.put(owner, full).is_some() || self.0.len() <= KEYS_MAX / SHARDS {
            return;
        }
        let silent = self.0.iter().rev().take(COMPARED).min_by_key(|(_, full)| **full);
        if let Some(owner) = silent.map(|(owner, _)| owner.clone()) {
            self.0.pop(&owner);
        }
    }
}

impl Limit for Memory {
    fn take<'a>(&'a self, key: Key<'a>) -> Taken<'a> {
        Box::pin(std::future::ready(self.take_now(key.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    use super::*;

    fn memory(rate: &str) -> Memory {
        Memory::new(rate.parse().unwrap())
    }

    fn accepted(memory: &Memory, owner: u32, tries: u32) -> usize {
        (0..tries).filter(|_| memory.take_now(Owner::V4(owner)).retry_after.is_none()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_the_whole_limit_then_one_at_a_time() {
        let memory = memory("60/min");
        assert_eq!(accepted(&memory, 1, 100), 60);
        assert_eq!(accepted(&memory, 2, 100), 60, "everybody has a bucket of their own");
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(accepted(&memory, 1, 1), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(accepted(&memory, 1, 5), 1);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(accepted(&memory, 1, 100), 30);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(accepted(&memory, 1, 100), 60, "no more than a burst is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_is_what_happens() {
        let memory = memory("3/min");
        let told: Vec<_> = (0..4).map(|_| memory.take_now(Owner::V4(1))).collect();
        assert_eq!(told.iter().map(|quota| quota.remaining).collect::<Vec<_>>(), [2, 1, 0, 0]);
        assert_eq!(told[3].retry_after, Some(20));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(memory.take_now(Owner::V4(1)).retry_after, None);
    }

    #[test]
    fn many_threads_at_once_get_exactly_the_limit() {
        let memory = memory("100/h"); // half a minute until there is one more
        let (start, count) = (Barrier::new(25), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..25 {
                scope.spawn(|| {
                    start.wait();
                    let own = (0..100).filter(|_| memory.take_now(Owner::V4(1)).retry_after.is_none()).count();
                    count.fetch_add(u32::try_from(own).unwrap(), Relaxed);
                });
            }
        });
        assert_eq!(count.load(Relaxed), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_stays_bounded_and_forgets_full_buckets_first() {
        let memory = memory("2/h");
        assert_eq!(accepted(&memory, u32::MAX, 5), 2);
        for owner in 0..u32::try_from(KEYS_MAX).unwrap() / 2 {
            memory.take_now(Owner::V6(owner.into()));
        }
        tokio::time::advance(Duration::from_secs(1800)).await; // theirs are full again
        memory.take_now(Owner::V4(u32::MAX));
        for owner in 0..u32::try_from(KEYS_MAX).unwrap() * 9 / 10 {
            memory.take_now(Owner::V4(owner));
        }
        assert!(memory.len() <= KEYS_MAX, "{}", memory.len());
        assert!(memory.len() > KEYS_MAX * 9 / 10, "{}", memory.len());
        assert_eq!(accepted(&memory, u32::MAX, 5), 0, "an empty bucket is still known");
    }

    #[tokio::test(start_paused = true)]
    async fn two_thousand_clients_are_two_thousand_buckets() {
        let memory = memory("100/min");
        for round in 0..3 {
            for client in 0..2000 {
                assert_eq!(memory.take_now(Owner::V4(client)).remaining, 99 - round);
            }
        }
        assert_eq!(memory.len(), 2000);
    }
}
