//! `archipel:keyvalue` and `wasi:keyvalue`: a component's key-value stores by name.
//!
//! Each call is three steps: may it (the grant), do it (the backend), say it in WIT. All contracts are over the same
//! buckets; `bucket` has what they share, this file the first, `standard` and `second` the drafts of the other.

use std::time::Duration;

use wasmtime::component::{Linker, Resource};

use self::bindings::archipel::keyvalue::store as types;
use backend::keyvalue::{Condition, Entry, Error, Start};

mod bucket;
mod portable;
mod second;
mod standard;

use bucket::{HasStores, NotOpen, keys_bytes};
pub use bucket::{OpenBucket, StoreCtx, StoreView, StoresView};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/stores",
        imports: { default: async | trappable },
        with: { "archipel:keyvalue/store.bucket": super::OpenBucket },
        require_store_data_send: true,
    });
}

pub fn add_to_linker<T: StoresView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasStores>(linker, T::stores)?;
    standard::add_to_linker(linker)?;
    second::add_to_linker(linker)
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl OpenBucket {
    /// In the words of the contract.
    fn error(&self, error: Error) -> types::Error {
        match error {
            Error::Unavailable => types::Error::Unavailable(self.name().to_owned()),
            Error::Timeout => types::Error::Timeout,
            Error::TooLarge(limit) => types::Error::TooLarge(limit),
            Error::Full(_) | Error::NoRoom | Error::Invalid(_) => types::Error::Other(error.to_string()),
        }
    }

    fn not_writable(&self) -> types::Error {
        types::Error::AccessDenied(format!("{} is granted for reading only", self.name()))
    }
}

impl types::Host for StoreCtx<'_> {}

impl types::HostBucket for StoreCtx<'_> {
    async fn open(&mut self, name: String) -> Answer<Resource<OpenBucket>> {
        match self.opened(&name) {
            Ok(open) => Ok(Ok(self.table.push(open)?)),
            Err(NotOpen::Missing) => Ok(Err(types::Error::Unavailable(name))),
            Err(NotOpen::Denied) => Ok(Err(types::Error::AccessDenied(name))),
        }
    }

    async fn get(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<Option<types::Entry>> {
        let open = self.table.get(&this)?.clone();
        let found = open.traced(&self.view.asking, "get", open.bucket().get(&key, self.view.asking.deadline())).await;
        let found = self.paid(found, |found| found.iter().map(|found| found.value.len()).sum());
        Ok(found.map(|found| found.map(|found| entry(key, found))).map_err(|error| open.error(error)))
    }

    async fn get_many(&mut self, this: Resource<OpenBucket>, keys: Vec<String>) -> Answer<Vec<Option<types::Entry>>> {
        let open = self.table.get(&this)?.clone();
        let found = open
            .traced(&self.view.asking, "get_many", open.bucket().get_many(&keys, self.view.asking.deadline()))
            .await;
        let found = self.paid(found, |found| found.iter().flatten().map(|found| found.value.len()).sum());
        let entries = |found: Vec<Option<Entry>>| {
            keys.into_iter().zip(found).map(|(key, found)| found.map(|found| entry(key, found))).collect()
        };
        Ok(found.map(entries).map_err(|error| open.error(error)))
    }

    async fn set(
        &mut self,
        this: Resource<OpenBucket>,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
        when: types::Condition,
    ) -> Answer<bool> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(open.not_writable())) };
        let when = match when {
            types::Condition::Always => Condition::Always,
            types::Condition::IfAbsent => Condition::IfAbsent,
            types::Condition::IfVersion(version) => Condition::IfVersion(version),
        };
        let (ttl, deadline) = (ttl_ms.map(Duration::from_millis), self.view.asking.deadline());
        Ok(open
            .traced(&self.view.asking, "set", writer.set(&key, &value, ttl, when, deadline))
            .await
            .map_err(|error| open.error(error)))
    }

    async fn delete(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<bool> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(open.not_writable())) };
        let deleted =
            open.traced(&self.view.asking, "delete", writer.delete(&[key], self.view.asking.deadline())).await;
        Ok(deleted.map(|count| count > 0).map_err(|error| open.error(error)))
    }

    async fn increment(&mut self, this: Resource<OpenBucket>, key: String, delta: i64) -> Answer<i64> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(open.not_writable())) };
        Ok(open
            .traced(&self.view.asking, "increment", writer.increment(&key, delta, self.view.asking.deadline()))
            .await
            .map_err(|error| open.error(error)))
    }

    async fn list_keys(
        &mut self,
        this: Resource<OpenBucket>,
        prefix: String,
        limit: u32,
        cursor: Option<String>,
    ) -> Answer<types::Page> {
        let open = self.table.get(&this)?.clone();
        let deadline = self.view.asking.deadline();
        let listing = open.bucket().list_keys(&prefix, limit, cursor.as_deref(), deadline);
        let page = open.traced(&self.view.asking, "list_keys", listing).await;
        let page = self.paid(page, |page| keys_bytes(&page.keys) + page.cursor.as_ref().map_or(0, String::len));
        let page = page.map(|page| types::Page { keys: page.keys, cursor: page.cursor });
        Ok(page.map_err(|error| open.error(error)))
    }

    async fn append(&mut self, this: Resource<OpenBucket>, key: String, value: Vec<u8>, keep: u32) -> Answer<u64> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(open.not_writable())) };
        Ok(open
            .traced(&self.view.asking, "append", writer.append(&key, &value, keep, self.view.asking.deadline()))
            .await
            .map_err(|error| open.error(error)))
    }

    async fn read_list(
        &mut self,
        this: Resource<OpenBucket>,
        key: String,
        offset: u32,
        limit: u32,
    ) -> Answer<Vec<Vec<u8>>> {
        let open = self.table.get(&this)?.clone();
        let deadline = self.view.asking.deadline();
        let found =
            open.traced(&self.view.asking, "read_list", open.bucket().read_list(&key, offset, limit, deadline)).await;
        let found = self.paid(found, |values| values.iter().map(|value| value.len() + size_of::<Vec<u8>>()).sum());
        Ok(found.map_err(|error| open.error(error)))
    }

    async fn insert(
        &mut self,
        this: Resource<OpenBucket>,
        key: String,
        id: String,
        value: Vec<u8>,
        keep: u32,
    ) -> Answer<bool> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(open.not_writable())) };
        let deadline = self.view.asking.deadline();
        Ok(open
            .traced(&self.view.asking, "insert", writer.insert(&key, &id, &value, keep, deadline))
            .await
            .map_err(|error| open.error(error)))
    }

    async fn read_sorted(
        &mut self,
        this: Resource<OpenBucket>,
        key: String,
        start: types::Start,
        limit: u32,
    ) -> Answer<types::Items> {
        let open = self.table.get(&this)?.clone();
        let start = match start {
            types::Start::Offset(offset) => Start::Offset(offset),
            types::Start::After(id) => Start::After(id),
        };
        let deadline = self.view.asking.deadline();
        let found = open
            .traced(&self.view.asking, "read_sorted", open.bucket().read_sorted(&key, &start, limit, deadline))
            .await;
        let item = |(id, value): &(String, Vec<u8>)| id.len() + value.len() + size_of::<(String, Vec<u8>)>();
        let found = self.paid(found, |found| found.items.iter().map(item).sum());
        let items = found.map(|found| {
            let items = found.items.into_iter().map(|(id, value)| types::Item { id, value }).collect();
            types::Items { items, total: found.total }
        });
        Ok(items.map_err(|error| open.error(error)))
    }

    async fn drop(&mut self, this: Resource<OpenBucket>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn entry(key: String, entry: Entry) -> types::Entry {
    types::Entry { key, value: entry.value, version: entry.version }
}
