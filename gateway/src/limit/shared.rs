//! One limit over several hosts: counted in a store they share, in memory while it is away.
//!
//! Decides when memory counts instead. How long a store may take, and when it is asked again
//! after it failed, is the store's own business.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{Key, Limit, Memory, Owner, Quota, Rate, Taken};

/// What a store found for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub accepted: bool,
    /// Until the owner's bucket is full again; at most [`Rate::burst`].
    pub ahead: Duration,
}

/// The store gave no answer; it has told the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Away;

/// The future a [`SharedLimit`] answers with.
pub type Drawn<'a> = Pin<Box<dyn Future<Output = Result<Balance, Away>> + Send + 'a>>;

/// A store of buckets outside this process.
pub trait SharedLimit: Send + Sync + 'static {
    /// Takes one request out of what `owner` has left of the limit named `limit`. Takes at most
    /// 50 ms, and no time at all while the store is known to be away.
    fn draw<'a>(&'a self, limit: &'a str, rate: Rate, owner: &'a Owner) -> Drawn<'a>;
}

/// One limit that several hosts count together.
pub struct Store {
    /// The same on all hosts, and no other limit's.
    name: String,
    rate: Rate,
    store: Arc<dyn SharedLimit>,
    memory: Memory,
}

impl Store {
    pub fn new(name: String, rate: Rate, store: Arc<dyn SharedLimit>) -> Self {
        Self { name, rate, store, memory: Memory::new(rate) }
    }
}

impl Limit for Store {
    fn take<'a>(&'a self, key: Key<'a>) -> Taken<'a> {
        Box::pin(async move {
            let owner = Owner::from(key);
            match self.store.draw(&self.name, self.rate, &owner).await {
                Ok(Balance { accepted, ahead }) => Quota::new(self.rate, ahead.min(self.rate.burst()), accepted),
                Err(Away) => self.memory.take_now(owner),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    /// A store that lets everybody in, or is away.
    struct Flaky(AtomicBool);

    impl SharedLimit for Flaky {
        fn draw<'a>(&'a self, limit: &'a str, rate: Rate, owner: &'a Owner) -> Drawn<'a> {
            assert_eq!((limit, owner.to_string().as_str()), ("gateway", "s:7"));
            let away = self.0.load(Relaxed);
            Box::pin(std::future::ready(match away {
                true => Err(Away),
                false => Ok(Balance { accepted: true, ahead: rate.interval() }),
            }))
        }
    }

    #[tokio::test]
    async fn while_the_store_is_away_memory_counts() {
        let store = Arc::new(Flaky(false.into()));
        let limit = Store::new("gateway".into(), "2/h".parse().unwrap(), store.clone());
        for _ in 0..5 {
            assert_eq!(limit.take(Key::Subject("7")).await.remaining, 1, "the store's word counts");
        }
        store.0.store(true, Relaxed);
        let mut left = Vec::new();
        for _ in 0..3 {
            left.push(limit.take(Key::Subject("7")).await.retry_after.is_none());
        }
        assert_eq!(left, [true, true, false]);
        store.0.store(false, Relaxed);
        assert_eq!(limit.take(Key::Subject("7")).await.retry_after, None);
    }
}
