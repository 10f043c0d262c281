//! Where generated keys of several hosts meet. No guest reaches it: what a guest may use of a Redis begins with
//! another name.

use std::{sync::Arc, time::Duration};

use redis::Script;

use crate::redis::{AskError, Store};

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
    store: Arc<Store>,
    key: String,
}

impl Place {
    /// For the issuer `name` of the manifest `system`.
    pub(super) fn new(store: Arc<Store>, system: &str, name: &str) -> Self {
        Self { store, key: format!("archipel:{{{system}}}:keys:{name}") }
    }

    pub(super) async fn read(&self) -> Result<Option<String>, AskError> {
        let asked = async |mut redis| redis::cmd("GET").arg(&self.key).query_async(&mut redis).await;
        self.store.work(asked).await
    }

    /// `false`: it was not `known` any more.
    pub(super) async fn replace(&self, known: Option<&str>, next: &str) -> Result<bool, AskError> {
        let script = Script::new(REPLACE);
        let mut call = script.key(&self.key);
        call.arg(known.unwrap_or_default()).arg(next);
        self.store.work(async |mut redis| call.invoke_async(&mut redis).await).await
    }
}
