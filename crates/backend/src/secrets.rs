//! The values of secrets, for those who are granted them: set once, or in a file that is read again
//! when it changes.
//!
//! A file is looked at once a second at most, and by its path each time, so that one that was
//! renamed into place, or whose folder was swapped (Kubernetes' `..data`), is found. While it cannot
//! be read, the last value stays. Nothing here is ever printed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use grant::{
    Granted, Grants,
    net::{Destination, Place, Scheme, Target},
    secrets::SecretGrant,
};
use http::{HeaderName, HeaderValue};
use manifest::{Secret, SecretHeader, SecretSettings, SecretSource};

/// How often a file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const SECRET_MAX_BYTES: u64 = 64 << 10;

/// The secrets of one service.
#[derive(Debug)]
pub struct Secrets(BTreeMap<Arc<str>, Arc<Held>>);

#[derive(Debug)]
struct Held {
    place: Kept,
    header: Option<SecretHeader>,
}

#[derive(Debug)]
enum Kept {
    Value(Secret),
    File { path: PathBuf, state: Mutex<State> },
}

#[derive(Debug, Default)]
struct State {
    looked: Option<Instant>,
    /// Somebody is reading it.
    looking: bool,
    /// What the file was when it was read last.
    seen: Option<Seen>,
    value: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A secret has no value now. The reason is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("the secret `{name}` cannot be read")]
pub struct SecretError {
    pub name: Arc<str>,
    #[source]
    source: io::Error,
}

impl Secrets {
    pub fn new(settings: &BTreeMap<Arc<str>, SecretSettings>) -> Self {
        let held = |settings: &SecretSettings| {
            let place = match &settings.source {
                SecretSource::Value(value) => Kept::Value(value.clone()),
                SecretSource::File(path) => Kept::File { path: path.clone(), state: Mutex::default() },
            };
            Arc::new(Held { place, header: settings.header.clone() })
        };
        Self(settings.iter().map(|(name, settings)| (name.clone(), held(settings))).collect())
    }

    /// Whether it is one that the component reads itself: not one that the host puts into requests.
    pub fn is_readable(&self, granted: &Granted<SecretGrant>) -> bool {
        self.0.get(&granted.get().name).is_some_and(|held| held.header.is_none())
    }

    /// What a component reads. Cancel safe.
    ///
    /// # Errors
    /// [`SecretError`] where its file was never read.
    pub async fn value(&self, granted: &Granted<SecretGrant>) -> Result<Option<Secret>, SecretError> {
        match self.0.get(&granted.get().name).filter(|held| held.header.is_none()) {
            Some(held) => held.clone().now(&granted.get().name).await.map(Some),
            None => Ok(None),
        }
    }

    /// The headers that requests to `to` carry: over TLS, or to this machine itself. Cancel safe.
    ///
    /// # Errors
    /// [`SecretError`] where a file was never read.
    pub async fn headers(
        &self,
        grants: &Grants,
        to: &Granted<Destination>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SecretError> {
        let mut headers = Vec::new();
        for granted in grants.secrets() {
            let name = &granted.get().name;
            let Some(held) = self.0.get(name) else { continue };
            let Some(header) = held.header.as_ref().filter(|header| is_for(header, to.get().target())) else {
                continue;
            };
            let value = held.clone().now(name).await?;
            let mut value = HeaderValue::try_from(header.text(value.reveal())).map_err(|_invalid| SecretError {
                name: name.clone(),
                source: io::Error::new(io::ErrorKind::InvalidData, "it has characters that no header may have"),
            })?;
            value.set_sensitive(true);
            headers.push((header.name.clone(), value));
        }
        Ok(headers)
    }
}

/// Exactly that host and port, where nobody on the way can read along.
fn is_for(header: &SecretHeader, target: &Target) -> bool {
    let private = match (target.scheme, &target.place) {
        (Scheme::Https, _) => true,
        (Scheme::Http, Place::Address(address)) => address.is_loopback(),
        (Scheme::Http, Place::Name(name)) => name == "localhost",
        (Scheme::Raw, _) => false,
    };
    private && header.to.place == target.place && header.to.port == target.port
}

impl Held {
    async fn now(self: Arc<Self>, name: &Arc<str>) -> Result<Secret, SecretError> {
        let failed = |source| SecretError { name: name.clone(), source };
        if let Some(value) = self.fresh() {
            return Ok(value);
        }
        let of = name.clone();
        let looked = tokio::task::spawn_blocking(move || self.look(&of)).await;
        looked.map_err(|broken| failed(io::Error::other(broken)))?.map_err(failed)
    }

    /// The value, where it need not be looked for: while somebody looks, the last one.
    fn fresh(&self) -> Option<Secret> {
        match &self.place {
            Kept::Value(value) => Some(value.clone()),
            Kept::File { state, .. } => {
                let state = lock(state);
                let is_fresh = state.looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL);
                state.value.clone().filter(|_| is_fresh || state.looking)
            }
        }
    }

    /// Nothing is locked while a file is read: a file system that hangs holds up one look.
    fn look(&self, name: &str) -> io::Result<Secret> {
        if let Some(value) = self.fresh() {
            return Ok(value);
        }
        let Kept::File { path, state } = &self.place else { return Err(io::ErrorKind::NotFound.into()) };
        let seen = {
            let mut state = lock(state);
            (state.looked, state.looking) = (Some(Instant::now()), true);
            state.seen
        };
        let found = read(path, seen);
        let mut state = lock(state);
        state.looking = false;
        match found {
            Ok(None) => {}
            Ok(Some((seen, value))) => {
                state.seen = Some(seen);
                if state.value.replace(value).is_some() {
                    tracing::info!(secret = name, "a secret was read again from its file");
                }
            }
            Err(error) => {
                state.seen = None;
                tracing::warn!(secret = name, file = %path.display(), %error, "cannot read a secret's file");
                return state.value.clone().ok_or(error);
            }
        }
        state.value.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the file holds; nothing when it is the one that was `seen`.
fn read(path: &Path, seen: Option<Seen>) -> io::Result<Option<(Seen, Secret)>> {
    let file = File::options().read(true).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let now = Seen {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    };
    if seen == Some(now) {
        return Ok(None);
    }
    let mut text = String::new();
    file.take(SECRET_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 64 KiB"));
    }
    Ok(Some((now, Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn held(path: &Path) -> Held {
        Held { place: Kept::File { path: path.to_owned(), state: Mutex::default() }, header: None }
    }

    /// As if a second had passed since the last look.
    fn later(held: &Held) {
        if let Kept::File { state, .. } = &held.place {
            state.lock().unwrap().looked = None;
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_is_replaced_and_the_last_value_stays_while_it_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        // As Kubernetes mounts a secret, and rotates it.
        for (version, value) in [("..1", "one\n"), ("..2", "two\n")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("key"), value).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        let held = held(&at("key"));
        assert_eq!(held.look("key").unwrap().reveal(), "one");
        symlink("..2", at("..next")).unwrap();
        std::fs::rename(at("..next"), at("..data")).unwrap();
        assert_eq!(held.look("key").unwrap().reveal(), "one", "looked at a moment ago");
        later(&held);
        assert_eq!(held.look("key").unwrap().reveal(), "two");
        std::fs::remove_file(at("key")).unwrap();
        later(&held);
        assert_eq!(held.look("key").unwrap().reveal(), "two");
        std::fs::write(at("key"), "three").unwrap();
        later(&held);
        assert_eq!(held.look("key").unwrap().reveal(), "three");
    }

    #[test]
    fn a_file_that_was_never_there_is_an_error_and_nothing_prints_a_value() {
        let place = tempfile::tempdir().unwrap();
        assert!(held(&place.path().join("none")).look("none").is_err());
        std::fs::write(place.path().join("key"), "canary").unwrap();
        let held = held(&place.path().join("key"));
        held.look("key").unwrap();
        assert!(!format!("{held:?}").contains("canary"), "{held:?}");
    }

    #[test]
    fn a_header_goes_to_its_own_host_and_port_and_never_in_the_clear() {
        let header = |to: &str| SecretHeader {
            to: Target::new(Scheme::Https, to).unwrap(),
            name: http::header::AUTHORIZATION,
            before: "Bearer ".into(),
            after: String::new(),
        };
        for (to, target, yes) in [
            ("api.stripe.com", "https://api.stripe.com", true),
            ("api.stripe.com", "https://API.stripe.com.", true),
            ("api.stripe.com", "http://api.stripe.com:443", false),
            ("api.stripe.com", "http://api.stripe.com", false),
            ("api.stripe.com", "https://api.stripe.com:8443", false),
            ("api.stripe.com", "https://evil.api.stripe.com", false),
            ("api.stripe.com", "https://api.stripe.com.evil.org", false),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8081", false),
            ("localhost:8080", "http://localhost:8080", true),
            ("10.0.0.1:8080", "http://10.0.0.1:8080", false),
        ] {
            assert_eq!(is_for(&header(to), &target.parse().unwrap()), yes, "{to} {target}");
        }
    }
}
