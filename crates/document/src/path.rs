//! Paths as a file names them.

use std::path::{Component, Path, PathBuf};

/// `path` as it is written, absolute from `folder`. Only leading `..` are folded: behind a folder that may
/// be a symlink they mean something else.
pub fn absolute(folder: &Path, path: &str) -> PathBuf {
    let mut absolute = folder.to_owned();
    let mut leading = true;
    for component in Path::new(path).components() {
        leading &= matches!(component, Component::ParentDir | Component::CurDir);
        match component {
            Component::CurDir => {}
            Component::ParentDir if leading => _ = absolute.pop(),
            other => absolute.push(other),
        }
    }
    absolute
}
