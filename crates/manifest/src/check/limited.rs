//! Files that a manifest names and that are read to be checked: never more of one than it may have.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// The first `bytes_max` bytes of a file.
pub(crate) fn limited(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
