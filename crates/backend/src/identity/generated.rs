//! The keys that the host makes itself: a file under `data`, made once, rotated by hand.
//!
//! The newest key signs, all verify. The file is replaced whole and under a lock, so that two
//! processes that start at once agree on one key, and nobody reads half a file. It is 0600 in a
//! folder that is 0700, and a file that others could read is refused.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gateway::auth::{KeySet, KeySource, Loading, SigningKey, VerifyingKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

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
}

struct State {
    keys: Arc<Vec<SigningKey>>,
    looked: Instant,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// Oldest first.
    keys: Vec<StoredKey>,
}

/// A private JWK (RFC 8037) and when it was made, in seconds since 1970.
#[derive(Serialize, Deserialize)]
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
        Ok(Arc::new(Self { path, state: Mutex::new(State { keys, looked: Instant::now() }) }))
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
