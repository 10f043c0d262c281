//! What a manifest that was sent to a running host may name on this machine.
//!
//! Whoever may apply a manifest need not be whoever owns the machine: paths inside of the manifest's
//! folder, and those that its files here name already, and no others. Variables that those read
//! themselves stay hidden from services.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use super::Manifest;

/// What manifests from this machine allow one that was sent.
#[derive(Debug, Clone, Default)]
pub struct Confines {
    /// The paths outside of the manifest's folder that may be named.
    paths: BTreeSet<PathBuf>,
    /// Variables that no service may be granted.
    reserved: BTreeSet<String>,
}

impl Confines {
    /// Whatever these manifests, which come from this machine, name.
    pub fn of<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Self {
        let mut confines = Self::default();
        for manifest in manifests {
            confines.paths.extend(manifest.named.iter().cloned());
            confines.reserved.extend(manifest.reserved.iter().cloned());
        }
        confines
    }

    pub(super) fn reserved(&self) -> BTreeSet<String> {
        self.reserved.clone()
    }

    /// `path` is absolute; `folder` too, and without symlinks.
    pub(super) fn allow(&self, folder: &Path, path: &Path) -> bool {
        self.paths.contains(path) || is_inside(folder, path)
    }
}

/// A symlink leads where it leads; what is not there yet must be inside by its name.
fn is_inside(folder: &Path, path: &Path) -> bool {
    match path.canonicalize() {
        Ok(real) => real.starts_with(folder),
        Err(_absent) => {
            let plain = path.components().all(|part| !matches!(part, Component::ParentDir));
            plain && path.starts_with(folder) && path.parent().is_some_and(|parent| is_inside_if_there(folder, parent))
        }
    }
}

fn is_inside_if_there(folder: &Path, path: &Path) -> bool {
    path == folder || is_inside(folder, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_or_known_may_be_named() {
        let around = tempfile::tempdir().unwrap();
        let around = around.path().canonicalize().unwrap();
        let folder = around.join("manifests");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&around, folder.join("out")).unwrap();
        let confines = Confines { paths: BTreeSet::from([around.join("known.wasm")]), ..Confines::default() };
        for (path, allowed) in [
            (folder.join("a.wasm"), true),
            (folder.join("none/a.wasm"), true),
            (around.join("known.wasm"), true),
            (around.join("other.wasm"), false),
            (folder.join("x/../../other.wasm"), false),
            (folder.join("out"), false),
            (folder.join("out/other.wasm"), false),
            ("/etc/passwd".into(), false),
        ] {
            assert_eq!(confines.allow(&folder, &path), allowed, "{}", path.display());
        }
    }
}
