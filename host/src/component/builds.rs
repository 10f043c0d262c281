//! Builds that were sent to the host: kept, so that a restart and a rollback find them again.
//!
//! The name of a file is the digest of its content, and what has another digest is not used.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Digest,
    durable::{private_folder, remove, write_whole},
};

/// The folder `builds` under `data`.
pub struct Builds(PathBuf);

impl Builds {
    pub fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join("builds");
        private_folder(&folder)?;
        Ok(Self(folder))
    }

    pub fn keep(&self, digest: &Digest, wasm: &[u8]) -> io::Result<()> {
        let file = self.file(digest);
        if self.get(digest).is_some() { Ok(()) } else { write_whole(&file, wasm) }
    }

    /// The build of this digest, if it is here undamaged.
    pub fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        fs::read(self.file(digest)).ok().filter(|wasm| Digest::of(wasm) == *digest)
    }

    /// Removes every build but `wanted`.
    pub fn keep_only(&self, wanted: &BTreeSet<Digest>) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() {
                continue; // nothing of ours
            }
            let path = entry.path();
            let digest = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if !digest.is_some_and(|digest: Digest| wanted.contains(&digest)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.0.join(format!("{digest}.wasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_found_again_unless_it_is_damaged_or_unwanted() {
        let data = tempfile::tempdir().unwrap();
        let builds = Builds::open(data.path()).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        builds.keep(&one, b"one").unwrap();
        builds.keep(&two, b"two").unwrap();
        assert_eq!(builds.get(&one).as_deref(), Some(&b"one"[..]));
        fs::write(builds.file(&one), b"onf").unwrap();
        assert_eq!(builds.get(&one), None);
        builds.keep(&one, b"one").unwrap();
        assert!(builds.get(&one).is_some(), "repaired");
        builds.keep_only(&BTreeSet::from([two])).unwrap();
        assert_eq!((builds.get(&one), builds.get(&two).is_some()), (None, true));
    }
}
