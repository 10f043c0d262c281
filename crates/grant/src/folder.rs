//! Which folders of this machine a service sees, and whether it may change them: `permissions.read`
//! and `permissions.write`.
//!
//! Decides by path alone. That a folder exists, and is no link, is looked at where it is opened.

use std::path::{Component, Path, PathBuf};

use super::{Denial, Fix, Granted, Grants};

/// The folders of one permission. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders(pub Vec<Folder>);

/// A folder, and the name that the component knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Absolute.
    pub host: PathBuf,
    pub guest: String,
}

/// A folder as one service may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGrant {
    pub service: std::sync::Arc<str>,
    pub host: PathBuf,
    pub guest: String,
    pub writable: bool,
}

impl Folders {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left of it under a ceiling's: folders that are one of its, or inside of one. A path
    /// with `..` is inside of nothing.
    pub(super) fn within(&self, ceiling: &Self) -> Self {
        let plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
        let inside =
            |folder: &&Folder| plain(&folder.host) && ceiling.0.iter().any(|most| folder.host.starts_with(&most.host));
        Self(self.0.iter().filter(inside).cloned().collect())
    }

    pub(super) fn list<'a>(&'a self, permission: &'a str) -> impl Iterator<Item = String> + 'a {
        self.0.iter().map(move |folder| format!("{permission} {} ({})", folder.guest, folder.host.display()))
    }
}

impl Grants {
    /// The folders that this service sees. One that is in both permissions is there once, to be
    /// changed.
    pub fn folders(&self) -> impl Iterator<Item = Granted<FolderGrant>> + '_ {
        let write = &self.permissions.write;
        let only_read = |folder: &&Folder| !write.0.iter().any(|other| other.guest == folder.guest);
        let granted = |folder: &Folder, writable| {
            let (host, guest) = (folder.host.clone(), folder.guest.clone());
            Granted(FolderGrant { service: self.service.clone(), host, guest, writable })
        };
        let read = self.permissions.read.0.iter().filter(only_read).map(move |folder| granted(folder, false));
        read.chain(write.0.iter().map(move |folder| granted(folder, true)))
    }

    /// The refusal of any file to a service that sees no folder.
    pub fn no_folder(&self) -> Denial {
        let written = !self.written.read.is_empty() || !self.written.write.is_empty();
        self.no_file("the file system".into(), "it sees no folder", "read = [\"./FOLDER\"]".into(), written)
    }

    /// The refusal of a change in a folder that is there to be read.
    pub fn no_changing(&self, guest: &str) -> Denial {
        let host = self.permissions.read.0.iter().find(|folder| folder.guest == guest);
        let path = host.map_or_else(|| guest.to_owned(), |folder| folder.host.display().to_string());
        let is_written = self.written.write.0.iter().any(|folder| folder.guest == guest);
        self.no_file(
            format!("{guest} for writing"),
            "it is there to be read only",
            format!("write = [{path:?}]"),
            is_written,
        )
    }

    fn no_file(&self, target: String, rule: &str, line: String, is_written: bool) -> Denial {
        let word = self.word(is_written);
        let rule = word.rule().unwrap_or_else(|| rule.to_owned());
        Denial { service: self.service.clone(), target, rule, fix: Fix::add(line, word) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permissions;

    fn folders(paths: &[&str]) -> Folders {
        Folders(paths.iter().map(|path| Folder { host: (*path).into(), guest: (*path).into() }).collect())
    }

    #[test]
    fn a_folder_that_is_read_and_written_is_there_once_to_be_written() {
        let permissions =
            Permissions { read: folders(&["/a", "/b"]), write: folders(&["/b"]), ..Permissions::default() };
        let grants = Grants::new("files".into(), "shop.toml".into(), permissions);
        let all: Vec<_> =
            grants.folders().map(|granted| (granted.get().guest.clone(), granted.get().writable)).collect();
        assert_eq!(all, [("/a".to_owned(), false), ("/b".to_owned(), true)]);
    }

    #[test]
    fn a_ceiling_leaves_what_is_inside_of_its_folders() {
        let most = folders(&["/srv/shop", "/tmp/x"]);
        for (path, left) in [
            ("/srv/shop", true),
            ("/srv/shop/a/b", true),
            ("/srv/shopping", false),
            ("/srv", false),
            ("/srv/shop/../other", false),
            ("/tmp/x", true),
        ] {
            assert_eq!(!folders(&[path]).within(&most).is_empty(), left, "{path}");
        }
    }

    #[test]
    fn a_denial_names_the_line_that_would_allow_it() {
        let permissions = Permissions { read: folders(&["/srv/a"]), ..Permissions::default() };
        let grants = Grants::new("files".into(), "shop.toml".into(), permissions);
        assert_eq!(
            grants.no_changing("/srv/a").to_string(),
            "`files` may not reach `/srv/a for writing`: it is there to be read only; to allow it, add `write = \
             [\"/srv/a\"]` to `services.files.permissions` in shop.toml"
        );
        assert_eq!(grants.no_folder().fix.line(), Some("read = [\"./FOLDER\"]"));
    }
}
