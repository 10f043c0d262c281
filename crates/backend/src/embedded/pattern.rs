//! A database cluster that others are copied of, where data is thrown away and made anew each time: copying one takes a
//! twentieth of what `initdb` does.
//!
//! It is made of the first cluster there, before a server has seen it. One of other binaries, or of another account, is
//! replaced; there is never more than one.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use uuid::Uuid;

use super::{account::Account, binaries::Binaries};

const FOLDER: &str = "postgres-pattern";
/// What it was made with.
const MADE_WITH: &str = "made-with";
const CLUSTER: &str = "cluster";

/// Where the pattern is, or will be.
#[derive(Debug)]
pub(super) struct Pattern {
    folder: PathBuf,
    made_with: String,
    account: Account,
}

impl Pattern {
    /// In the folder `kept`, for these binaries and this account.
    ///
    /// # Errors
    /// Where the binaries are not there.
    pub(super) fn of(kept: &Path, binaries: &Binaries, account: &Account) -> io::Result<Self> {
        let initdb = binaries.folder.join("initdb");
        let found = fs::metadata(&initdb)?;
        let changed = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let made_with = format!(
            "{} of {} bytes, {} ns, for {}\n",
            initdb.display(),
            found.size(),
            changed.as_nanos(),
            account.name
        );
        Ok(Self { folder: kept.join(FOLDER), made_with, account: account.clone() })
    }

    /// Fills the empty folder `cluster`; not if there is no pattern for it, and then it is empty still. Blocks.
    pub(super) fn fill(&self, cluster: &Path) -> io::Result<bool> {
        if !fs::read_to_string(self.folder.join(MADE_WITH)).is_ok_and(|found| found == self.made_with) {
            return Ok(false);
        }
        self.copy(&self.folder.join(CLUSTER), cluster)?;
        Ok(true)
    }

    /// Makes the pattern of a cluster that nobody has used yet. Whoever does the same at this time may be first. Blocks.
    pub(super) fn keep(&self, cluster: &Path) -> io::Result<()> {
        let new = self.folder.with_extension(Uuid::new_v4().simple().to_string());
        let made = self.make(&new, cluster);
        if made.is_err() {
            // Litter only.
            let _ = fs::remove_dir_all(&new);
        }
        made
    }

    fn make(&self, new: &Path, cluster: &Path) -> io::Result<()> {
        let copy = new.join(CLUSTER);
        fs::create_dir_all(&copy)?;
        self.same_mode(cluster, &copy)?;
        self.copy(cluster, &copy)?;
        fs::write(new.join(MADE_WITH), &self.made_with)?;
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::rename(new, &self.folder)
    }

    /// What is in a folder, for the same account. There are files and folders in a cluster that is new, and nothing else.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type()?;
            match kind.is_dir() {
                true => {
                    fs::create_dir(&target)?;
                    self.same_mode(&source, &target)?;
                    self.copy(&source, &target)?;
                }
                // A link is nobody's of a cluster.
                false if !kind.is_file() => return Err(io::ErrorKind::InvalidData.into()),
                false => {
                    fs::copy(&source, &target)?;
                    self.account.own(&target)?;
                }
            }
        }
        Ok(())
    }

    fn same_mode(&self, of: &Path, folder: &Path) -> io::Result<()> {
        fs::set_permissions(folder, fs::metadata(of)?.permissions())?;
        self.account.own(folder)
    }
}
