//! The prepared statements of one connection: bounded in number and in bytes, the least recently used goes.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;

/// Statements kept for each connection.
const STATEMENTS_MAX: NonZeroUsize = NonZeroUsize::new(100).expect("100 is not 0");
/// What they take together, and one at most: a larger one is prepared each time.
const BYTES_MAX: usize = 1 << 20;
const STATEMENT_BYTES_MAX: usize = 64 << 10;

pub(super) struct Cache<T> {
    entries: LruCache<Arc<str>, (Arc<T>, usize)>,
    bytes: usize,
}

impl<T> Cache<T> {
    pub(super) fn new() -> Self {
        Self { entries: LruCache::new(STATEMENTS_MAX), bytes: 0 }
    }

    pub(super) fn get(&mut self, sql: &str) -> Option<Arc<T>> {
        self.entries.get(sql).map(|(statement, _)| statement.clone())
    }

    /// `bytes` is what it takes beside its text. What has no room is not kept.
    pub(super) fn put(&mut self, sql: &str, statement: Arc<T>, bytes: usize) {
        let bytes = bytes.saturating_add(sql.len());
        if bytes > STATEMENT_BYTES_MAX {
            return;
        }
        while self.bytes + bytes > BYTES_MAX || self.entries.len() == STATEMENTS_MAX.get() {
            match self.entries.pop_lru() {
                Some((_, (_, freed))) => self.bytes -= freed,
                None => break,
            }
        }
        self.forget(sql);
        self.bytes += bytes;
        self.entries.put(sql.into(), (statement, bytes));
    }

    pub(super) fn forget(&mut self, sql: &str) {
        if let Some((_, freed)) = self.entries.pop(sql) {
            self.bytes -= freed;
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_many_nor_large_statements_are_more_than_there_is_room_for() {
        let mut cache = Cache::new();
        for number in 0..300 {
            cache.put(&format!("select {number}"), Arc::new(number), 0);
        }
        assert_eq!((cache.entries.len(), cache.get("select 299").as_deref()), (100, Some(&299)));
        for number in 0..300 {
            cache.put(&format!("select {number}"), Arc::new(number), 60 << 10);
            assert!(cache.bytes <= BYTES_MAX);
        }
        assert_eq!(cache.entries.len(), 17);
        cache.put("large", Arc::new(0), STATEMENT_BYTES_MAX);
        assert_eq!(cache.get("large"), None);
        for number in 0..300 {
            cache.forget(&format!("select {number}"));
        }
        assert_eq!((cache.entries.len(), cache.bytes), (0, 0));
    }
}
