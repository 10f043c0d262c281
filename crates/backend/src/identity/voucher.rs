//! Our own word to other hosts: a token for each call that leaves this one, good for a minute, for its callee only.
//!
//! Says on whose behalf the call is, so that the other host need believe nothing else. The key is made on first use
//! and kept under `data`; others find its public half on the gateway. A token is used again for half of its life,
//! at most [`MADE_MAX`] of them are remembered.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use gateway::auth::SigningKey;
use http::HeaderValue;
use lru::LruCache;
use serde_json::{Map, Value, json};

use super::{
    generated::{KeyFile, KeyFileError},
    issuer::SignError,
    place::{Kept, PATIENCE, Place},
    sharing::Sharing,
};
use crate::redis::Store;

const LIFE: Duration = Duration::from_secs(60);
/// How long a token is used again: it must outlive the call.
const USED_FOR: Duration = Duration::from_secs(25);
const MADE_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// How long a new key is shown before it signs: longer than others wait before they ask for keys again.
const SHOWN_FOR: Duration = Duration::from_secs(12);
/// No issuer of a manifest can have this name: there is a dot in it.
const KEY: &str = "host.trust";

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spoken {
    /// The service that is called, as its own host calls it.
    pub callee: Arc<str>,
    /// The service that calls; none: the gateway.
    pub source: Option<Arc<str>>,
    /// On whose behalf.
    pub user: Option<HeaderValue>,
    pub roles: Option<HeaderValue>,
}

/// Signs them.
pub struct Voucher {
    system: Arc<str>,
    keys: Arc<KeyFile>,
    made: Mutex<LruCache<Spoken, (HeaderValue, Instant)>>,
    turn: Mutex<Turn>,
    /// Keeps its keys and those of other hosts the same.
    sharing: OnceLock<Sharing>,
}

/// Which key signs, by its id.
#[derive(Default)]
struct Turn {
    signs: Option<String>,
    /// The newest one, and since when it is shown.
    next: Option<(String, Instant)>,
}

impl Turn {
    /// Of `keys`, the newest last. The first to be asked for signs at once, a later one when others can know it.
    fn of<'a>(&mut self, keys: &'a [SigningKey], now: Instant) -> Option<&'a SigningKey> {
        let newest = keys.last()?;
        let id = newest.public().kid().unwrap_or_default();
        let before =
            keys.iter().find(|key| key.public().kid().is_some() && key.public().kid() == self.signs.as_deref());
        if let Some(before) = before.filter(|_| self.signs.as_deref() != Some(id)) {
            match &self.next {
                Some((next, since)) if next == id && now.duration_since(*since) >= SHOWN_FOR => {}
                Some((next, _)) if next == id => return Some(before),
                _ => {
                    self.next = Some((id.to_owned(), now));
                    return Some(before);
                }
            }
        }
        self.signs = Some(id.to_owned());
        self.next = None;
        Some(newest)
    }
}

impl Voucher {
    /// As the host of the manifest `system`.
    ///
    /// # Errors
    /// There is no key, and none can be made.
    pub fn open(system: &str, data: &Path) -> Result<Self, KeyFileError> {
        let made = Mutex::new(LruCache::new(MADE_MAX));
        let (keys, turn, sharing) = (KeyFile::open(data, KEY)?, Mutex::default(), OnceLock::new());
        Ok(Self { system: system.into(), keys, made, turn, sharing })
    }

    /// Shares the keys with the other hosts of the manifest, by `store`; waits for theirs, but not for long. A host that
    /// comes later signs with a key that they show already, until they show its own. Once. Cancel safe.
    pub async fn share(&self, store: Arc<Store>) {
        if self.sharing.get().is_some() {
            return;
        }
        self.keys.shared_by(Place::new(Kept::Redis(store), &self.system, KEY));
        // What fails is tried again, and told, by whoever sees to it from now on.
        let _first = tokio::time::timeout(PATIENCE, self.keys.share()).await;
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).signs = self.keys.found();
        self.sharing.get_or_init(|| Sharing::start(self.keys.clone(), KEY.into()));
    }

    /// Adds a key to those under `data`; gives its id. A host that runs shows it within seconds, and signs with it
    /// when others had the time to ask for it.
    ///
    /// # Errors
    /// There is no key file, and none can be made.
    pub fn rotate(data: &Path) -> Result<String, KeyFileError> {
        KeyFile::open(data, KEY)?.rotate()
    }

    /// Cancel safe.
    ///
    /// # Errors
    /// [`SignError`] when the key does not work.
    pub async fn token(self: &Arc<Self>, spoken: Spoken) -> Result<HeaderValue, SignError> {
        if let Some(token) = self.known(&spoken) {
            return Ok(token);
        }
        let token = match self.keys.is_due() {
            false => self.sign(&spoken)?,
            true => {
                let (this, spoken) = (self.clone(), spoken.clone());
                tokio::task::spawn_blocking(move || this.sign(&spoken)).await.map_err(|_broken| SignError::Broken)??
            }
        };
        self.made().put(spoken, (token.clone(), Instant::now()));
        Ok(token)
    }

    /// The key set by which others tell our tokens.
    pub async fn published(&self) -> Value {
        let keys = self.keys.clone();
        let public = move || keys.keys().iter().filter_map(|key| key.public().to_jwk()).collect::<Vec<_>>();
        json!({ "keys": tokio::task::spawn_blocking(public).await.unwrap_or_default() })
    }

    fn known(&self, spoken: &Spoken) -> Option<HeaderValue> {
        let mut made = self.made();
        let (token, at) = made.get(spoken)?;
        (at.elapsed() < USED_FOR).then(|| token.clone())
    }

    fn sign(&self, spoken: &Spoken) -> Result<HeaderValue, SignError> {
        let now = gateway::auth::now() as u64;
        let mut claims = Map::new();
        let mut say = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        say("iss", (*self.system).into());
        say("sub", spoken.source.as_deref().unwrap_or(&self.system).into());
        say("aud", (*spoken.callee).into());
        say("iat", now.into());
        say("exp", (now + LIFE.as_secs()).into());
        if let Some(source) = &spoken.source {
            say("source", (**source).into());
        }
        for (name, value) in [("user", &spoken.user), ("user_roles", &spoken.roles)] {
            if let Some(Ok(value)) = value.as_ref().map(HeaderValue::to_str) {
                say(name, value.into());
            }
        }
        let keys = self.keys.keys();
        let key = self.turn.lock().unwrap_or_else(PoisonError::into_inner).of(&keys, Instant::now());
        let token = key.ok_or(SignError::Broken)?.sign(&claims)?;
        let mut token = HeaderValue::try_from(token).expect("a token is visible ASCII");
        token.set_sensitive(true);
        Ok(token)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, LruCache<Spoken, (HeaderValue, Instant)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_when_others_had_the_time_to_ask_for_it() {
        let key = |seed| SigningKey::from_seed(&[seed; 32]).unwrap();
        let id = |key: Option<&SigningKey>| key.unwrap().public().kid().unwrap().to_owned();
        let (one, two, three) = ([key(1)], [key(1), key(2)], [key(1), key(2), key(3)]);
        let (mut turn, start) = (Turn::default(), Instant::now());
        assert_eq!(id(turn.of(&one, start)), id(one.last()), "the first signs at once");
        assert_eq!(id(turn.of(&two, start)), id(one.last()));
        let later = start + SHOWN_FOR;
        assert_eq!(id(turn.of(&two, later - Duration::from_millis(1))), id(one.last()));
        assert_eq!(id(turn.of(&three, later)), id(one.last()), "the newest was not shown yet");
        assert_eq!(id(turn.of(&three, later + SHOWN_FOR)), id(three.last()));
        assert_eq!(id(turn.of(&three[..2], later + SHOWN_FOR)), id(two.last()), "the one that signed is gone");
        assert!(turn.of(&[], later).is_none());
        assert_eq!(id(Turn::default().of(&two, start)), id(two.last()), "a host that starts has shown it");
    }
}
