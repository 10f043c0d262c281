//! Which manifest a command means that names none: the one of the folder it is run in.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// What a project of one's own calls its manifest.
pub(super) const MANIFEST: &str = "archipel.toml";

/// The manifest that is named, that of a folder that is named, or that of the current folder.
///
/// # Errors
/// When there is none, with what to write.
pub(super) fn manifest(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let file = match named {
        Some(folder) if folder.is_dir() => folder.join(MANIFEST),
        Some(file) => return Ok(file),
        None => PathBuf::from(MANIFEST),
    };
    if !file.is_file() {
        bail!("there is no `{}`; name the manifest, or make a project with `archipel new NAME`", file.display());
    }
    Ok(file)
}

/// How the project in `folder` is tested by its own tools.
///
/// # Errors
/// When it has no tests that we know of, with what to write.
pub(super) fn own_tests(folder: &Path) -> anyhow::Result<Vec<String>> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    if folder.join("package.json").is_file() {
        return Ok(words("npm test"));
    }
    if folder.join("Cargo.toml").is_file() {
        return Ok(words("cargo test"));
    }
    bail!(
        "`{}` has neither package.json nor Cargo.toml; say what tests it: `archipel test -- COMMAND`",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_what_the_folder_has() {
        let place = tempfile::tempdir().unwrap();
        assert!(own_tests(place.path()).unwrap_err().to_string().contains("archipel test -- COMMAND"));
        std::fs::write(place.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(own_tests(place.path()).unwrap(), ["cargo", "test"]);
        std::fs::write(place.path().join("package.json"), "{}").unwrap();
        assert_eq!(own_tests(place.path()).unwrap(), ["npm", "test"]);
    }
}
