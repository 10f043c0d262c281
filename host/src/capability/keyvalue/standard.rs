//! `wasi:keyvalue@0.2.0-draft` over the same buckets, for portable components. It has no word for
//! most reasons, so they are texts.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store as types};
use super::bucket::{HasStores, NotOpen, OpenBucket, StoreCtx, StoresView};
use backend::keyvalue::{Condition, Error};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "archipel:service/portable-stores",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": crate::capability::keyvalue::OpenBucket },
        require_store_data_send: true,
    });
}

pub(super) fn add_to_linker<T: StoresView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasStores>(linker, T::stores)?;
    atomics::add_to_linker::<_, HasStores>(linker, T::stores)?;
    batch::add_to_linker::<_, HasStores>(linker, T::stores)
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

fn other(error: Error) -> types::Error {
    types::Error::Other(error.to_string())
}

impl types::Host for StoreCtx<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<OpenBucket>> {
        match self.opened(&identifier) {
            Ok(open) => Ok(Ok(self.table.push(open)?)),
            Err(NotOpen::Missing) => Ok(Err(types::Error::NoSuchStore)),
            Err(NotOpen::Denied) => Ok(Err(types::Error::AccessDenied)),
        }
    }
}

impl types::HostBucket for StoreCtx<'_> {
    async fn get(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let open = self.table.get(&this)?.clone();
        let found = open
            .traced(&self.view.asking, "get", open.bucket().get(&key, self.view.asking.deadline()))
            .await
            .map_err(other);
        Ok(found.map(|found| found.map(|found| found.value)))
    }

    async fn set(&mut self, this: Resource<OpenBucket>, key: String, value: Vec<u8>) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(types::Error::AccessDenied)) };
        let deadline = self.view.asking.deadline();
        let set = open
            .traced(&self.view.asking, "set", writer.set(&key, &value, None, Condition::Always, deadline))
            .await
            .map_err(other);
        Ok(set.map(drop))
    }

    async fn delete(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(types::Error::AccessDenied)) };
        let deleting = [key];
        Ok(open
            .traced(&self.view.asking, "delete", writer.delete(&deleting, self.view.asking.deadline()))
            .await
            .map_err(other)
            .map(drop))
    }

    async fn exists(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<bool> {
        let open = self.table.get(&this)?.clone();
        Ok(open
            .traced(&self.view.asking, "exists", open.bucket().exists(&key, self.view.asking.deadline()))
            .await
            .map_err(other))
    }

    async fn list_keys(&mut self, this: Resource<OpenBucket>, cursor: Option<u64>) -> Answer<types::KeyResponse> {
        let open = self.table.get(&this)?.clone();
        let listing = open.bucket().some_keys(cursor.unwrap_or(0), self.view.asking.deadline());
        let found = open.traced(&self.view.asking, "list_keys", listing).await.map_err(other);
        let response = |(keys, cursor)| types::KeyResponse { keys, cursor: (cursor != 0).then_some(cursor) };
        Ok(found.map(response))
    }

    async fn drop(&mut self, this: Resource<OpenBucket>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl atomics::Host for StoreCtx<'_> {
    /// The stores count in signed numbers: what does not fit is refused, not wrapped.
    async fn increment(&mut self, this: Resource<OpenBucket>, key: String, delta: u64) -> Answer<u64> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(types::Error::AccessDenied)) };
        let Ok(delta) = i64::try_from(delta) else {
            return Ok(Err(types::Error::Other("a delta is less than 2^63".into())));
        };
        let sum = open
            .traced(&self.view.asking, "increment", writer.increment(&key, delta, self.view.asking.deadline()))
            .await
            .map_err(other);
        let unsigned = |sum: i64| u64::try_from(sum).map_err(|_| types::Error::Other("the sum is negative".into()));
        Ok(sum.and_then(unsigned))
    }
}

impl batch::Host for StoreCtx<'_> {
    async fn get_many(
        &mut self,
        this: Resource<OpenBucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let open = self.table.get(&this)?.clone();
        let found = open
            .traced(&self.view.asking, "get_many", open.bucket().get_many(&keys, self.view.asking.deadline()))
            .await
            .map_err(other);
        Ok(found.map(|found| {
            keys.into_iter().zip(found).map(|(key, found)| found.map(|found| (key, found.value))).collect()
        }))
    }

    async fn set_many(&mut self, this: Resource<OpenBucket>, entries: Vec<(String, Vec<u8>)>) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(types::Error::AccessDenied)) };
        Ok(open
            .traced(&self.view.asking, "set_many", writer.set_many(&entries, self.view.asking.deadline()))
            .await
            .map_err(other))
    }

    async fn delete_many(&mut self, this: Resource<OpenBucket>, keys: Vec<String>) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        let Ok(writer) = self.writer(&open) else { return Ok(Err(types::Error::AccessDenied)) };
        Ok(open
            .traced(&self.view.asking, "delete_many", writer.delete(&keys, self.view.asking.deadline()))
            .await
            .map_err(other)
            .map(drop))
    }
}
