//! The keys that the host makes itself: a file under `data`, made once, rotated by hand.
//!
//! The newest key signs, all verify. The file is replaced whole and under a lock, so that two
//! processes that start at once agree on one key, and nobody reads half a file. It is 0600 in a
//! folder that is 0700, and a file that others could read is refused. Where several hosts share their
//! keys (`sharing`), each has all of them in its file, and signs with one that the others can know.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gateway::auth::{KeySet, KeySource, Loading, SigningKey, VerifyingKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::place::{self, Place};

/// How long a key goes on verifying after a newer one signs.
const RETIRED_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// More keys than anybody rotates in a day.
const KEYS_MAX: usize = 32;
const FILE_BYTES_MAX: u64 = 64 << 10;
/// How often the file is looked at while it is used.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why the host has no key of its own.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot use the key file `{}`; it and its folder must belong to whoever runs the host", .path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others can read the key file `{}`; rotate its key, then run `chmod 600` on it", .path.display())]
    Open { path: PathBuf },
    #[error("the key file `{}` is damaged; restore it from a backup, or remove it: then all tokens become invalid", .path.display())]
    Damaged { path: PathBuf },
    #[error("the keys of `{}` were rotated {KEYS_MAX} times within a day; wait until the first of them have expired", .path.display())]
    TooMany { path: PathBuf },
}

/// One file of keys.
pub struct KeyFile {
    path: PathBuf,
    state: Mutex<State>,
    place: OnceLock<Place>,
}

struct State {
    keys: Arc<Vec<SigningKey>>,
    looked: Instant,
    /// The ids of those that other hosts can know; none: there are no others.
    known: Option<BTreeSet<String>>,
    /// The newest that others had when they were asked first.
    found: Option<String>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Oldest first.
    keys: Vec<StoredKey>,
}

/// A private JWK (RFC 8037) and when it was made, in seconds since 1970.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    d: String,
    created: u64,
}

impl KeyFile {
    /// The file of the issuer `name`, made with one key if it is not there.
    pub fn open(data: &Path, name: &str) -> Result<Arc<Self>, KeyFileError> {
        let path = data.join("keys").join(format!("{name}.json"));
        let stored = match read(&path)? {
            Some(stored) => stored,
            None => change(&path, |stored| if stored.keys.is_empty() { add(stored) } else { Ok(()) })?,
        };
        let keys = Arc::new(signing(&stored, &path)?);
        let state = Mutex::new(State { keys, looked: Instant::now(), known: None, found: None });
        Ok(Arc::new(Self { path, state, place: OnceLock::new() }))
    }

    /// From now on other hosts have the same keys by `place`; the first who says so counts.
    pub(super) fn shared_by(&self, place: Place) {
        self.place.get_or_init(|| {
            self.state().known = Some(BTreeSet::new());
            place
        });
    }

    /// The key of `keys` that signs: the newest that others can know, or the newest while they know none.
    pub(super) fn signer<'a>(&self, keys: &'a [SigningKey]) -> Option<&'a SigningKey> {
        let state = self.state();
        let is_known = |key: &&SigningKey| {
            let id = key.public().kid();
            state.known.as_ref().is_none_or(|known| id.is_some_and(|id| known.contains(id)))
        };
        keys.iter().rev().find(is_known).or(keys.last())
    }

    /// Brings the file and what others have to the same; `false`: nobody shares these keys. Cancel safe.
    ///
    /// # Errors
    /// A sentence: the other place does not answer, or one of the two cannot be used.
    pub(super) async fn share(&self) -> Result<bool, String> {
        let Some(place) = self.place.get() else { return Ok(false) };
        for _ in 0..place::ROUNDS_MAX {
            let others = place.read().await?;
            let (path, text) = (self.path.clone(), others.clone());
            let merging = tokio::task::spawn_blocking(move || merge(&path, text.as_deref()));
            let merged = merging.await.map_err(|_broken| "merging keys broke off".to_owned())??;
            let text = serde_json::to_string(&merged).map_err(|error| error.to_string())?;
            let is_same = others.as_ref() == Some(&text);
            if is_same || place.replace(others.as_deref(), &text).await? {
                self.take(signing(&merged, &self.path).map_err(|error| document::problem::chain(&error))?);
                let mut state = self.state();
                if state.known.as_ref().is_none_or(BTreeSet::is_empty) {
                    state.found = others.and_then(|text| newest(&text));
                }
                state.known = Some(merged.keys.into_iter().map(|key| key.kid).collect());
                return Ok(true);
            }
        }
        Err("other hosts change the keys all the time".into())
    }

    /// The id of the newest key that others had before they had ours.
    pub(super) fn found(&self) -> Option<String> {
        self.state().found.clone()
    }

    /// Adds a key, which signs from now on, and forgets those that have been retired for a day.
    /// A host that runs notices within a second or two.
    pub fn rotate(&self) -> Result<String, KeyFileError> {
        let mut too_many = false;
        let stored = change(&self.path, |stored| {
            forget_retired(stored, seconds());
            too_many = stored.keys.len() >= KEYS_MAX;
            if too_many { Ok(()) } else { add(stored) }
        })?;
        if too_many {
            return Err(KeyFileError::TooMany { path: self.path.clone() });
        }
        let newest = stored.keys.last().expect("one was added").kid.clone();
        self.take(signing(&stored, &self.path)?);
        Ok(newest)
    }

    /// All keys, the newest last. Blocking: it reads the file when it was not looked at lately.
    ///
    /// A file that became unusable changes nothing: the log says so.
    pub fn keys(&self) -> Arc<Vec<SigningKey>> {
        if !self.is_due() {
            return self.state().keys.clone();
        }
        let found = read(&self.path).and_then(|stored| signing(&stored.unwrap_or_default(), &self.path));
        match found {
            Ok(keys) => self.take(keys),
            Err(error) => {
                tracing::warn!("{}; the keys from before go on counting", document::problem::chain(&error));
                self.state().looked = Instant::now();
            }
        }
        self.state().keys.clone()
    }

    /// Whether [`Self::keys`] would read the file.
    pub fn is_due(&self) -> bool {
        self.state().looked.elapsed() >= LOOK_EVERY
    }

    fn take(&self, keys: Vec<SigningKey>) {
        let mut state = self.state();
        state.looked = Instant::now();
        // The same keys stay the same value.
        let same =
            state.keys.len() == keys.len() && state.keys.iter().zip(&keys).all(|(a, b)| a.public() == b.public());
        if !same {
            state.keys = Arc::new(keys);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeySource for KeyFile {
    fn load(&self) -> Loading<'_> {
        // Asked for because a key is not known, so it is read now.
        let path = self.path.clone();
        Box::pin(async move {
            // Another host may have made it. That it cannot be asked has been told.
            let _asked = tokio::time::timeout(place::PATIENCE, self.share()).await;
            let reading = tokio::task::spawn_blocking(move || {
                let stored = read(&path)?.unwrap_or_default();
                signing(&stored, &path)
            });
            match reading.await {
                Ok(Ok(keys)) => {
                    let set = public(&keys);
                    self.take(keys);
                    Ok(set)
                }
                Ok(Err(error)) => Err(document::problem::chain(&error)),
                Err(_broken) => Err("reading them broke off".into()),
            }
        })
    }
}

/// The public halves.
pub(super) fn public(keys: &[SigningKey]) -> KeySet {
    KeySet::new(keys.iter().map(|key| key.public().clone()).collect::<Vec<VerifyingKey>>())
}

fn signing(stored: &Stored, path: &Path) -> Result<Vec<SigningKey>, KeyFileError> {
    let half = |text: &str| <[u8; 32]>::try_from(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let key = |stored: &StoredKey| {
        let key = SigningKey::ed25519(&half(&stored.d)?, &half(&stored.x)?)?;
        (stored.kty == "OKP" && stored.crv == "Ed25519" && key.public().kid() == Some(&stored.kid)).then_some(key)
    };
    let keys: Option<Vec<SigningKey>> = stored.keys.iter().map(key).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| KeyFileError::Damaged { path: path.to_owned() })
}

/// The id of the newest key of others.
fn newest(others: &str) -> Option<String> {
    let stored = serde_json::from_str::<Stored>(others).ok()?;
    stored.keys.last().map(|key| key.kid.clone())
}

/// Puts the keys of `others` into the file, and gives all that there are now: what both are to have.
fn merge(path: &Path, others: Option<&str>) -> Result<Stored, String> {
    let damaged = || "what other hosts have of the keys is damaged; remove it, each host puts its own there".to_owned();
    let others: Stored = others.map_or(Ok(Stored::default()), serde_json::from_str).map_err(|_| damaged())?;
    if !others.keys.is_empty() {
        signing(&others, path).map_err(|_| damaged())?;
    }
    let told = |error: KeyFileError| document::problem::chain(&error);
    let own = read(path).map_err(told)?.unwrap_or_default();
    if united(own.clone(), &others, seconds()) == own {
        return Ok(own);
    }
    let unite = |stored: &mut Stored| {
        *stored = united(std::mem::take(stored), &others, seconds());
        Ok(())
    };
    change(path, unite).map_err(told)
}

/// The keys of both, oldest first, without those that have been retired for a day.
fn united(mut own: Stored, others: &Stored, now: u64) -> Stored {
    let is_new = |key: &&StoredKey| own.keys.iter().all(|known| known.kid != key.kid);
    let new: Vec<StoredKey> = others.keys.iter().filter(is_new).cloned().collect();
    own.keys.extend(new);
    own.keys.sort_by(|one, other| (one.created, &one.kid).cmp(&(other.created, &other.kid)));
    forget_retired(&mut own, now);
    let over = own.keys.len().saturating_sub(KEYS_MAX);
    own.keys.drain(..over);
    own
}

/// What the file says; none when there is no file.
fn read(path: &Path) -> Result<Option<Stored>, KeyFileError> {
    let unusable = |source| KeyFileError::Unusable { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    if file.metadata().map_err(unusable)?.permissions().mode() & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.to_owned() });
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(unusable)?;
    serde_json::from_slice(&text).map(Some).map_err(|_| KeyFileError::Damaged { path: path.to_owned() })
}

/// Reads, changes and replaces the file, alone.
fn change(
    path: &Path,
    change: impl FnOnce(&mut Stored) -> Result<(), ring::error::Unspecified>,
) -> Result<Stored, KeyFileError> {
    let unusable = |source| KeyFileError::Unusable { path: path.to_owned(), source };
    let folder = path.parent().expect("a key file is in a folder");
    if let Some(data) = folder.parent() {
        // As the host makes it: subfolders may belong to other accounts.
        DirBuilder::new().recursive(true).mode(0o711).create(data).map_err(unusable)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let lock = options.open(folder.join("lock")).map_err(unusable)?;
    lock.lock().map_err(unusable)?;
    let mut stored = read(path)?.unwrap_or_default();
    change(&mut stored).map_err(|_| unusable(io::Error::other("the system gave no random numbers")))?;
    replace(path, folder, &stored).map_err(unusable)?;
    Ok(stored)
}

/// The whole new file or the whole old one, also after a power cut.
fn replace(path: &Path, folder: &Path, stored: &Stored) -> io::Result<()> {
    let next = path.with_extension("next");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(serde_json::to_string_pretty(stored)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    File::open(folder)?.sync_all()
}

fn add(stored: &mut Stored) -> Result<(), ring::error::Unspecified> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed)?;
    let key = SigningKey::from_seed(&seed).ok_or(ring::error::Unspecified)?;
    let jwk = key.public().to_jwk().expect("an Ed25519 key has a public form");
    let text = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
    stored.keys.push(StoredKey {
        kty: text("kty"),
        crv: text("crv"),
        kid: text("kid"),
        x: text("x"),
        d: URL_SAFE_NO_PAD.encode(seed),
        created: seconds(),
    });
    Ok(())
}

/// A key is retired when a newer one was made.
fn forget_retired(stored: &mut Stored, now: u64) {
    let retired: Vec<u64> = stored.keys.iter().skip(1).map(|newer| newer.created).collect();
    let mut index = 0;
    stored.keys.retain(|_| {
        let since = retired.get(index).copied();
        index += 1;
        since.is_none_or(|since| now.saturating_sub(since) <= RETIRED_MAX.as_secs())
    });
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(keys: &[(&str, u64)]) -> Stored {
        let key = |(kid, created): &(&str, u64)| StoredKey {
            kty: String::new(),
            crv: String::new(),
            kid: (*kid).to_owned(),
            x: String::new(),
            d: String::new(),
            created: *created,
        };
        Stored { keys: keys.iter().map(key).collect() }
    }

    #[test]
    fn hosts_that_put_their_keys_together_agree_in_whichever_order_and_forget_the_same() {
        let day = RETIRED_MAX.as_secs();
        let (one, other) = (stored(&[("b", 5), ("d", 9)]), stored(&[("a", 5), ("b", 5), ("c", 7)]));
        let all = stored(&[("a", 5), ("b", 5), ("c", 7), ("d", 9)]);
        assert!(united(one.clone(), &other, 10) == all && united(other.clone(), &one, 10) == all);
        assert!(united(all.clone(), &one, 10) == all, "nothing is there twice");
        let late = 7 + day + 1;
        let left = stored(&[("c", 7), ("d", 9)]);
        assert!(united(one, &other, late) == left, "`a` and `b` were followed by `c` more than a day ago");
        assert!(united(left.clone(), &all, late) == left, "who comes back with old ones brings none");
        let many: Vec<(String, u64)> = (0..100).map(|number| (format!("{number:03}"), 1)).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|(kid, created)| (&**kid, *created)).collect();
        let bound = united(stored(&many), &Stored::default(), 1);
        assert_eq!((bound.keys.len(), bound.keys.last().map(|key| &*key.kid)), (KEYS_MAX, Some("099")));
    }
}
