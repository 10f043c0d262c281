//! Which files a manifest's `include` names.
//!
//! A pattern is a path whose last part may have `*` for any run of characters; folders are
//! never searched deeper. Files come in the order of their names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A manifest of more files than this is a mistake.
pub(super) const FILES_MAX: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub(super) enum IncludeError {
    #[error("`{0}` has a `*` in a folder's name; only the file name may have one, such as `services/*.toml`")]
    FolderPattern(String),

    #[error("`{0}` names no file; write a path such as `services/*.toml`")]
    NoFile(String),

    #[error("cannot read the folder `{}`: {source}; create it, or correct the path", .folder.display())]
    Folder { folder: PathBuf, source: io::Error },

    #[error("`{0}` matches more than {FILES_MAX} files; choose a folder with the manifest's files only")]
    TooMany(String),
}

/// The files that `pattern` names, each as `folder` joined with what the user wrote. A path
/// without `*` is given back whether it exists or not; a pattern may match nothing.
pub(super) fn files(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, IncludeError> {
    let (parent, name) = match pattern.rsplit_once('/') {
        Some((parent, name)) => (folder.join(if parent.is_empty() { "/" } else { parent }), name),
        None => (folder.to_path_buf(), pattern),
    };
    if name.is_empty() {
        return Err(IncludeError::NoFile(pattern.into()));
    }
    if pattern[..pattern.len() - name.len()].contains('*') {
        return Err(IncludeError::FolderPattern(pattern.into()));
    }
    if !name.contains('*') {
        return Ok(vec![parent.join(name)]);
    }
    let listed = if parent.as_os_str().is_empty() { Path::new(".") } else { &parent };
    let entries = fs::read_dir(listed).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| IncludeError::Folder { folder: parent.clone(), source })?;
    let mut found: Vec<PathBuf> = (entries.iter())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|file| !file.starts_with('.') && matches(name, file))
        .map(|file| parent.join(file))
        .collect();
    if found.len() > FILES_MAX {
        return Err(IncludeError::TooMany(pattern.into()));
    }
    found.sort();
    Ok(found)
}

/// `*` is any run of characters, also none.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name.strip_suffix(end) else { return false };
    // The first place for each middle part leaves most for the next one.
    for part in middle.split('*') {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml.bak", false),
            ("*", "a", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*a*a*", "a", false),
            ("a.toml", "a.toml", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn files_come_in_order_and_hidden_ones_never() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", ".c.toml", "d.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found = files(folder.path(), "*.toml").unwrap();
        assert_eq!(found, ["a.toml", "b.toml"].map(|name| folder.path().join(name)));
        assert!(matches!(files(folder.path(), "*/a.toml"), Err(IncludeError::FolderPattern(_))));
        assert!(matches!(files(folder.path(), "none/*.toml"), Err(IncludeError::Folder { .. })));
        assert!(matches!(files(folder.path(), "services/"), Err(IncludeError::NoFile(_))));
    }
}
