//! Where a test system keeps what it has: a folder that is gone with it, and the compiled components of `run`.

use std::{
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

/// What the account of a private server can pass through.
const MODE: u32 = 0o711;

/// A folder that is removed with this.
pub(super) struct Place(TempDir);

impl Place {
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("archipel-test-").permissions(Permissions::from_mode(MODE)).tempdir();
        folder.map(Self).context("cannot make a folder for the test's data; set TMPDIR to one that can be written to")
    }

    /// For `host.data`.
    pub(super) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

/// `data` itself, where compiled components can be kept in it.
pub(super) fn kept(data: &Path) -> Option<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(MODE).create(data);
    let ours = || fs::metadata(data).is_ok_and(|found| !found.permissions().readonly());
    (made.is_ok() && ours()).then(|| data.to_owned())
}

/// A token in a file.
pub(super) fn token(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}
