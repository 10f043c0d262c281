//! The limits of a gateway: one for each place in the manifest that names a rate.
//!
//! Two limits never share buckets, however equal their rates. A limit that is asked for again
//! while it is in use is the same one: a new table of routes goes on counting where the old one
//! was.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use gateway::limit::{Limit, Memory, Rate, SharedLimit, Store};

use backend::{Backends, redis};
use manifest::Manifest;

/// Makes limits and knows those in use.
pub(super) struct Limits {
    store: Option<Arc<dyn SharedLimit>>,
    in_use: Mutex<HashMap<(String, Rate), Weak<dyn Limit>>>,
}

/// Where the limits of `manifest` are counted, if not in memory.
pub(super) fn of(manifest: &Manifest, backends: &Backends) -> Limits {
    let store = manifest.gateway.limit_store.as_deref().and_then(|name| backends.redis.get(name));
    let shared = |store: &Arc<redis::Store>| -> Arc<dyn SharedLimit> {
        Arc::new(redis::Limits::new(store.clone(), manifest.name.clone()))
    };
    Limits::new(store.map(shared))
}

impl Limits {
    /// Counted in `store`, or in memory.
    pub(super) fn new(store: Option<Arc<dyn SharedLimit>>) -> Self {
        Self { store, in_use: Mutex::default() }
    }

    /// `name` is the same on all hosts of a system, and after a restart.
    pub(super) fn of(&self, name: &str, rate: Rate) -> Arc<dyn Limit> {
        // Single insertions only: valid whatever panicked.
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|_, limit| limit.strong_count() > 0);
        let key = (name.to_owned(), rate);
        if let Some(limit) = in_use.get(&key).and_then(Weak::upgrade) {
            return limit;
        }
        let limit: Arc<dyn Limit> = match &self.store {
            Some(store) => Arc::new(Store::new(name.to_owned(), rate, store.clone())),
            None => Arc::new(Memory::new(rate)),
        };
        in_use.insert(key, Arc::downgrade(&limit));
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rates_share_nothing_and_a_limit_in_use_is_found_again() {
        let limits = Limits::new(None);
        let rate = "1/h".parse().unwrap();
        let (one, other) = (limits.of("a", rate), limits.of("b", rate));
        assert!(!Arc::ptr_eq(&one, &other));
        assert!(Arc::ptr_eq(&one, &limits.of("a", rate)));
        assert!(!Arc::ptr_eq(&one, &limits.of("a", "2/h".parse().unwrap())));
    }
}
