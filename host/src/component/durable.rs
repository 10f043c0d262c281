//! Files that are there whole or not at all, in folders that are the host's own.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Makes `folder` with mode 0700, or makes sure that it is one and ours: whoever owned it could
/// read the key and put artifacts into it.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let ours = fs::metadata("/proc/self").map_or(found.uid(), |own| own.uid());
    if !found.is_dir() || found.uid() != ours {
        return Err(io::Error::other("it is a link or belongs to another user; remove it"));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    // What a crash left behind of a file half written.
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes a file that may be gone already.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes beside the file and renames: a reader sees all of it or nothing.
pub(super) fn write_whole(file: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}.tmp", fastrand::u32(..)));
    let beside = file.with_file_name(name);
    let mut options = OpenOptions::new();
    let mut written = options.write(true).create_new(true).mode(0o600).open(&beside)?;
    written.write_all(content)?;
    written.sync_all()?;
    fs::rename(&beside, file)
}
