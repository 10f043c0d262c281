//! Key-value stores: a store by its granted name, bytes or JSON under keys, conditions, expiry, and
//! inboxes that take an entry once. It holds no address and no prefix: those are the host's.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::archipel::keyvalue::store::{Condition, Entry, Error, Item};
use crate::{Listing, Start, bindings::archipel::keyvalue::store as wit, host::store};

/// A store that the manifest grants.
pub struct Bucket(store::Bucket);

impl Bucket {
    /// `name` is a grant in the manifest: `keyvalue = { cache = "read-write" }`.
    pub fn open(name: &str) -> Result<Self, Error> {
        store::Bucket::open(name).map(Self)
    }

    pub fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.0.get(key)
    }

    /// In the order of the keys; at most 1 000.
    pub fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Error> {
        self.0.get_many(keys)
    }

    /// For as long as the store keeps what has no time of its own.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.0.set(key, value, None, Condition::Always).map(drop)
    }

    /// For a time of its own: 1 ms to a year.
    pub fn set_for(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), Error> {
        self.0.set(key, value, Some(millis(ttl)), Condition::Always).map(drop)
    }

    /// Whether the condition held; else nothing changed.
    pub fn set_if(&self, key: &str, value: &[u8], ttl: Option<Duration>, when: Condition) -> Result<bool, Error> {
        self.0.set(key, value, ttl.map(millis), when)
    }

    /// The value as a `T`, and its version for [`Condition::IfVersion`].
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(T, u64)>, Error> {
        let read = |entry: Entry| Ok((from_json(&entry.value)?, entry.version));
        self.get(key)?.map(read).transpose()
    }

    pub fn set_json(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        self.set(key, &to_json(value)?)
    }

    /// Whether there was something.
    pub fn delete(&self, key: &str) -> Result<bool, Error> {
        self.0.delete(key)
    }

    /// The sum; a key without a value counts from 0.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.0.increment(key, delta)
    }

    /// Some keys that begin with `prefix`, from the first or after the `next` of another part; for housekeeping, not for
    /// requests.
    pub fn list_keys(&self, prefix: &str, limit: u32, after: Option<&str>) -> Result<Listing<String>, Error> {
        let wit::Page { keys, cursor } = self.0.list_keys(prefix, limit, after)?;
        let start = after.map_or(Start::Offset(0), |after| Start::After(after.to_owned()));
        Ok(Listing { items: keys, limit, start, total: None, next: cursor })
    }

    /// Before all others of a list that keeps the newest `keep`; how many there are.
    pub fn append(&self, key: &str, value: &[u8], keep: u32) -> Result<u64, Error> {
        self.0.append(key, value, keep)
    }

    /// Of a list, newest first.
    pub fn read_list(&self, key: &str, offset: u32, limit: u32) -> Result<Vec<Vec<u8>>, Error> {
        self.0.read_list(key, offset, limit)
    }

    /// Into a sorted list that keeps the `keep` greatest ids, unless the id is there or was dropped.
    /// One atomic step: done again it changes nothing.
    pub fn insert(&self, key: &str, id: &str, value: &[u8], keep: u32) -> Result<bool, Error> {
        self.0.insert(key, id, value, keep)
    }

    /// Of a sorted list, the greatest id first; `limit` is at most 9 999.
    pub fn read_sorted(&self, key: &str, start: Start, limit: u32) -> Result<Listing<Item>, Error> {
        let from = match &start {
            Start::Offset(offset) => wit::Start::Offset(*offset),
            Start::After(id) => wit::Start::After(id.clone()),
        };
        let found = self.0.read_sorted(key, &from, limit.saturating_add(1))?;
        let total = i64::try_from(found.total).unwrap_or(i64::MAX);
        Ok(Listing::of(found.items, limit, start, |item| item.id.clone()).total(total))
    }
}

/// A value of a store as a `T`.
pub fn from_json<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Other(format!("the value cannot be read: {error}")))
}

/// A `T` as a value of a store.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Other(format!("the value is no JSON: {error}")))
}

/// What is too long for the host is refused by it.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        let reason = reason(&error);
        match error {
            Error::Unavailable(_) => Self::Unavailable(reason),
            Error::Timeout => Self::Timeout,
            _ => Self::Internal(reason),
        }
    }
}

/// The error in one line for the log.
fn reason(error: &Error) -> String {
    match error {
        Error::AccessDenied(text) => format!("the key-value store is not granted: {text}"),
        Error::Unavailable(text) => format!("the key-value store is not available: {text}"),
        Error::Timeout => "the key-value store did not answer in time".to_owned(),
        Error::TooLarge(limit) => format!("the key-value store takes or gives no more than {limit}"),
        Error::Other(text) => text.clone(),
    }
}

impl From<Error> for crate::messaging::Failure {
    fn from(error: Error) -> Self {
        crate::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_to_json_and_back_and_nonsense_is_an_error() {
        let value = to_json(&vec![("a", 1)]).unwrap();
        assert_eq!(from_json::<Vec<(String, u8)>>(&value).unwrap(), [("a".to_owned(), 1)]);
        assert!(matches!(from_json::<u8>(b"x"), Err(Error::Other(text)) if text.contains("cannot be read")));
    }

    #[test]
    fn a_time_that_is_too_long_stays_too_long() {
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }
}
