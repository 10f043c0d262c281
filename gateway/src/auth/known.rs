//! Tokens that have been verified, so that a signature is checked once and not at each request.
//!
//! Bounded in count and in size; a token is kept by its digest, never as text. Only what cannot
//! change is remembered: whether it counts now is asked each time.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use ring::digest;

use super::{Identity, KeySet, claims::Validity};

/// As many tokens as are remembered.
const TOKENS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");
/// Who has a longer name or more roles is verified each time.
const IDENTITY_BYTES_MAX: usize = 256;

/// SHA-256.
pub(super) type TokenDigest = [u8; 32];

pub(super) fn digest_of(token: &str) -> TokenDigest {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(super) struct Known(Mutex<State>);

struct State {
    /// With which keys all of them were verified.
    keys: Option<Arc<KeySet>>,
    tokens: LruCache<TokenDigest, (Identity, Validity)>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { keys: None, tokens: LruCache::new(TOKENS_MAX) }))
    }

    pub(super) fn get(&self, keys: &Arc<KeySet>, token: &TokenDigest) -> Option<(Identity, Validity)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.keep_only(keys);
        state.tokens.get(token).cloned()
    }

    pub(super) fn add(&self, keys: &Arc<KeySet>, token: TokenDigest, identity: &Identity, validity: Validity) {
        let bytes = identity.subject.len() + identity.roles.as_ref().map_or(0, |roles| roles.len());
        if bytes > IDENTITY_BYTES_MAX {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.keep_only(keys);
        state.tokens.put(token, (identity.clone(), validity));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().tokens.len()
    }
}

impl State {
    /// Other keys make everything unknown again.
    fn keep_only(&mut self, keys: &Arc<KeySet>) {
        if !self.keys.as_ref().is_some_and(|known| Arc::ptr_eq(known, keys)) {
            self.tokens.clear();
            self.keys = Some(keys.clone());
        }
    }
}
