//! A folder that is made anew, and files in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

pub(super) struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// When there is something at `path` already that is no empty folder, or it cannot be made.
    pub(super) fn fresh(path: PathBuf) -> anyhow::Result<Self> {
        match fs::read_dir(&path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => bail!("`{}` holds something already; take another name, or empty it", path.display()),
            Ok(false) => {}
            Err(_) => fs::create_dir(&path).with_context(|| format!("cannot make the folder `{}`", path.display()))?,
        }
        Ok(Self(path))
    }

    /// Writes a file; `path` is relative, and its folders are made.
    pub(super) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        let file = self.0.join(path);
        let made = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, content));
        made.with_context(|| format!("cannot write `{}`", file.display()))
    }
}
