//! Key-value stores in memory, by the contract of `wit/deps/archipel-keyvalue`: conditions, versions, times, lists and
//! sorted lists.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::turn::{self, Kept};
use crate::bindings::archipel::keyvalue::store::{Condition, Entry, Error, Item, Items, Page, Start};

#[derive(Default)]
pub(crate) struct Stores {
    pub(crate) known: BTreeMap<String, Known>,
    /// What has passed since the beginning, for all that ends by itself.
    pub(crate) now: Duration,
}

thread_local! {
    static KEPT: Kept<Stores> = Kept::default();
}

#[track_caller]
pub(crate) fn with<R>(call: &str, work: impl FnOnce(&mut Stores) -> R) -> R {
    turn::with(&KEPT, call, work)
}

const KEY_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 1 << 20;

/// One store.
#[derive(Default)]
pub(crate) struct Known {
    slots: BTreeMap<String, Slot>,
    version: u64,
    /// What every call is answered instead.
    pub(crate) failure: Option<Error>,
}

struct Slot {
    held: Held,
    /// Since the beginning of the test.
    ends: Option<Duration>,
}

enum Held {
    Value { bytes: Vec<u8>, version: u64 },
    List(VecDeque<Vec<u8>>),
    Sorted(BTreeMap<String, Vec<u8>>),
}

pub(crate) struct Bucket(String);

impl Bucket {
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        with(&format!("`Bucket::open({name:?})`"), |stores| {
            let is_known = stores.known.contains_key(name);
            assert!(is_known, "there is no store `{name}` in this test: write `fake.keyvalue({name:?})`");
        });
        Ok(Self(name.to_owned()))
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.at(key, |known, _now| known.entry(key))
    }

    pub(crate) fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Error> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    pub(crate) fn set(&self, key: &str, value: &[u8], ttl_ms: Option<u64>, when: Condition) -> Result<bool, Error> {
        fits(value)?;
        self.at(key, |known, now| {
            let holds = match when {
                Condition::Always => true,
                Condition::IfAbsent => !known.slots.contains_key(key),
                Condition::IfVersion(wanted) => known.entry(key)?.is_some_and(|entry| entry.version == wanted),
            };
            if holds {
                known.put(key, value.to_vec(), ttl_ms.map(|ttl| now + Duration::from_millis(ttl)));
            }
            Ok(holds)
        })
    }

    pub(crate) fn delete(&self, key: &str) -> Result<bool, Error> {
        self.at(key, |known, _now| Ok(known.slots.remove(key).is_some()))
    }

    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.at(key, |known, _now| {
            let text = known.entry(key)?.map_or_else(|| b"0".to_vec(), |entry| entry.value);
            let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<i64>().ok());
            let sum = number.and_then(|number| number.checked_add(delta)).ok_or_else(|| other("no such number"))?;
            let ends = known.slots.get(key).and_then(|slot| slot.ends);
            known.put(key, sum.to_string().into_bytes(), ends);
            Ok(sum)
        })
    }

    pub(crate) fn list_keys(&self, prefix: &str, limit: u32, cursor: Option<&str>) -> Result<Page, Error> {
        self.ask(|known, _now| {
            let after = |key: &&String| key.starts_with(prefix) && cursor.is_none_or(|cursor| key.as_str() > cursor);
            let mut keys = known.slots.keys().filter(after).cloned();
            let page: Vec<String> = keys.by_ref().take(limit as usize).collect();
            let cursor = keys.next().and_then(|_more| page.last().cloned());
            Ok(Page { keys: page, cursor })
        })
    }

    pub(crate) fn append(&self, key: &str, value: &[u8], keep: u32) -> Result<u64, Error> {
        fits(value)?;
        self.at(key, |known, _now| match known.held(key, || Held::List(VecDeque::new())) {
            Held::List(list) => {
                list.push_front(value.to_vec());
                list.truncate(keep as usize);
                Ok(list.len() as u64)
            }
            _ => Err(other("this key holds no list")),
        })
    }

    pub(crate) fn read_list(&self, key: &str, offset: u32, limit: u32) -> Result<Vec<Vec<u8>>, Error> {
        self.at(key, |known, _now| match known.slots.get(key).map(|slot| &slot.held) {
            None => Ok(Vec::new()),
            Some(Held::List(list)) => Ok(list.iter().skip(offset as usize).take(limit as usize).cloned().collect()),
            Some(_) => Err(other("this key holds no list")),
        })
    }

    pub(crate) fn insert(&self, key: &str, id: &str, value: &[u8], keep: u32) -> Result<bool, Error> {
        fits(value)?;
        self.at(key, |known, _now| match known.held(key, || Held::Sorted(BTreeMap::new())) {
            Held::Sorted(sorted) => {
                let is_full = sorted.len() >= keep as usize;
                let is_less = sorted.first_key_value().is_some_and(|(least, _)| id < least);
                if sorted.contains_key(id) || (is_full && is_less) {
                    return Ok(false);
                }
                sorted.insert(id.to_owned(), value.to_vec());
                while sorted.len() > keep as usize {
                    sorted.pop_first();
                }
                Ok(true)
            }
            _ => Err(other("this key holds no sorted list")),
        })
    }

    pub(crate) fn read_sorted(&self, key: &str, start: &Start, limit: u32) -> Result<Items, Error> {
        self.at(key, |known, _now| {
            let sorted = match known.slots.get(key).map(|slot| &slot.held) {
                None => return Ok(Items { items: Vec::new(), total: 0 }),
                Some(Held::Sorted(sorted)) => sorted,
                Some(_) => return Err(other("this key holds no sorted list")),
            };
            let skipped = if let Start::Offset(count) = start { *count as usize } else { 0 };
            let wanted = |id: &str| if let Start::After(after) = start { id < after.as_str() } else { true };
            let all = sorted.iter().rev().filter(|(id, _)| wanted(id)).skip(skipped).take(limit as usize);
            let items = all.map(|(id, value)| Item { id: id.clone(), value: value.clone() }).collect();
            Ok(Items { items, total: sorted.len() as u64 })
        })
    }

    fn at<T>(&self, key: &str, work: impl FnOnce(&mut Known, Duration) -> Result<T, Error>) -> Result<T, Error> {
        match key.len() {
            1..=KEY_BYTES_MAX => self.ask(work),
            _ => Err(other("a key has 1 to 1024 bytes")),
        }
    }

    fn ask<T>(&self, work: impl FnOnce(&mut Known, Duration) -> Result<T, Error>) -> Result<T, Error> {
        with("a key-value store", |Stores { known, now }| {
            let known = known.entry(self.0.clone()).or_default();
            known.slots.retain(|_key, slot| slot.ends.is_none_or(|ends| ends > *now));
            match &known.failure {
                Some(failure) => Err(failure.clone()),
                None => work(known, *now),
            }
        })
    }
}

impl Known {
    fn entry(&self, key: &str) -> Result<Option<Entry>, Error> {
        match self.slots.get(key).map(|slot| &slot.held) {
            None => Ok(None),
            Some(Held::Value { bytes, version }) => {
                Ok(Some(Entry { key: key.to_owned(), value: bytes.clone(), version: *version }))
            }
            Some(_) => Err(other("this key holds a list")),
        }
    }

    fn put(&mut self, key: &str, bytes: Vec<u8>, ends: Option<Duration>) {
        self.version += 1;
        let held = Held::Value { bytes, version: self.version };
        self.slots.insert(key.to_owned(), Slot { held, ends });
    }

    fn held(&mut self, key: &str, fresh: impl FnOnce() -> Held) -> &mut Held {
        &mut self.slots.entry(key.to_owned()).or_insert_with(|| Slot { held: fresh(), ends: None }).held
    }
}

fn fits(value: &[u8]) -> Result<(), Error> {
    if value.len() > VALUE_BYTES_MAX { Err(Error::TooLarge(VALUE_BYTES_MAX as u64)) } else { Ok(()) }
}

fn other(text: &str) -> Error {
    Error::Other(text.to_owned())
}
