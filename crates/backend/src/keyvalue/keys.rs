//! What keys are called in the Redis.
//!
//! `archipel:{SYSTEM}:kv:STORE:PREFIXkey`. The braces are a hash tag: in a cluster all keys of a
//! system are in one place, and one step may touch several.

use std::sync::Arc;

use super::{bounds, invalid::Invalid};

/// The names of one store's keys, as one service sees them.
#[derive(Clone)]
pub(super) struct Keys {
    root: Arc<str>,
    prefix: Arc<str>,
}

impl Keys {
    pub(super) fn new(system: &str, store: &str, prefix: &Arc<str>) -> Self {
        Self { root: format!("archipel:{{{system}}}:kv:{store}").into(), prefix: prefix.clone() }
    }

    pub(super) fn name(&self, key: &str) -> Result<String, Invalid> {
        Ok(format!("{}:{}{}", self.root, self.prefix, bounds::key(key)?))
    }

    /// Which store it is.
    pub(super) fn store(&self) -> &str {
        self.root.rsplit(':').next().unwrap_or_default()
    }

    /// The counter of the store's versions, which no key can be called.
    pub(super) fn versions(&self) -> &str {
        &self.root
    }

    /// The key that is called so; none that is not of this store and prefix.
    pub(super) fn key<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&*self.root)?.strip_prefix(':')?.strip_prefix(&*self.prefix).filter(|key| !key.is_empty())
    }

    /// A pattern of Redis for all that begin so, whatever their beginning holds.
    pub(super) fn pattern(&self, beginning: &str) -> String {
        let name = format!("{}:{}{beginning}", self.root, self.prefix);
        let escaped = name.chars().fold(String::new(), |mut pattern, char| {
            if matches!(char, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(char);
            pattern
        });
        escaped + "*"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new("shop", "cache", &"users:".into())
    }

    #[test]
    fn a_key_begins_with_its_system_its_store_and_the_grants_prefix() {
        assert_eq!(keys().name("7").unwrap(), "archipel:{shop}:kv:cache:users:7");
        assert_eq!(keys().key("archipel:{shop}:kv:cache:users:7"), Some("7"));
        for other in
            ["archipel:{shop}:kv:cache:orders:7", "archipel:{shop}:kv:caches:users:7", "archipel:{shop}:kv:cache", ""]
        {
            assert_eq!(keys().key(other), None, "{other}");
        }
    }

    #[test]
    fn a_pattern_takes_every_character_for_itself() {
        assert_eq!(keys().pattern("*?[a]\\"), "archipel:{shop}:kv:cache:users:\\*\\?\\[a\\]\\\\*");
    }
}
