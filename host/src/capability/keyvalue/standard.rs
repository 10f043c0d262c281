//! `wasi:keyvalue@0.2.0-draft` over the same buckets, for portable components. `portable` does the work; this file has the
//! draft's words.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store as types};
use super::{
    bucket::{HasStores, OpenBucket, StoreCtx, StoresView},
    portable::Refused,
};
use backend::keyvalue::Condition;

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

impl From<Refused> for types::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoSuchStore => Self::NoSuchStore,
            Refused::Denied => Self::AccessDenied,
            Refused::Other(reason) => Self::Other(reason),
        }
    }
}

impl types::Host for StoreCtx<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<OpenBucket>> {
        Ok(self.portable(&identifier)?.map_err(Into::into))
    }
}

impl types::HostBucket for StoreCtx<'_> {
    async fn get(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let open = self.table.get(&this)?.clone();
        let found = self.read(&open, &key).await;
        Ok(found.map(|found| found.map(|found| found.value)).map_err(Into::into))
    }

    async fn set(&mut self, this: Resource<OpenBucket>, key: String, value: Vec<u8>) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        Ok(self.write(&open, &key, &value, Condition::Always).await.map(drop).map_err(Into::into))
    }

    async fn delete(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        Ok(self.remove(&open, "delete", &[key]).await.map_err(Into::into))
    }

    async fn exists(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<bool> {
        let open = self.table.get(&this)?.clone();
        Ok(self.is_there(&open, &key).await.map_err(Into::into))
    }

    async fn list_keys(&mut self, this: Resource<OpenBucket>, cursor: Option<u64>) -> Answer<types::KeyResponse> {
        let open = self.table.get(&this)?.clone();
        let found = self.some(&open, cursor.unwrap_or(0)).await;
        let response = |(keys, cursor)| types::KeyResponse { keys, cursor: (cursor != 0).then_some(cursor) };
        Ok(found.map(response).map_err(Into::into))
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
        let Ok(delta) = i64::try_from(delta) else {
            return Ok(Err(types::Error::Other("a delta is less than 2^63".into())));
        };
        let sum = self.add(&open, &key, delta).await.map_err(types::Error::from);
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
        let found = self.read_many(&open, &keys).await;
        let pairs = |found: Vec<Option<backend::keyvalue::Entry>>| {
            keys.into_iter().zip(found).map(|(key, found)| found.map(|found| (key, found.value))).collect()
        };
        Ok(found.map(pairs).map_err(Into::into))
    }

    async fn set_many(&mut self, this: Resource<OpenBucket>, entries: Vec<(String, Vec<u8>)>) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        Ok(self.write_many(&open, &entries).await.map_err(Into::into))
    }

    async fn delete_many(&mut self, this: Resource<OpenBucket>, keys: Vec<String>) -> Answer<()> {
        let open = self.table.get(&this)?.clone();
        Ok(self.remove(&open, "delete_many", &keys).await.map_err(Into::into))
    }
}
