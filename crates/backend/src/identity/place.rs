//! Where generated keys of several hosts meet. No guest reaches it: what a guest may use of a Redis begins with
//! another name, and of such a database it is given nothing.

use std::{sync::Arc, time::Duration};

use redis::Script;

use crate::{postgres::shelf::Shelf, redis::Store};

/// How often two hosts may change the keys at once before one gives up for now.
pub(super) const ROUNDS_MAX: usize = 8;
/// As long as a start or a token of an unknown key waits for the others.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Only if it is still what was read: two who write at once do not lose each other's keys.
const REPLACE: &str = "
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
";

/// What all hosts of a manifest reach, and no guest.
pub(super) struct Place {
    store: Kept,
    key: String,
}

/// By what they reach it.
#[derive(Clone)]
pub(super) enum Kept {
    Redis(Arc<Store>),
    Postgres(Arc<Shelf>),
}

impl Place {
    /// For the issuer `name` of the manifest `system`.
    pub(super) fn new(store: Kept, system: &str, name: &str) -> Self {
        Self { store, key: format!("archipel:{{{system}}}:keys:{name}") }
    }

    /// # Errors
    /// A sentence.
    pub(super) async fn read(&self) -> Result<Option<String>, String> {
        match &self.store {
            Kept::Redis(store) => {
                let asked = async |mut redis| redis::cmd("GET").arg(&self.key).query_async(&mut redis).await;
                store.work(asked).await.map_err(|error| error.to_string())
            }
            Kept::Postgres(shelf) => shelf.read(&self.key).await.map_err(|error| error.to_string()),
        }
    }

    /// `false`: it was not `known` any more.
    ///
    /// # Errors
    /// A sentence.
    pub(super) async fn replace(&self, known: Option<&str>, next: &str) -> Result<bool, String> {
        match &self.store {
            Kept::Redis(store) => {
                let script = Script::new(REPLACE);
                let mut call = script.key(&self.key);
                call.arg(known.unwrap_or_default()).arg(next);
                let asked = store.work(async |mut redis| call.invoke_async(&mut redis).await).await;
                asked.map_err(|error| error.to_string())
            }
            Kept::Postgres(shelf) => shelf.replace(&self.key, known, next).await.map_err(|error| error.to_string()),
        }
    }
}
