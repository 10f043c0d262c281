//! `permissions.read` and `permissions.write`: which folders of the machine a service sees, and under which
//! names.
//!
//! Judges paths as text. Whether a folder is there, and is one, is looked at where it is opened.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use document::source::Key;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ANY, Permission, Reading, Whose, quoted, union};
use crate::{Denied, Granted, Grants};

/// Folders that are only read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read(pub Vec<Folder>);

/// Folders that are read and written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Write(pub Vec<Folder>);

/// A folder of the machine, and what the component calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Absolute, without `.` and `..`.
    pub host: PathBuf,
    pub guest: String,
}

/// A folder as one service may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderGrant {
    pub service: Arc<str>,
    pub host: PathBuf,
    pub guest: String,
    pub writable: bool,
}

/// A path, whose last parts are the component's name for it too; or both.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawFolder {
    Same(String),
    Named(RawNamedFolder),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNamedFolder {
    /// The folder on this machine, relative to the manifest.
    #[schemars(required)]
    host: Option<String>,
    /// What the component calls it: `/t`.
    #[schemars(required)]
    guest: Option<String>,
}

/// As long as a component's name for a folder may be.
const GUEST_MAX_BYTES: usize = 255;

macro_rules! folders {
    ($type:ident, $key:literal) => {
        impl Permission for $type {
            const KEY: &'static str = $key;
            type Raw = Vec<RawFolder>;

            fn read(raw: Self::Raw, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
                Self(read(raw, key, reading))
            }

            fn within(&self, ceiling: &Self) -> Self {
                let below = |folder: &&Folder| ceiling.0.iter().any(|most| most.holds(folder));
                Self(self.0.iter().filter(below).cloned().collect())
            }

            /// By the component's names: where a folder is on the machine is the operator's own choice.
            fn lacking(&self, need: &Self) -> Self {
                let is_there = |folder: &&Folder| !self.0.iter().any(|granted| granted.meets(folder));
                Self(need.0.iter().filter(is_there).cloned().collect())
            }

            fn plus(&self, more: &Self) -> Self {
                Self(union(&self.0, &more.0))
            }

            fn value(&self) -> Option<String> {
                let items: Vec<String> = self.0.iter().map(Folder::value).collect();
                (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
            }

            /// Nothing tells whether a folder is used.
            fn decided(&self) -> Vec<String> {
                Vec::new()
            }

            fn words(&self) -> Vec<String> {
                self.0.iter().map(|folder| format!("{} {folder}", $key)).collect()
            }
        }
    };
}

folders!(Read, "read");
folders!(Write, "write");

impl Folder {
    /// Whether a ceiling's folder has the other one in it. A path with `..` is inside of nothing.
    fn holds(&self, other: &Self) -> bool {
        let plain = other.host.components().all(|part| part != Component::ParentDir);
        self.guest == ANY || (plain && other.host.starts_with(&self.host))
    }

    /// Whether it is what a component asks for.
    fn meets(&self, need: &Self) -> bool {
        self.guest == ANY || self.guest == need.guest
    }

    fn value(&self) -> String {
        match self.host.as_os_str() == self.guest.as_str() {
            true => quoted(&self.guest),
            false => {
                format!("{{ host = {}, guest = {} }}", quoted(&self.host.display().to_string()), quoted(&self.guest))
            }
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_os_str() == self.guest.as_str() {
            true => f.write_str(&self.guest),
            false => write!(f, "{} ({})", self.guest, self.host.display()),
        }
    }
}

fn read(raw: Vec<RawFolder>, key: &Key<'_>, reading: &mut Reading<'_>) -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = key.item(index);
        let (host, guest) = match raw {
            RawFolder::Same(path) => {
                let guest = own_name(&path);
                (path, guest)
            }
            RawFolder::Named(RawNamedFolder { host: Some(host), guest: Some(guest) }) => (host, guest),
            RawFolder::Named(_) => {
                reading.wrong(&key, "needs both names; write `{ host = \"../data\", guest = \"/data\" }`");
                continue;
            }
        };
        if let Err(message) = guest_is_right(&guest, reading.whose) {
            reading.wrong(&key, message);
            continue;
        }
        let folder = Folder { host: document::path::absolute(reading.folder, &host), guest };
        match folders.iter().any(|other| other.guest == folder.guest) {
            true => reading.wrong(&key, format_args!("`{}` is granted already; remove one of the two", folder.guest)),
            false => folders.push(folder),
        }
    }
    folders
}

/// `./templates` is `/templates` in the component; the star of a ceiling stays.
fn own_name(path: &str) -> String {
    let parts = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    match path {
        ANY => ANY.to_owned(),
        _ => format!("/{}", parts.collect::<Vec<_>>().join("/")),
    }
}

fn guest_is_right(guest: &str, whose: Whose) -> Result<(), String> {
    if guest == ANY && whose == Whose::Ceiling {
        return Ok(());
    }
    let plain = Path::new(guest).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let right =
        plain && guest.starts_with('/') && guest.len() <= GUEST_MAX_BYTES && !guest.chars().any(char::is_control);
    match right {
        true => Ok(()),
        false => Err(format!("`{guest}` is no name of a folder in a component; write it like `/templates`")),
    }
}

impl Grants {
    /// The folders this service sees. One that is in both permissions is there once, to be changed.
    pub fn folders(&self) -> impl Iterator<Item = Granted<FolderGrant>> + '_ {
        let write = &self.left.write.0;
        let only_read = |folder: &&Folder| !write.iter().any(|other| other.guest == folder.guest);
        let granted = |folder: &Folder, writable| {
            let (host, guest) = (folder.host.clone(), folder.guest.clone());
            Granted(FolderGrant { service: self.service.clone(), host, guest, writable })
        };
        let read = self.left.read.0.iter().filter(only_read).map(move |folder| granted(folder, false));
        read.chain(write.iter().map(move |folder| granted(folder, true)))
    }

    /// The refusal of any file to a service that sees no folder.
    pub fn no_folder(&self) -> Denied {
        let is_written = !self.written.read.0.is_empty() || !self.written.write.0.is_empty();
        let line = "read = [\"./FOLDER\"]".to_owned();
        self.denied("the file system".to_owned(), "it sees no folder".to_owned(), line, is_written)
    }

    /// The refusal of a change in a folder that is there to be read.
    pub fn no_changing(&self, guest: &str) -> Denied {
        let host = self.left.read.0.iter().find(|folder| folder.guest == guest);
        let path = host.map_or_else(|| guest.to_owned(), |folder| folder.host.display().to_string());
        let is_written = self.written.write.0.iter().any(|folder| folder.guest == guest);
        let (rule, line) = ("it is there to be read only".to_owned(), format!("write = [{}]", quoted(&path)));
        self.denied(format!("write {guest}"), rule, line, is_written)
    }
}

/// Whether one of two folders is in the other.
pub fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use crate::testing::{ceiling, grants};

    #[test]
    fn a_folder_that_is_read_and_written_is_there_once_to_be_written() {
        let grants = grants("files", "read = [\"/a\", \"/b\"]\nwrite = [\"/b\"]");
        let all: Vec<_> =
            grants.folders().map(|granted| (granted.get().guest.clone(), granted.get().writable)).collect();
        assert_eq!(all, [("/a".to_owned(), false), ("/b".to_owned(), true)]);
    }

    #[test]
    fn a_ceiling_leaves_what_is_inside_of_its_folders() {
        for (path, left) in [
            ("/srv/shop", true),
            ("/srv/shop/a/b", true),
            ("/srv/shopping", false),
            ("/srv", false),
            ("/srv/shop/../other", false),
            ("/tmp/x", true),
        ] {
            let files = grants("files", &format!("read = [{{ host = \"{path}\", guest = \"/t\" }}]"));
            let held = files.under(ceiling("read = [\"/srv/shop\", \"/tmp/x\"]"));
            assert_eq!(held.folders().count() == 1, left, "{path}");
        }
    }

    #[test]
    fn a_denial_names_the_line_that_would_allow_it() {
        let grants = grants("files", "read = [\"/srv/a\"]");
        assert_eq!(
            grants.no_changing("/srv/a").to_string(),
            "`files` may not reach `write /srv/a`: it is there to be read only; to allow it, add `write = [\"/srv/a\"]` \
             to `services.files.permissions` in shop.toml"
        );
        assert_eq!(grants.no_folder().fix.line(), Some("read = [\"./FOLDER\"]"));
    }
}
