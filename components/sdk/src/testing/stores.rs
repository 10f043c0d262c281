//! A key-value store in a test. What a test puts into it, it puts by its own `Bucket`, as a service does.

use std::marker::PhantomData;

use crate::{
    fake::{self, keyvalue::Known},
    keyvalue::{Bucket, Error},
};

/// One store of a test. It lives as long as its `Fake`.
#[derive(Clone)]
pub struct FakeStore<'a> {
    name: String,
    of: PhantomData<&'a ()>,
}

impl<'a> FakeStore<'a> {
    pub(super) fn of(name: &str) -> Self {
        let own = Self { name: name.to_owned(), of: PhantomData };
        own.with(|_known| ());
        own
    }

    /// The store, to prepare it and to look into it.
    ///
    /// # Panics
    /// Never: it is there.
    pub fn bucket(&self) -> Bucket {
        Bucket::open(&self.name).expect("a store that is there")
    }

    /// From now on every call of it fails.
    pub fn fails(&self, error: Error) {
        self.with(|known| known.failure = Some(error));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        fake::keyvalue::with("`keyvalue`", |stores| work(stores.known.entry(self.name.clone()).or_default()))
    }
}
