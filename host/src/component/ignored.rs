//! What is nobody's source although it lies among it: what a host or its services write, and what git ignores.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};
use manifest::Manifest;

/// Folders whose `.gitignore` is remembered.
const FOLDERS_MAX: usize = 10_000;

/// For as long as one manifest runs.
pub struct Ignored {
    /// The host's own and those that services may write.
    written: Vec<PathBuf>,
    /// Where standard output and standard error go, by device and number: `run --watch > out.log`.
    outputs: Vec<(u64, u64)>,
    /// By folder; none where there is no list.
    lists: Mutex<HashMap<PathBuf, Option<Arc<Gitignore>>>>,
}

impl Ignored {
    pub fn of(manifest: &Manifest) -> Self {
        let folders = manifest.services.values().flat_map(|service| service.grants.folders());
        let writable = folders.filter(|folder| folder.get().writable).map(|folder| folder.get().host.clone());
        let written = writable.chain([manifest.host.data.clone()]);
        let written = written.map(|path| path.canonicalize().unwrap_or(path)).collect();
        let outputs = [rustix::fs::fstat(std::io::stdout()), rustix::fs::fstat(std::io::stderr())];
        let outputs = outputs.into_iter().flatten().map(|stat| (stat.st_dev, stat.st_ino)).collect();
        Self { written, outputs, lists: Mutex::default() }
    }

    /// Whether a change of `path`, which is in the folder `root`, is nobody's.
    pub fn has(&self, path: &Path, root: &Path) -> bool {
        self.written.iter().any(|folder| path.starts_with(folder)) || self.is_output(path) || self.by_git(path, root)
    }

    fn is_output(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| self.outputs.contains(&(found.dev(), found.ino())))
    }

    /// The list that is nearest decides, as far up as the repository goes.
    fn by_git(&self, path: &Path, root: &Path) -> bool {
        let is_top = |folder: &&Path| folder.join(".git").exists();
        let top = root.ancestors().find(is_top).unwrap_or(root);
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(top));
        for list in folders.filter_map(|folder| self.list(folder)) {
            // One that ignores all of the source says nothing about parts of it.
            if root != list.path() && root.starts_with(list.path()) && matched(&list, root).is_ignore() {
                continue;
            }
            match matched(&list, path) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }

    fn list(&self, folder: &Path) -> Option<Arc<Gitignore>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= FOLDERS_MAX {
            lists.clear();
        }
        lists.entry(folder.to_owned()).or_insert_with(|| read(folder)).clone()
    }
}

fn matched<'a>(list: &'a Gitignore, path: &Path) -> Match<&'a ignore::gitignore::Glob> {
    list.matched_path_or_any_parents(path, path.is_dir())
}

/// Lines that cannot be read are passed over, as git does.
fn read(folder: &Path) -> Option<Arc<Gitignore>> {
    let files = [".gitignore", ".git/info/exclude"].map(|name| folder.join(name));
    let mut builder = GitignoreBuilder::new(folder);
    let mut files = files.iter().filter(|file| file.is_file()).peekable();
    files.peek()?;
    for file in files {
        if let Some(error) = builder.add(file) {
            tracing::debug!(%error, "a line of a list of ignored files cannot be read");
        }
    }
    builder.build().ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_git(root: &Path, path: &Path) -> bool {
        Ignored { written: Vec::new(), outputs: Vec::new(), lists: Mutex::default() }.has(path, root)
    }

    #[test]
    fn what_git_ignores_is_nobodys_and_the_nearest_list_decides() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("crates/users");
        fs::create_dir_all(root.join("src/made")).unwrap();
        fs::create_dir(place.path().join(".git")).unwrap();
        fs::write(place.path().join(".gitignore"), "*.log\n/crates/users/dist/\n").unwrap();
        fs::write(root.join(".gitignore"), "made/\n!kept.log\n").unwrap();
        for ignored in ["out.log", "dist/x.js", "src/made/x.rs", "src/out.log"] {
            assert!(by_git(&root, &root.join(ignored)), "{ignored}");
        }
        for source in ["src/lib.rs", "kept.log", "distinct"] {
            assert!(!by_git(&root, &root.join(source)), "{source}");
        }
    }

    #[test]
    fn source_below_an_ignored_folder_is_source_all_the_same() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("scratch/users");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir(place.path().join(".git")).unwrap();
        fs::write(place.path().join(".gitignore"), "scratch/\n").unwrap();
        assert!(!by_git(&root, &root.join("lib.c")));
        fs::write(root.join(".gitignore"), "*.o\n").unwrap();
        assert!(by_git(&root, &root.join("lib.o")));
    }
}
