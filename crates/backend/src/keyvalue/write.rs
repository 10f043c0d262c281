//! Writing to a store, for whoever may.

use std::time::{Duration, Instant};

use super::{Bucket, Error, bounds, invalid::Invalid};
use grant::Mode;

/// Of a number, as it is kept.
const NUMBER_BYTES: usize = 20;

/// A bucket whose grant is for writing; only [`Bucket::writer`] makes one.
#[derive(Clone, Copy)]
pub struct Writer<'a>(&'a Bucket);

/// When a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Always,
    IfAbsent,
    IfVersion(u64),
}

/// The grant is for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOnly;

impl Bucket {
    /// The same store for writing, if the grant says so.
    pub fn writer(&self) -> Result<Writer<'_>, ReadOnly> {
        if self.mode == Mode::ReadWrite { Ok(Writer(self)) } else { Err(ReadOnly) }
    }
}

impl Writer<'_> {
    /// Whether the condition held. Without a `ttl` the store's own counts.
    pub async fn set(
        &self,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
        when: Condition,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let ttl = ttl.map(bounds::ttl).transpose()?.or(self.0.ttl);
        let when = match when {
            Condition::Always => "always".to_owned(),
            Condition::IfAbsent => "absent".to_owned(),
            Condition::IfVersion(version) => version.to_string(),
        };
        let (name, value) = (self.0.keys.name(key)?, bounds::value(value)?);
        self.0.room(&name, value.len(), deadline).await?;
        let mut call = self.0.scripts.set.prepare_invoke();
        call.key(self.0.keys.versions()).key(name).arg(value).arg(millis(ttl)).arg(when);
        self.0.run(&call, self.0.share(1), deadline).await
    }

    /// Many values, not in one step. They are on their way together.
    pub async fn set_many(&self, entries: &[(String, Vec<u8>)], deadline: Instant) -> Result<(), Error> {
        bounds::number_of_keys(entries.len())?;
        let set = async |entry: &(String, Vec<u8>)| {
            let (key, value) = entry;
            self.set(key, value, None, Condition::Always, deadline).await
        };
        futures_util::future::try_join_all(entries.iter().map(set)).await.map(drop)
    }

    /// How many there were.
    pub async fn delete(&self, keys: &[impl AsRef<str>], deadline: Instant) -> Result<u64, Error> {
        bounds::number_of_keys(keys.len())?;
        if keys.is_empty() {
            return Ok(0);
        }
        let names: Result<Vec<String>, Invalid> = keys.iter().map(|key| self.0.keys.name(key.as_ref())).collect();
        let names = names?;
        let delete = async |mut connection| redis::cmd("DEL").arg(&names).query_async(&mut connection).await;
        self.0.store.ask(self.0.share(1), deadline, delete).await.map_err(|error| self.0.failed(error, deadline))
    }

    /// The sum.
    pub async fn increment(&self, key: &str, delta: i64, deadline: Instant) -> Result<i64, Error> {
        let name = self.0.keys.name(key)?;
        self.0.room(&name, NUMBER_BYTES, deadline).await?;
        let mut call = self.0.scripts.increment.prepare_invoke();
        call.key(self.0.keys.versions()).key(name).arg(delta).arg(millis(self.0.ttl));
        let sum: String = self.0.run(&call, self.0.share(1), deadline).await?;
        sum.parse().map_err(|_other| Invalid::Number.into())
    }

    /// Before all others of a list; how many there are then.
    pub async fn append(&self, key: &str, value: &[u8], keep: u32, deadline: Instant) -> Result<u64, Error> {
        let (name, value, keep) = (self.0.keys.name(key)?, bounds::value(value)?, bounds::keep(keep)?);
        self.0.room(&name, value.len(), deadline).await?;
        let mut call = self.0.scripts.append.prepare_invoke();
        call.key(name).arg(value).arg(keep).arg(millis(self.0.ttl));
        self.0.run(&call, self.0.share(1), deadline).await
    }

    /// Into a sorted list. False: the id was there, or is less than all that are kept.
    pub async fn insert(&self, key: &str, id: &str, value: &[u8], keep: u32, deadline: Instant) -> Result<bool, Error> {
        let (name, id, value) = (self.0.keys.name(key)?, bounds::id(id)?, bounds::value(value)?);
        let keep = bounds::keep(keep)?;
        self.0.room(&name, id.len() + value.len(), deadline).await?;
        let mut call = self.0.scripts.insert.prepare_invoke();
        call.key(name).arg(id).arg(value).arg(keep).arg(millis(self.0.ttl));
        self.0.run(&call, self.0.share(1), deadline).await
    }
}

/// Nothing is for ever.
fn millis(ttl: Option<Duration>) -> String {
    ttl.map(|ttl| ttl.as_millis().to_string()).unwrap_or_default()
}
