//! A store as a guest has opened it, whichever contract it speaks: what both are over.

use std::{future::Future, sync::Arc};

use ::span::{Kind, Value};
use wasmtime::component::{HasData, ResourceTable};

use crate::capability::asking::{Asking, NAME_MAX_BYTES};
use backend::{
    keyvalue::{Bucket, Error, KeyValues, Writer},
    memory::{Account, Held},
};
use grant::{Granted, keyvalue::KeyValueGrant, permission::keyvalue::KeyValue};

/// What an instance holds to reach its stores.
pub struct StoreView {
    pub(super) asking: Arc<Asking>,
    stores: Arc<KeyValues>,
    /// What answers take their memory from.
    account: Arc<dyn Account>,
    /// What the last one took: it is on its way into the guest.
    held: Held,
}

/// The view during one host call.
pub struct StoreCtx<'a> {
    pub(super) view: &'a mut StoreView,
    pub(super) table: &'a mut ResourceTable,
}

/// A store a guest has opened: proof that it may, and its part of the store.
#[derive(Clone)]
pub struct OpenBucket(Arc<(Granted<KeyValueGrant>, Bucket)>);

pub(super) struct HasStores;

impl HasData for HasStores {
    type Data<'a> = StoreCtx<'a>;
}

/// What a store must hold for its guest to reach key-value stores.
pub trait StoresView: Send + 'static {
    fn stores(&mut self) -> StoreCtx<'_>;
}

impl StoreView {
    /// Answers take their memory from `account`.
    pub fn new(asking: Arc<Asking>, stores: Arc<KeyValues>, account: Arc<dyn Account>) -> Self {
        Self { asking, stores, account, held: Held::default() }
    }

    /// The request is over, and whatever it was answered is gone.
    pub fn end(&mut self) {
        self.held.release();
    }

    pub fn with<'a>(&'a mut self, table: &'a mut ResourceTable) -> StoreCtx<'a> {
        StoreCtx { view: self, table }
    }
}

/// Why a guest has no bucket, or none to write to.
pub(super) enum NotOpen {
    Denied,
    /// Granted, and it does not run.
    Missing,
}

impl StoreCtx<'_> {
    pub(super) fn opened(&mut self, name: &str) -> Result<OpenBucket, NotOpen> {
        if name.len() > NAME_MAX_BYTES {
            return Err(NotOpen::Denied);
        }
        match self.view.asking.grants.keyvalue(name) {
            Ok(granted) => {
                let bucket =
                    self.view.stores.bucket(self.view.asking.grants.service(), &granted).ok_or(NotOpen::Missing)?;
                Ok(OpenBucket(Arc::new((granted, bucket))))
            }
            Err(denied) => {
                self.view.asking.tell::<KeyValue>(&denied);
                Err(NotOpen::Denied)
            }
        }
    }

    /// The answer, whose bytes count in the account until the next one or the request's end; those that are on
    /// their way from the Redis have places there.
    pub(super) fn paid<T>(&mut self, found: Result<T, Error>, bytes: impl FnOnce(&T) -> usize) -> Result<T, Error> {
        let found = found?;
        self.view.held = Held::nothing_of(Some(self.view.account.clone()));
        if self.view.held.grow(bytes(&found) as u64) { Ok(found) } else { Err(Error::NoRoom) }
    }

    /// The bucket for writing; the operator reads which line would allow it.
    pub(super) fn writer<'a>(&mut self, open: &'a OpenBucket) -> Result<Writer<'a>, NotOpen> {
        let (granted, bucket) = &*open.0;
        if let Err(denied) = self.view.asking.grants.keyvalue_write(granted) {
            self.view.asking.tell::<KeyValue>(&denied);
            return Err(NotOpen::Denied);
        }
        bucket.writer().map_err(|_read_only| NotOpen::Denied)
    }
}

impl OpenBucket {
    pub(super) fn name(&self) -> &str {
        &self.0.0.get().store
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.0.1
    }

    /// Some work of it, as a span.
    pub(super) async fn traced<T>(
        &self,
        asking: &Asking,
        operation: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let store = &self.0.0.get().store;
        let mut span = asking.span(Kind::Client, || Value::from(format!("{operation} {store}")));
        span.set("db.system.name", "redis");
        span.set("db.operation.name", operation);
        if let Some(span) = span.span() {
            span.set("db.namespace", store.to_string());
        }
        work.await.inspect_err(|error| {
            span.fail(match error {
                Error::Unavailable => "unavailable",
                Error::Timeout => "timeout",
                Error::TooLarge(_) => "too_large",
                Error::Full(_) => "full",
                Error::NoRoom => "no_room",
                Error::Invalid(_) => "invalid",
            });
        })
    }
}

/// What keys take while they are held.
pub(super) fn keys_bytes(keys: &[String]) -> usize {
    keys.iter().map(|key| key.len() + size_of::<String>()).sum()
}
