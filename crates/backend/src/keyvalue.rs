//! The key-value stores of a manifest, each in one Redis, under the prefix of whoever asks.
//!
//! A [`Bucket`] is one store as one service may use it; every key that leaves here begins with what
//! its grant says. What may be written at all is decided by the grant too: [`Bucket::writer`].
//! Bounds are in `bounds`, what the Redis does in one step in `scripts`.

mod bounds;
mod error;
mod invalid;
mod keys;
mod pages;
mod quota;
mod scripts;
mod write;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{FromRedisValue, ScriptInvocation};

pub use self::{
    error::Error,
    pages::Page,
    write::{Condition, ReadOnly, Writer},
};
use self::{invalid::Invalid, keys::Keys, quota::Quota, scripts::Scripts};
use super::redis::{AskError, Share, Store, Stores};
use grant::{Granted, Mode, keyvalue::KeyValueGrant};
use manifest::KeyValueSettings;

/// All `[keyvalue.NAME]` of a manifest.
pub struct KeyValues {
    places: BTreeMap<Arc<str>, Place>,
    /// Systems may share a Redis, but no keys.
    system: Arc<str>,
    scripts: Arc<Scripts>,
}

struct Place {
    store: Arc<Store>,
    ttl: Option<Duration>,
    /// None: as much as its Redis lets it.
    quota: Option<Arc<Quota>>,
    refusals: Arc<Refusals>,
}

/// What a store holds and may hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub held: u64,
    pub max: u64,
    /// Somebody found no room within the last 5 s.
    pub full: bool,
}

/// When the log was last told what a store's Redis refuses.
#[derive(Default)]
struct Refusals(Mutex<Option<Instant>>);

/// A Redis that is full refuses every request.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A store as one service may use it.
#[derive(Clone)]
pub struct Bucket {
    service: Arc<str>,
    store: Arc<Store>,
    scripts: Arc<Scripts>,
    keys: Keys,
    mode: Mode,
    ttl: Option<Duration>,
    quota: Option<Arc<Quota>>,
    refusals: Arc<Refusals>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Vec<u8>,
    pub version: u64,
}

/// Where a part of a sorted list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Offset(u32),
    After(String),
}

/// A part of a sorted list, the greatest id first.
#[derive(Debug, PartialEq, Eq)]
pub struct Items {
    pub items: Vec<(String, Vec<u8>)>,
    /// Of the whole list.
    pub total: u64,
}

impl KeyValues {
    /// A store of the private Redis that says nothing of its memory has an equal share of it, with one left for
    /// whatever else is there. Needs a tokio runtime as soon as something is written.
    pub fn new(system: &str, settings: &BTreeMap<Arc<str>, KeyValueSettings>, redis: &Stores) -> Self {
        let private = |settings: &KeyValueSettings| redis.private_memory(&settings.redis);
        let shares = settings.values().filter(|settings| private(settings).is_some()).count() as u64 + 1;
        let place = |(name, settings): (&Arc<str>, &KeyValueSettings)| {
            let store = redis.get(&settings.redis)?.clone();
            let max_bytes = settings.memory_bytes.or_else(|| Some(private(settings)? / shares));
            let all = Keys::new(system, name, &"".into()).pattern("");
            let quota = max_bytes.map(|max_bytes| Quota::new(max_bytes, all, store.clone()));
            Some((name.clone(), Place { store, ttl: settings.ttl, quota, refusals: Arc::default() }))
        };
        let places = settings.iter().filter_map(place).collect();
        Self { places, system: system.into(), scripts: Arc::default() }
    }

    /// The store of a grant of `service`; none if it does not run.
    pub fn bucket(&self, service: &Arc<str>, granted: &Granted<KeyValueGrant>) -> Option<Bucket> {
        let KeyValueGrant { store, scope } = granted.get();
        let place = self.places.get(store)?;
        Some(Bucket {
            service: service.clone(),
            store: place.store.clone(),
            scripts: self.scripts.clone(),
            keys: Keys::new(&self.system, store, &scope.prefix),
            mode: scope.mode,
            ttl: place.ttl,
            quota: place.quota.clone(),
            refusals: place.refusals.clone(),
        })
    }

    /// What each store holds, of those that have a bound of their own.
    pub fn usage(&self) -> impl Iterator<Item = (&Arc<str>, Usage)> {
        let usage =
            |quota: &Arc<Quota>| Usage { held: quota.held_bytes(), max: quota.max_bytes(), full: quota.is_full() };
        self.places.iter().filter_map(move |(name, place)| Some((name, place.quota.as_ref().map(usage)?)))
    }

    /// Whether somebody has just found no room in a store.
    pub fn is_full(&self, name: &str) -> bool {
        self.places.get(name).and_then(|place| place.quota.as_ref()).is_some_and(|quota| quota.is_full())
    }

    /// Whether a service has just had to wait too long for its place at the store's Redis.
    pub fn is_crowded(&self, name: &str) -> bool {
        self.places.get(name).is_some_and(|place| place.store.is_crowded())
    }

    /// Whether a store answers. Takes as long as the caller lets it.
    pub async fn check(&self, name: &str) -> Result<(), Error> {
        let place = self.places.get(name).ok_or(Error::Unavailable)?;
        place.store.check().await.map_err(|_away| Error::Unavailable)
    }
}

impl Bucket {
    pub async fn get(&self, key: &str, deadline: Instant) -> Result<Option<Entry>, Error> {
        let mut found = self.get_many(std::slice::from_ref(&key), deadline).await?;
        Ok(found.pop().flatten())
    }

    /// One for each key, all as they are at one moment.
    pub async fn get_many(&self, keys: &[impl AsRef<str>], deadline: Instant) -> Result<Vec<Option<Entry>>, Error> {
        bounds::number_of_keys(keys.len())?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.scripts.get.prepare_invoke();
        for key in keys {
            call.key(self.keys.name(key.as_ref())?);
        }
        call.arg(bounds::ANSWER_MAX_BYTES);
        let found: Vec<Option<Vec<u8>>> = self.run(&call, self.share(keys.len()), deadline).await?;
        let mut found = found.into_iter();
        Ok(std::iter::from_fn(|| Some(entry(found.next()?, found.next()?))).collect())
    }

    pub async fn exists(&self, key: &str, deadline: Instant) -> Result<bool, Error> {
        let name = self.keys.name(key)?;
        let exists = async |mut connection| redis::cmd("EXISTS").arg(&name).query_async(&mut connection).await;
        self.store.ask(self.share(1), deadline, exists).await.map_err(|error| self.failed(error, deadline))
    }

    /// Of a list, newest first.
    pub async fn read_list(
        &self,
        key: &str,
        offset: u32,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut call = self.scripts.read_list.prepare_invoke();
        call.key(self.keys.name(key)?).arg(offset).arg(limit.min(bounds::KEEP_MAX)).arg(bounds::ANSWER_MAX_BYTES);
        self.run(&call, self.share(limit as usize), deadline).await
    }

    /// Of a sorted list, the greatest id first.
    pub async fn read_sorted(&self, key: &str, start: &Start, limit: u32, deadline: Instant) -> Result<Items, Error> {
        let (after, offset) = match start {
            Start::Offset(offset) => ("", *offset),
            Start::After(id) => (bounds::id(id)?, 0),
        };
        let mut call = self.scripts.read_sorted.prepare_invoke();
        call.key(self.keys.name(key)?).arg(after).arg(offset).arg(limit.min(bounds::KEEP_MAX));
        call.arg(bounds::ANSWER_MAX_BYTES);
        let members: Vec<Vec<u8>> = self.run(&call, self.share(limit as usize), deadline).await?;
        let mut members = members.into_iter();
        let total = members.next().and_then(|total| std::str::from_utf8(&total).ok()?.parse().ok()).unwrap_or(0);
        Ok(Items { items: members.filter_map(item).collect(), total })
    }

    /// Room for a key and a value of so many bytes.
    async fn room(&self, name: &str, value: usize, deadline: Instant) -> Result<(), Error> {
        let Some(quota) = &self.quota else { return Ok(()) };
        let room = quota.room(name, value, deadline).await;
        room.inspect_err(|error| self.refusals.tell(self.store.name(), &format!("{}: {error}", self.keys.store())))
    }

    /// Of the service, for an answer with so many values: each may have a MiB, and all of an answer 8.
    fn share(&self, values: usize) -> Share<'_> {
        let most = bounds::ANSWER_MAX_BYTES / bounds::VALUE_MAX_BYTES;
        let places = u32::try_from((values as u64).clamp(1, most)).expect("few");
        Share { service: &self.service, places }
    }

    async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        share: Share<'_>,
        deadline: Instant,
    ) -> Result<T, Error> {
        let run = async |mut connection| call.invoke_async(&mut connection).await;
        self.store.ask(share, deadline, run).await.map_err(|error| self.failed(error, deadline))
    }

    fn failed(&self, error: AskError, deadline: Instant) -> Error {
        let reason = match &error {
            AskError::Refused { reason, .. } => reason.clone(),
            AskError::Away(_) | AskError::Late(_) | AskError::Crowded(_) => String::new(),
        };
        let error = failed(error, deadline);
        if error == Error::Unavailable && !reason.is_empty() {
            self.refusals.tell(self.store.name(), &reason);
        }
        error
    }
}

impl Refusals {
    fn tell(&self, redis: &str, reason: &str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(redis, reason, "a Redis refuses what a key-value store asks");
        }
    }
}

/// A value and its version, as the script gives them.
fn entry(value: Option<Vec<u8>>, version: Option<Vec<u8>>) -> Option<Entry> {
    let version = std::str::from_utf8(&version?).ok()?.parse().ok()?;
    Some(Entry { value: value?, version })
}

/// An id and its value, which the script has put together.
fn item(mut member: Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = member.iter().position(|byte| *byte == 0)?;
    let value = member.split_off(end + 1);
    member.pop();
    Some((String::from_utf8(member).ok()?, value))
}

/// The one table from a Redis' words to what a guest may know.
fn failed(error: AskError, deadline: Instant) -> Error {
    match error {
        AskError::Late(_) | AskError::Crowded(_) if Instant::now() >= deadline => Error::Timeout,
        AskError::Away(_) | AskError::Late(_) | AskError::Crowded(_) => Error::Unavailable,
        AskError::Refused { reason, .. } if reason.contains("TOOLARGE") => Error::TooLarge(bounds::ANSWER_MAX_BYTES),
        AskError::Refused { reason, .. } if reason.contains("WRONGTYPE") => Invalid::Kind.into(),
        AskError::Refused { reason, .. } if reason.contains("not an integer") => Invalid::Number.into(),
        AskError::Refused { reason, .. } if reason.contains("overflow") => Invalid::Sum.into(),
        // Starting, full, read only: nothing that a guest could do otherwise.
        AskError::Refused { .. } => Error::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: &str, expected: Error) {
        let refused = AskError::Refused { store: "main".into(), reason: reason.into() };
        assert_eq!(failed(refused, Instant::now() + Duration::from_secs(1)), expected);
    }

    #[test]
    fn a_guest_learns_what_it_can_do_otherwise_and_nothing_else() {
        check("\"TOOLARGE\": values", Error::TooLarge(8 << 20));
        check("WRONGTYPE Operation against a key", Invalid::Kind.into());
        check("ERR hash value is not an integer", Invalid::Number.into());
        check("ERR increment or decrement would overflow", Invalid::Sum.into());
        check("OOM command not allowed when used memory > 'maxmemory'", Error::Unavailable);
    }

    #[test]
    fn too_little_time_of_ones_own_is_no_outage() {
        let late = || AskError::Late("main".into());
        assert_eq!(failed(late(), Instant::now()), Error::Timeout);
        assert_eq!(failed(late(), Instant::now() + Duration::from_secs(1)), Error::Unavailable);
    }

    #[test]
    fn an_item_is_an_id_and_its_value_which_may_hold_anything() {
        assert_eq!(item(b"a\0b\0c".to_vec()), Some(("a".to_owned(), b"b\0c".to_vec())));
        assert_eq!(item(b"a\0".to_vec()), Some(("a".to_owned(), vec![])));
        assert_eq!(item(b"abc".to_vec()), None);
    }
}
