//! Components that were fetched from a registry or an address: files in the data folder, beside what pins each.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::durable::{private_folder, remove, write_whole};

/// The data folder's own mode, where this makes it: other accounts pass through it.
const DATA_MODE: u32 = 0o711;

/// The digest that was fetched as `file`; none: nothing was.
pub fn pin(file: &Path) -> Option<String> {
    let is_there = file.is_file();
    let pin = fs::read_to_string(file.with_extension("pin")).ok()?;
    is_there.then(|| pin.trim().to_owned())
}

/// Keeps a component as `file`; a reader sees the old one or the new one whole.
pub fn keep(file: &Path, wasm: &[u8], pin: &str) -> io::Result<()> {
    let folder = file.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    if let Some(data) = folder.parent() {
        DirBuilder::new().recursive(true).mode(DATA_MODE).create(data)?;
    }
    private_folder(folder)?;
    // Without its pin it would be fetched again: that is the safe order.
    remove(&file.with_extension("pin"))?;
    write_whole(file, wasm)?;
    write_whole(&file.with_extension("pin"), pin.as_bytes())
}

/// What was kept beside `file` as proof of who has signed it.
pub fn proof(file: &Path) -> Option<Vec<u8>> {
    fs::read(file.with_extension("proof")).ok()
}

/// Keeps that.
pub fn keep_proof(file: &Path, proof: &[u8]) -> io::Result<()> {
    write_whole(&file.with_extension("proof"), proof)
}

/// Writes a component into a file of somebody's own, whole or not at all.
pub fn put(file: &Path, wasm: &[u8]) -> io::Result<()> {
    write_whole(file, wasm)
}

/// Removes what nobody names any more from `folder`.
pub fn keep_only(folder: &Path, wanted: &BTreeSet<&OsStr>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let ours =
            path.extension().is_some_and(|extension| ["wasm", "pin", "proof"].iter().any(|ours| extension == *ours));
        if ours && !path.file_stem().is_some_and(|stem| wanted.contains(stem)) {
            remove(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fetched_is_pinned_until_it_is_unwanted() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("data/pulled");
        let (one, two) = (folder.join("one.wasm"), folder.join("two.wasm"));
        assert_eq!(pin(&one), None);
        keep_only(&folder, &BTreeSet::new()).unwrap();
        keep(&one, b"1", "sha256:1").unwrap();
        keep(&two, b"2", "sha256:2").unwrap();
        keep(&one, b"3", "sha256:3").unwrap();
        assert_eq!((pin(&one).as_deref(), fs::read(&one).unwrap()), (Some("sha256:3"), b"3".to_vec()));
        keep_only(&folder, &BTreeSet::from([OsStr::new("one")])).unwrap();
        assert_eq!((pin(&one).is_some(), pin(&two)), (true, None));
        fs::remove_file(&one).unwrap();
        assert_eq!(pin(&one), None, "a pin of nothing");
    }
}
