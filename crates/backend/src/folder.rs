//! Folders of this machine that services see: opened once for each build, and read name by name.
//!
//! A folder is held by its handle, so what stands under its path later changes nothing. Which one a
//! service sees is the grant's word. How a path inside of it is followed is not decided here.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use grant::{Granted, folder::FolderGrant};

/// A folder that a build sees.
#[derive(Debug)]
pub struct OpenFolder {
    pub handle: File,
    /// Its name in the component.
    pub guest: String,
    pub writable: bool,
}

/// A granted folder is not there any more, or is something else.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the folder `{}` of `permissions.{permission}`; it must exist and be no symlink", .path.display())]
pub struct FolderError {
    path: PathBuf,
    permission: &'static str,
    #[source]
    source: io::Error,
}

/// Opens a folder; no part of its path may be a link any more. Blocking.
///
/// # Errors
/// [`FolderError`] names it.
pub fn open(granted: &Granted<FolderGrant>) -> Result<OpenFolder, FolderError> {
    let FolderGrant { host, guest, writable, .. } = granted.get();
    let permission = if *writable { "write" } else { "read" };
    let failed = |source| FolderError { path: host.clone(), permission, source };
    let handle = without_links(host).map_err(failed)?;
    Ok(OpenFolder { handle: handle.into(), guest: guest.clone(), writable: *writable })
}

fn without_links(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The way to it may lead over links when it is opened, and never again.
    let real = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize()?.join(name),
        _ => path.to_owned(),
    };
    match rustix::fs::openat2(rustix::fs::CWD, &real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS | Errno::PERM) => Ok(rustix::fs::open(&real, flags, Mode::empty())?),
        opened => Ok(opened?),
    }
}

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with bytes in it.
    Plain,
    Folder,
    Link,
    /// A pipe, a socket, a device.
    Other,
}

/// The names in a folder, read piece by piece.
#[derive(Debug)]
pub struct Names {
    folder: OwnedFd,
    dir: Dir,
}

impl Names {
    /// # Errors
    /// When the folder may not be read.
    pub fn of(folder: &impl AsFd) -> io::Result<Self> {
        let folder = folder.as_fd().try_clone_to_owned()?;
        let dir = Dir::read_from(&folder)?;
        Ok(Self { folder, dir })
    }

    /// The next names, at most `count`; empty at the end. One that is no UTF-8 cannot be said to a
    /// component, and one that is gone meanwhile need not be: both are left out.
    pub fn next(&mut self, count: usize) -> io::Result<Vec<(String, Kind)>> {
        let mut names = Vec::new();
        while names.len() < count {
            let Some(entry) = self.dir.read() else { break };
            let entry = entry?;
            let Some(name) = OsStr::from_bytes(entry.file_name().to_bytes()).to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(found) => FileType::from_raw_mode(found.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                },
                known => known,
            };
            names.push((name.to_owned(), kind_of(kind)));
        }
        Ok(names)
    }
}

fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::Plain,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use grant::{
        Grants, Permissions,
        folder::{Folder, Read},
    };

    fn opened(path: &Path) -> Result<OpenFolder, FolderError> {
        let read = Read(vec![Folder { host: path.to_owned(), guest: "/f".into() }]);
        let grants = Grants::new("files".into(), "a.toml".into(), Permissions { read, ..Permissions::default() });
        open(&grants.folders().next().unwrap())
    }

    #[test]
    fn a_folder_is_opened_and_a_link_a_file_or_nothing_is_not() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        symlink(at("folder"), at("link")).unwrap();
        assert_eq!(opened(&at("folder")).unwrap().guest, "/f");
        for wrong in ["link", "file", "nothing"] {
            let error = opened(&at(wrong)).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("`permissions.read`"), "{error}");
        }
    }

    #[test]
    fn names_come_in_pieces_and_those_that_cannot_be_said_are_left_out() {
        let place = tempfile::tempdir().unwrap();
        for name in 0..10 {
            std::fs::write(place.path().join(name.to_string()), "").unwrap();
        }
        std::fs::write(place.path().join(OsStr::from_bytes(b"\xff\xfe")), "").unwrap();
        std::fs::create_dir(place.path().join("folder")).unwrap();
        symlink("0", place.path().join("link")).unwrap();
        let mut names = Names::of(&File::open(place.path()).unwrap()).unwrap();
        let mut all = Vec::new();
        loop {
            let more = names.next(4).unwrap();
            assert!(more.len() <= 4);
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(all.len(), 12, "{all:?}");
        assert!(
            all.contains(&("folder".into(), Kind::Folder)) && all.contains(&("link".into(), Kind::Link)),
            "{all:?}"
        );
    }
}
