//! What the functions of a component are called and which lines they are of: kept beside its compiled code, for when
//! it fails.
//!
//! They are in the component itself, or in a file beside it that ends in `.debug` (`archipel strip` puts them there).
//! A component runs as well without them, so whatever is wrong with them is no more than said.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    Digest,
    durable::{remove, write_whole},
};

/// The largest that is kept of one component.
const FILE_MAX_BYTES: u64 = 64 << 20;
/// All of them; the oldest go first.
const ALL_MAX_BYTES: u64 = 256 << 20;

/// The folder `names` beside the compiled code.
pub struct Names(PathBuf);

impl Names {
    /// In this folder, which is made when there is something to keep.
    pub(super) fn within(artifacts: &Path) -> Self {
        Self(artifacts.join("names"))
    }

    /// Keeps what there is for the component `wasm`, which is at `path`. Gives the file where it is or may come to be.
    pub(super) fn keep(&self, digest: &Digest, path: &Path, wasm: &[u8]) -> PathBuf {
        let kept = self.0.join(format!("{digest}.wasm"));
        if kept.exists() {
            return kept;
        }
        let found = symbols::only_names(wasm).or_else(|| symbols::only_names(&beside(path, wasm)?));
        let written = found.map_or(Ok(()), |names| self.write(&kept, &names));
        if let Err(error) = written {
            tracing::debug!(%error, file = %kept.display(), "names and lines of a component are not kept");
        }
        kept
    }

    fn write(&self, file: &Path, names: &[u8]) -> io::Result<()> {
        if names.len() as u64 > FILE_MAX_BYTES {
            return Err(io::Error::other("they are too large"));
        }
        // Within a folder that is the host's own; others may be writing here now.
        fs::create_dir_all(&self.0)?;
        self.make_room(names.len() as u64)?;
        write_whole(file, names)
    }

    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            kept.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        kept.sort_unstable();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in kept {
            if total + bytes <= ALL_MAX_BYTES {
                break;
            }
            remove(&path)?;
            total -= size;
        }
        Ok(())
    }
}

/// Takes names and lines out of the component at `path`, which is `whole`, and leaves it beside as it was; gives its size
/// now, and the file beside if there was anything to take out. Blocking.
///
/// # Errors
/// A file cannot be written, or it is no component.
pub fn strip(path: &Path, whole: &[u8]) -> io::Result<(u64, Option<PathBuf>)> {
    let Some(stripped) = symbols::strip(whole).map_err(io::Error::other)? else {
        return Ok((whole.len() as u64, None));
    };
    let (beside, mode) = (path.with_extension("debug"), fs::metadata(path)?.permissions());
    for (file, content) in [(&*beside, whole), (path, &stripped)] {
        write_whole(file, content)?;
        fs::set_permissions(file, mode.clone())?;
    }
    Ok((stripped.len() as u64, Some(beside)))
}

/// What `strip` left beside a component.
fn beside(path: &Path, wasm: &[u8]) -> Option<Vec<u8>> {
    let file = path.with_extension("debug");
    if fs::metadata(&file).ok()?.len() > FILE_MAX_BYTES {
        return None;
    }
    let whole = fs::read(&file).ok()?;
    let is_of = symbols::is_of(&whole, wasm);
    if !is_of {
        tracing::debug!(file = %file.display(), "names and lines are of another build");
    }
    is_of.then_some(whole)
}

#[cfg(test)]
mod tests {
    use symbols::Lines;

    use super::*;

    fn component(names: &str) -> Vec<u8> {
        // One module with a function of code, and a section of names unless `names` is empty.
        let mut module = b"\0asm\x01\0\0\0\x0a\x02\x00\x0b".to_vec();
        if !names.is_empty() {
            let map = [&[1, 0, u8::try_from(names.len()).unwrap()][..], names.as_bytes()].concat();
            let content = [b"\x04name\x01", &[u8::try_from(map.len()).unwrap()][..], &map].concat();
            module.extend([0, u8::try_from(content.len()).unwrap()]);
            module.extend(content);
        }
        let mut wasm = b"\0asm\x0d\0\x01\0\x01".to_vec();
        wasm.push(u8::try_from(module.len()).unwrap());
        wasm.extend(module);
        wasm
    }

    fn told(data: &Path, path: &Path, wasm: &[u8]) -> Option<String> {
        let file = Names::within(data).keep(&Digest::of(wasm), path, wasm);
        let code = u64::try_from(wasm.windows(2).position(|two| two == b"\0\x0b").unwrap()).unwrap();
        let code = code..code + 2;
        let lines = Lines::new(vec![code.clone()], Some(file));
        lines.at(&[(0, code.start + 1), (0, 0)]).swap_remove(0).pop().map(|line| line.function)
    }

    #[test]
    fn names_are_found_in_the_component_or_beside_it_and_outlive_both() {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join("it.wasm");
        let (bare, whole) = (component(""), component("answer"));
        fs::write(path.with_extension("debug"), component("other of another build").split_at(30).0).unwrap();
        assert_eq!(told(data.path(), &path, &bare), None, "nothing that is no build of it is believed");
        fs::write(path.with_extension("debug"), &whole).unwrap();
        assert_eq!(told(data.path(), &path, &bare).as_deref(), Some("answer"));
        fs::remove_file(path.with_extension("debug")).unwrap();
        assert_eq!(told(data.path(), &path, &bare).as_deref(), Some("answer"), "it was kept");
        assert_eq!(told(data.path(), &path, &whole).as_deref(), Some("answer"), "its own");
    }

    #[test]
    fn what_is_kept_of_all_components_stays_within_its_bound() {
        let data = tempfile::tempdir().unwrap();
        let names = Names::within(data.path());
        let one = component("answer");
        names.keep(&Digest::of(&one), Path::new("it.wasm"), &one);
        names.make_room(ALL_MAX_BYTES).unwrap();
        assert_eq!(fs::read_dir(&names.0).unwrap().count(), 0);
    }
}
