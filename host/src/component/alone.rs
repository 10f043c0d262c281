//! One at a time, also among processes: a file that is locked while somebody is at work.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

/// How often one that is held is tried again.
const LOOK: Duration = Duration::from_millis(20);

/// Nobody else has it, until this is dropped.
pub(super) struct Alone {
    path: PathBuf,
    _locked: File,
}

impl Alone {
    /// Waits for those before it, `patience` at most; none after that, or where a folder knows no locks.
    pub(super) fn at(path: &Path, patience: Duration) -> Option<Self> {
        let until = Instant::now() + patience;
        loop {
            match Self::attempt(path) {
                Ok(Some(alone)) => return Some(alone),
                Ok(None) if Instant::now() < until => thread::sleep(LOOK),
                Ok(None) => return None,
                Err(error) => {
                    tracing::debug!(file = %path.display(), %error, "cannot lock");
                    return None;
                }
            }
        }
    }

    fn attempt(path: &Path) -> io::Result<Option<Self>> {
        let locked = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match flock(&locked, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            done => done?,
        }
        // Whoever had it before removes it: another one may be there by now.
        let is_there =
            fs::metadata(path).is_ok_and(|there| locked.metadata().is_ok_and(|own| own.ino() == there.ino()));
        Ok(is_there.then(|| Self { path: path.to_owned(), _locked: locked }))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // One that stays is no harm.
        let _ = fs::remove_file(&self.path);
    }
}
