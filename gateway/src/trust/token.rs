//! The token with which a host speaks for a service: signed by it, for one callee, for a minute.
//!
//! Says in its claims on whose behalf the call is, so that nothing else need be believed. Read tokens are
//! remembered until they expire, by their digest, at most [`KNOWN_MAX`] of them.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use lru::LruCache;
use ring::digest;
use serde_json::{Map, Value};

use super::{
    error::TrustError,
    word::{Word, source},
};
use crate::auth::{Claims, Identity, Keys, Rules, TokenError, Verifier, issuer_of, now};

/// As many tokens as are remembered.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// The longest that a token may be good for.
const LIFE_MAX: Duration = Duration::from_secs(60);
/// How far two hosts' clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(5);

/// Reads the tokens of other hosts.
pub(super) struct Tokens {
    /// By the name they sign as.
    verifiers: BTreeMap<Arc<str>, Verifier>,
    known: Mutex<LruCache<[u8; 32], Known>>,
}

#[derive(Clone)]
struct Known {
    peer: Arc<str>,
    audience: String,
    word: Word,
    expires: f64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new([])
    }
}

impl Tokens {
    pub(super) fn new(keys: impl IntoIterator<Item = (Arc<str>, Arc<Keys>)>) -> Self {
        let verifier = |(name, keys): (Arc<str>, _)| {
            let rules = Rules { issuer: Some(name.to_string()), leeway: LEEWAY, ..Rules::default() };
            (name, Verifier::new(rules, keys))
        };
        let known = Mutex::new(LruCache::new(KNOWN_MAX));
        Self { verifiers: keys.into_iter().map(verifier).collect(), known }
    }

    /// Who signed it, and what it says of a request to `service`.
    pub(super) async fn read(&self, token: &HeaderValue, service: &str) -> Result<(Arc<str>, Word), TrustError> {
        let refused = |reason| TrustError::Token(TokenError::Refused(reason));
        let text = token.to_str().map_err(|_| refused("it is no text"))?;
        let digest: [u8; 32] =
            digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        let known = self.known().get(&digest).cloned();
        let read = match known {
            Some(known) => known,
            None => {
                let read = self.verified(text).await?;
                self.known().put(digest, read.clone());
                read
            }
        };
        if now() >= read.expires + LEEWAY.as_secs_f64() {
            return Err(refused("it has expired"));
        }
        match read.audience == service {
            true => Ok((read.peer, read.word)),
            false => Err(refused("it is for another service")),
        }
    }

    async fn verified(&self, token: &str) -> Result<Known, TrustError> {
        let refused = |reason| TrustError::Token(TokenError::Refused(reason));
        let issuer = issuer_of(token).map_err(TrustError::Token)?;
        let Some((peer, verifier)) = self.verifiers.get_key_value(&*issuer) else {
            return Err(TrustError::Nobody { issuer: issuer.chars().take(64).collect() });
        };
        let Claims { all, .. } = verifier.claims(token).await.map_err(TrustError::Token)?;
        let expires = all.get("exp").and_then(Value::as_f64).unwrap_or_default();
        if expires > now() + (LIFE_MAX + LEEWAY).as_secs_f64() {
            return Err(refused("it is good for more than a minute"));
        }
        let audience = all.get("aud").and_then(Value::as_str).ok_or(refused("it is for no service"))?.to_owned();
        let word = said(&all).map_err(TrustError::Token)?;
        Ok(Known { peer: peer.clone(), audience, word, expires })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, LruCache<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(claims: &Map<String, Value>) -> Result<Word, TokenError> {
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(TokenError::Refused("what it says of who calls is no text")),
    };
    let roles = text("user_roles")?.unwrap_or_default();
    let roles = roles.split(',').filter(|role| !role.is_empty());
    let identity = text("user")?.map(|user| Identity::new(user, roles)).transpose()?;
    Ok(Word { identity, source: text("source")?.map(source).transpose()?, ..Word::default() })
}
