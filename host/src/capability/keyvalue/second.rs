//! `wasi:keyvalue@0.2.0-draft2`, which Spin's components import, over the same buckets: numbers are signed, cursors are texts,
//! and there is a compare-and-swap. `portable` does the work; this file has the draft's words.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store as types};
use super::{
    bucket::{HasStores, OpenBucket, StoreCtx, StoresView},
    portable::Refused,
};
use backend::keyvalue::{Condition, Entry};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/drafts/wasi-keyvalue",
        world: "wasi:keyvalue/imports@0.2.0-draft2",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::capability::keyvalue::OpenBucket,
            "wasi:keyvalue/atomics.cas": super::Cas,
        },
        require_store_data_send: true,
    });
}

pub(super) fn add_to_linker<T: StoresView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasStores>(linker, T::stores)?;
    atomics::add_to_linker::<_, HasStores>(linker, T::stores)?;
    batch::add_to_linker::<_, HasStores>(linker, T::stores)
}

/// A key, and the version that its guest has seen; none if there was no value. The value itself is not kept: a guest
/// may hold many.
pub struct Cas {
    open: OpenBucket,
    key: String,
    seen: Option<u64>,
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
        Ok(self.read(&open, &key).await.map(value).map_err(Into::into))
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

    async fn list_keys(&mut self, this: Resource<OpenBucket>, cursor: Option<String>) -> Answer<types::KeyResponse> {
        let open = self.table.get(&this)?.clone();
        let Ok(cursor) = cursor.map_or(Ok(0), |cursor| cursor.parse()) else {
            return Ok(Err(types::Error::Other("this is no cursor of `list-keys`".into())));
        };
        let found = self.some(&open, cursor).await;
        let response =
            |(keys, cursor): (_, u64)| types::KeyResponse { keys, cursor: (cursor != 0).then(|| cursor.to_string()) };
        Ok(found.map(response).map_err(Into::into))
    }

    async fn drop(&mut self, this: Resource<OpenBucket>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl StoreCtx<'_> {
    async fn seen(&mut self, open: OpenBucket, key: String) -> Result<Cas, Refused> {
        let seen = self.read(&open, &key).await?.map(|entry| entry.version);
        Ok(Cas { open, key, seen })
    }
}

impl atomics::HostCas for StoreCtx<'_> {
    async fn new(&mut self, this: Resource<OpenBucket>, key: String) -> Answer<Resource<Cas>> {
        let open = self.table.get(&this)?.clone();
        match self.seen(open, key).await {
            Ok(cas) => Ok(Ok(self.table.push(cas)?)),
            Err(refused) => Ok(Err(refused.into())),
        }
    }

    /// From now on the handle is for what is read here.
    async fn current(&mut self, this: Resource<Cas>) -> Answer<Option<Vec<u8>>> {
        let Cas { open, key, .. } = self.table.get(&this)?;
        let (open, key) = (open.clone(), key.clone());
        let found = match self.read(&open, &key).await {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused.into())),
        };
        self.table.get_mut(&this)?.seen = found.as_ref().map(|entry| entry.version);
        Ok(Ok(value(found)))
    }

    async fn drop(&mut self, this: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl atomics::Host for StoreCtx<'_> {
    async fn increment(&mut self, this: Resource<OpenBucket>, key: String, delta: i64) -> Answer<i64> {
        let open = self.table.get(&this)?.clone();
        Ok(self.add(&open, &key, delta).await.map_err(Into::into))
    }

    async fn swap(&mut self, this: Resource<Cas>, value: Vec<u8>) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Cas { open, key, seen } = self.table.delete(this)?;
        let when = seen.map_or(Condition::IfAbsent, Condition::IfVersion);
        let failed = |refused: Refused| Ok(Err(atomics::CasError::StoreError(refused.into())));
        match self.write(&open, &key, &value, when).await {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(refused) => return failed(refused),
        }
        match self.seen(open, key).await {
            Ok(cas) => Ok(Err(atomics::CasError::CasFailed(self.table.push(cas)?))),
            Err(refused) => failed(refused),
        }
    }
}

impl batch::Host for StoreCtx<'_> {
    async fn get_many(
        &mut self,
        this: Resource<OpenBucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<(String, Option<Vec<u8>>)>> {
        let open = self.table.get(&this)?.clone();
        let found = self.read_many(&open, &keys).await;
        Ok(found.map(|found| keys.into_iter().zip(found.into_iter().map(value)).collect()).map_err(Into::into))
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

fn value(found: Option<Entry>) -> Option<Vec<u8>> {
    found.map(|entry| entry.value)
}
