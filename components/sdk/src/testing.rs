//! Unit tests on the developer's machine: `cargo test`, without a host. A [`Fake`] answers in its place what the test has
//! said, keeps what was asked, and panics with the line to write where nothing was said.
//!
//! ```
//! use sdk::{Answer, Reply, Request, Routes, messaging::{self, Event}, params, testing::{self, Fake}};
//! use sdk::postgres::{Database, Single, Statements as _};
//!
//! fn count(_request: &mut Request) -> Answer {
//!     let Single(count) = Database::open("main")?.query_one::<Single<i64>>("select count(*) from notes", params![])?;
//!     messaging::publish(&Event::json("notes.counted", &count)?)?;
//!     Reply::ok(&count)
//! }
//!
//! let fake = Fake::new();
//! fake.postgres("main").on("select count(*)").row(["count"], params![7_i64]);
//! let routes = Routes::new().at("/notes/count", |path| path.get(count));
//! let response = routes.answer(testing::get("/notes/count").into());
//! assert_eq!(testing::json(&response), 7);
//! assert_eq!(fake.events()[0].topic, "notes.counted");
//! ```
//!
//! It is no database: SQL is not run, and only `archipel test` tells whether it is right.

mod asked;
mod databases;
mod events;
mod stores;
mod web;

pub use asked::{Asked, delete, get, json, patch, post, put};
pub use databases::{FakeDatabase, On, Statement, table};
pub use events::{Published, delivery};
pub use stores::FakeStore;
pub use web::{Asks, FakePeer, Sent};

use std::{marker::PhantomData, rc::Rc, time::Duration};

use crate::{
    fake::{self, turn},
    messaging,
};

/// The host of one test. It is its thread's, and ends when it is dropped.
pub struct Fake(PhantomData<Rc<()>>);

impl Fake {
    /// # Panics
    /// When this thread has one already.
    #[allow(clippy::new_without_default, reason = "it begins something")]
    pub fn new() -> Self {
        turn::begin();
        Self(PhantomData)
    }

    /// The database that the manifest calls `name`. It is there from now on.
    pub fn postgres(&self, name: &str) -> FakeDatabase<'_> {
        FakeDatabase::of(name)
    }

    /// The key-value store that the manifest calls `name`, in memory. It is there from now on.
    pub fn keyvalue(&self, name: &str) -> FakeStore<'_> {
        FakeStore::of(name)
    }

    /// What another service of the manifest answers.
    pub fn service(&self, name: &str) -> FakePeer<'_> {
        FakePeer::of(format!("{name}.internal"))
    }

    /// What a host of the outside answers: `api.example.com`, with its port if the URL has one.
    pub fn outside(&self, authority: &str) -> FakePeer<'_> {
        FakePeer::of(authority.to_owned())
    }

    /// What was sent to other services and to the outside, in its order.
    pub fn sent(&self) -> Vec<Sent> {
        fake::http::with("`sent`", |web| web.sent.iter().map(Sent::of).collect())
    }

    /// What was published, in its order; in a transaction only if it has committed.
    pub fn events(&self) -> Vec<Published> {
        fake::messaging::with("`events`", |events| events.published.iter().map(Published::of).collect())
    }

    /// From now on publishing fails.
    pub fn publishing_fails(&self, failure: messaging::Error) {
        fake::messaging::with("`publishing_fails`", |events| events.failure = Some(failure));
    }

    /// So much time passes for what a store keeps no longer. The clock itself is the machine's.
    pub fn passes(&self, time: Duration) {
        fake::keyvalue::with("`passes`", |stores| stores.now += time);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        turn::end();
    }
}

#[cfg(test)]
mod tests;
