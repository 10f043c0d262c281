//! The artifact cache: compiled components on disk, so that the second start compiles nothing.
//!
//! An artifact is native code, and loading a forged one would run it. So: the folder is the
//! host's own (0700); a name is the digest of the wasm and of the engine's compile settings; and
//! a keyed MAC over the content, with a key that never leaves the folder, is checked before an
//! artifact is loaded. Artifacts are never accepted from outside. This is the only file of the
//! project with unsafe code: wasmtime marks loading so for the reason above.
//!
//! What is loaded is there once, however many services run it: code is most of what a small service takes.

use std::{
    collections::HashMap,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use wasmtime::{Engine, component::Component};

use super::{
    ArtifactsError, Digest,
    alone::Alone,
    durable::{private_folder, remove, write_whole},
    names::Names,
};

/// Longer than any compilation takes: who waits longer compiles it too.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// A folder of compiled components.
pub struct Artifacts {
    folder: PathBuf,
    key: hmac::Key,
    max_bytes: AtomicU64,
    /// What runs, by its file.
    loaded: Mutex<HashMap<PathBuf, Weak<Component>>>,
    names: Names,
}

impl Artifacts {
    /// Opens or makes the folder `artifacts` under `data`.
    pub fn open(data: &Path, max_bytes: u64) -> Result<Self, ArtifactsError> {
        let folder = data.join("artifacts");
        let opened = private_folder(&folder).and_then(|()| key(&folder.join("key")));
        match opened {
            Ok(key) => {
                let (max_bytes, loaded, names) = (AtomicU64::new(max_bytes), Mutex::default(), Names::within(&folder));
                Ok(Self { folder, key, max_bytes, loaded, names })
            }
            Err(source) => Err(ArtifactsError { path: folder, source }),
        }
    }

    /// What the functions of the same components are called.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// From the next artifact on.
    pub fn bound(&self, max_bytes: u64) {
        self.max_bytes.store(max_bytes, Relaxed);
    }

    /// The right to make a component's code for `engine`, which is given to one at a time. Blocking.
    pub(super) fn alone(&self, engine: &Engine, digest: &Digest) -> Option<Alone> {
        Alone::at(&self.file(engine, digest).with_extension("lock"), WAIT_MAX)
    }

    /// Keeps code that was just made; a cache that cannot be written to is only a warning.
    pub(super) fn keep(&self, engine: &Engine, digest: &Digest, artifact: &[u8]) -> wasmtime::Result<Arc<Component>> {
        let file = self.file(engine, digest);
        if let Err(error) = self.store(&file, artifact) {
            tracing::warn!(%error, file = %file.display(), "cannot keep a compiled component; the next start compiles it again");
        }
        deserialize(engine, &Ours(artifact)).map(|component| self.shared(file, component))
    }

    /// The same value as everybody else has of this file: theirs if there is one.
    fn shared(&self, file: PathBuf, component: Component) -> Arc<Component> {
        if let Some(theirs) = self.running(component.engine(), &file) {
            return theirs;
        }
        let component = Arc::new(component);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_file, component| component.strong_count() > 0);
        loaded.insert(file, Arc::downgrade(&component));
        component
    }

    fn running(&self, engine: &Engine, file: &Path) -> Option<Arc<Component>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.get(file)?.upgrade().filter(|component| Engine::same(component.engine(), engine))
    }

    /// Drops what is not needed any more.
    pub fn forget(&self, engine: &Engine, digest: &Digest) {
        let file = self.file(engine, digest);
        for file in [file.with_extension("mac"), file] {
            if let Err(error) = remove(&file) {
                tracing::debug!(%error, file = %file.display(), "cannot remove a compiled component");
            }
        }
    }

    fn file(&self, engine: &Engine, digest: &Digest) -> PathBuf {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        self.folder.join(format!("{digest}-{:016x}.cwasm", settings.finish()))
    }

    /// What is in the cache, unless that is damaged or another host's.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Arc<Component>> {
        let file = &self.file(engine, digest);
        if let Some(running) = self.running(engine, file) {
            return Some(running);
        }
        let content = fs::read(file).ok()?;
        let tag = fs::read(file.with_extension("mac")).ok()?;
        if hmac::verify(&self.key, &content, &tag).is_err() {
            tracing::warn!(file = %file.display(), "a compiled component is damaged or not ours; compiling it again");
            return None;
        }
        // Recently used ones are the last to be removed; a clock that cannot be set is no harm.
        let _ = File::open(file).and_then(|file| file.set_modified(SystemTime::now()));
        match deserialize(engine, &Ours(&content)) {
            Ok(component) => Some(self.shared(file.clone(), component)),
            Err(error) => {
                tracing::warn!(file = %file.display(), error = %format!("{error:#}"), "cannot load a compiled component; compiling it again");
                None
            }
        }
    }

    fn store(&self, file: &Path, artifact: &[u8]) -> io::Result<()> {
        self.make_room(artifact.len() as u64)?;
        let tag = hmac::sign(&self.key, artifact);
        write_whole(file, artifact)?;
        write_whole(&file.with_extension("mac"), tag.as_ref())
    }

    /// Removes the least recently used artifacts until `bytes` more fit.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "cwasm") {
                let metadata = fs::metadata(&path)?;
                kept.push((metadata.modified()?, metadata.len(), path));
            }
        }
        kept.sort_unstable();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in kept {
            if total + bytes <= self.max_bytes.load(Relaxed) {
                break;
            }
            remove(&path)?;
            remove(&path.with_extension("mac"))?;
            total -= size;
        }
        Ok(())
    }
}

/// An artifact this host has just compiled, or whose MAC it has just verified.
struct Ours<'a>(&'a [u8]);

#[allow(
    unsafe_code,
    reason = "wasmtime can only promise safety for artifacts it made itself; see the top of this file"
)]
fn deserialize(engine: &Engine, artifact: &Ours<'_>) -> wasmtime::Result<Component> {
    // SAFETY: these very bytes were made by this host's own engine: just now, or earlier and
    // verified since with a key that only this user can read.
    unsafe { Component::deserialize(engine, artifact.0) }
}

fn key(file: &Path) -> io::Result<hmac::Key> {
    let mut bytes = [0; 32];
    match File::open(file).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
            write_whole(file, &bytes)?;
        }
        Err(error) => return Err(error),
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        component::Workshop,
        engine::{ANY_MEMORY, Lookers},
    };

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn cache() -> (tempfile::TempDir, Artifacts, Engine) {
        let data = tempfile::tempdir().expect("a temporary folder");
        let artifacts = Artifacts::open(data.path(), 1 << 20).expect("opens");
        (data, artifacts, Lookers::new(ANY_MEMORY).expect("an engine").full)
    }

    fn load(artifacts: &Artifacts, engine: &Engine) -> bool {
        let workshop = Workshop { full: engine, quick: None, artifacts: Some(artifacts), turn: None };
        let digest = Digest::of(EMPTY_COMPONENT);
        workshop.code(&digest, EMPTY_COMPONENT, Path::new("empty.wasm")).expect("compiles").cached
    }

    #[test]
    fn the_second_load_compiles_nothing() {
        let (_data, artifacts, engine) = cache();
        assert!(!load(&artifacts, &engine));
        assert!(load(&artifacts, &engine));
    }

    #[test]
    fn code_is_there_once_however_many_run_it_and_goes_with_the_last() {
        let (_data, artifacts, engine) = cache();
        let loaded = || {
            let workshop = Workshop { full: &engine, quick: None, artifacts: Some(&artifacts), turn: None };
            workshop
                .code(&Digest::of(EMPTY_COMPONENT), EMPTY_COMPONENT, Path::new("empty.wasm"))
                .expect("code")
                .compiled
        };
        let (one, other) = (loaded(), loaded());
        assert!(Arc::ptr_eq(&one, &other));
        let gone = Arc::downgrade(&one);
        drop((one, other));
        assert!(gone.upgrade().is_none(), "the cache keeps none alive");
        // Code for another engine is another's.
        let elsewhere = Lookers::new(ANY_MEMORY).expect("an engine").full;
        let here = loaded();
        let workshop = Workshop { full: &elsewhere, quick: None, artifacts: Some(&artifacts), turn: None };
        let there =
            workshop.code(&Digest::of(EMPTY_COMPONENT), EMPTY_COMPONENT, Path::new("empty.wasm")).expect("code");
        assert!(Engine::same(there.compiled.engine(), &elsewhere) && !Arc::ptr_eq(&there.compiled, &here));
    }

    #[test]
    fn a_damaged_artifact_is_compiled_again_and_never_loaded() {
        let (_data, artifacts, engine) = cache();
        load(&artifacts, &engine);
        let file = artifacts.file(&engine, &Digest::of(EMPTY_COMPONENT));
        let mut content = fs::read(&file).expect("kept");
        content[100] ^= 1;
        fs::write(&file, content).expect("writes");
        assert!(!load(&artifacts, &engine));
        assert!(load(&artifacts, &engine), "repaired");
    }

    #[test]
    fn the_cache_stays_within_its_bound() {
        let (data, _, engine) = cache();
        let artifacts = Artifacts::open(data.path(), 1).expect("opens");
        load(&artifacts, &engine);
        artifacts.make_room(1).expect("makes room");
        let left = fs::read_dir(&artifacts.folder).expect("reads").count();
        assert_eq!(left, 1, "only the key");
    }
}
