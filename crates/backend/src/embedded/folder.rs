//! The host's `data` folder: made, locked, writable, or a clear refusal.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::OFlags;

/// A `data` folder that this host alone uses, as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Locked; the lock ends with the file, also after kill -9.
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot write to `{path}`; make it writable or set `host.data` to another folder")]
    NotWritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another host (pid {pid}) uses `{path}`; stop it or set `host.data` to another folder")]
    InUse { path: PathBuf, pid: String },
}

impl DataFolder {
    /// Makes the folder if it is missing (0711: subfolders belong to other accounts) and locks it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let refused = |source| FolderError::NotWritable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(refused)?;
        let path = path.canonicalize().map_err(refused)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        // In another account's folder it may be a link to anything.
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut lock = options.open(path.join("lock")).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse { pid: pid_in(&mut lock), path }),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        write_pid(&mut lock).map_err(refused)?;
        Ok(Self { path, _lock: lock })
    }

    /// A secret text of the host's own in the file `name` (0600): made on first use, then the same.
    pub fn secret(&self, name: &str) -> io::Result<String> {
        let file = self.path.join(name);
        let private = fs::metadata(&file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0);
        if let Ok(found) = fs::read_to_string(&file)
            && found.trim().len() >= 32
        {
            if private {
                return Ok(found.trim().to_owned());
            }
            tracing::warn!(file = %file.display(), "others could read this secret; a new one takes its place");
        }
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
        let text = hex::encode(bytes);
        let beside = self.path.join(format!("{name}.tmp"));
        let _left_by_a_crash = fs::remove_file(&beside);
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        writeln!(written, "{text}")?;
        written.sync_all()?;
        fs::rename(beside, file)?;
        Ok(text)
    }

    /// Absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    write!(lock, "{}", std::process::id())
}

fn pid_in(lock: &mut File) -> String {
    let mut pid = String::new();
    match lock.take(20).read_to_string(&mut pid) {
        Ok(1..) => pid,
        Ok(0) | Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_host_on_the_same_folder_is_refused_with_the_first_ones_pid() {
        let place = tempfile::tempdir().unwrap();
        let first = DataFolder::open(&place.path().join("data")).unwrap();
        let second = DataFolder::open(first.path()).unwrap_err();
        assert!(matches!(second, FolderError::InUse { pid, .. } if pid == std::process::id().to_string()));
        drop(first);
        // A process that another test is just starting may hold the lock until it runs.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while DataFolder::open(&place.path().join("data")).is_err() {
            assert!(std::time::Instant::now() < deadline, "the lock ends with its host");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_lock_that_is_a_link_is_refused_and_what_it_leads_to_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let precious = place.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        std::os::unix::fs::symlink(&precious, place.path().join("lock")).unwrap();
        assert!(matches!(DataFolder::open(place.path()), Err(FolderError::NotWritable { .. })));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = DataFolder::open(Path::new("/proc/nowhere/data")).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere/data"), "{error}");
    }
}
