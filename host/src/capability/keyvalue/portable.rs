//! What both drafts of `wasi:keyvalue` ask for, without the words of either: they have none for most reasons, so those
//! are texts.

use wasmtime::component::Resource;

use super::bucket::{NotOpen, OpenBucket, StoreCtx, keys_bytes};
use backend::keyvalue::{Condition, Entry, Error};

/// Why something was not done.
pub(super) enum Refused {
    NoSuchStore,
    Denied,
    Other(String),
}

type Answer<T> = wasmtime::Result<Result<T, Refused>>;

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl StoreCtx<'_> {
    pub(super) fn portable(&mut self, identifier: &str) -> Answer<Resource<OpenBucket>> {
        match self.opened(identifier) {
            Ok(open) => Ok(Ok(self.table.push(open)?)),
            Err(NotOpen::Missing) => Ok(Err(Refused::NoSuchStore)),
            Err(NotOpen::Denied) => Ok(Err(Refused::Denied)),
        }
    }

    pub(super) async fn read(&mut self, open: &OpenBucket, key: &str) -> Result<Option<Entry>, Refused> {
        let reading = open.bucket().get(key, self.view.asking.deadline());
        let found = open.traced(&self.view.asking, "get", reading).await;
        Ok(self.paid(found, |found| found.iter().map(|found| found.value.len()).sum())?)
    }

    /// Whether the condition held.
    pub(super) async fn write(
        &mut self,
        open: &OpenBucket,
        key: &str,
        value: &[u8],
        when: Condition,
    ) -> Result<bool, Refused> {
        let writer = self.writer(open).map_err(|_| Refused::Denied)?;
        let writing = writer.set(key, value, None, when, self.view.asking.deadline());
        Ok(open.traced(&self.view.asking, "set", writing).await?)
    }

    pub(super) async fn remove(
        &mut self,
        open: &OpenBucket,
        what: &'static str,
        keys: &[String],
    ) -> Result<(), Refused> {
        let writer = self.writer(open).map_err(|_| Refused::Denied)?;
        let deleting = writer.delete(keys, self.view.asking.deadline());
        Ok(open.traced(&self.view.asking, what, deleting).await.map(drop)?)
    }

    pub(super) async fn is_there(&mut self, open: &OpenBucket, key: &str) -> Result<bool, Refused> {
        let looking = open.bucket().exists(key, self.view.asking.deadline());
        Ok(open.traced(&self.view.asking, "exists", looking).await?)
    }

    /// Some of all the keys, in no order, and where to go on; 0 is the beginning and the end.
    pub(super) async fn some(&mut self, open: &OpenBucket, cursor: u64) -> Result<(Vec<String>, u64), Refused> {
        let listing = open.bucket().some_keys(cursor, self.view.asking.deadline());
        let found = open.traced(&self.view.asking, "list_keys", listing).await;
        Ok(self.paid(found, |(keys, _)| keys_bytes(keys))?)
    }

    pub(super) async fn add(&mut self, open: &OpenBucket, key: &str, delta: i64) -> Result<i64, Refused> {
        let writer = self.writer(open).map_err(|_| Refused::Denied)?;
        let adding = writer.increment(key, delta, self.view.asking.deadline());
        Ok(open.traced(&self.view.asking, "increment", adding).await?)
    }

    pub(super) async fn read_many(
        &mut self,
        open: &OpenBucket,
        keys: &[String],
    ) -> Result<Vec<Option<Entry>>, Refused> {
        let reading = open.bucket().get_many(keys, self.view.asking.deadline());
        let found = open.traced(&self.view.asking, "get_many", reading).await;
        Ok(self.paid(found, |found| found.iter().flatten().map(|found| found.value.len()).sum())?)
    }

    pub(super) async fn write_many(&mut self, open: &OpenBucket, entries: &[(String, Vec<u8>)]) -> Result<(), Refused> {
        let writer = self.writer(open).map_err(|_| Refused::Denied)?;
        let writing = writer.set_many(entries, self.view.asking.deadline());
        Ok(open.traced(&self.view.asking, "set_many", writing).await?)
    }
}
