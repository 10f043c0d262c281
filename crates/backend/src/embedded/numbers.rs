//! Which database of the private Redis belongs to which name.
//!
//! A name keeps its number for ever, whatever else the manifest says later: else one name's data
//! would be found under another. So numbers are written down, in a file of the host's own.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::DataFolder;

/// As many databases as a server has unless it is told otherwise.
pub(super) const DATABASES: usize = 16;
const FILE: &str = "redis.databases";

/// Why a name has no number.
#[derive(Debug, thiserror::Error)]
pub enum NumbersError {
    #[error("cannot use `{path}`, which says where the data of each `[redis.NAME]` is")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the private Redis has {DATABASES} databases, and `{path}` gives them to {}; there is none for `{name}`: let names share one, give one a `url`, or take a line of what is no longer needed out of the file, together with its data", .taken.join(", ")
    )]
    Full { name: String, path: PathBuf, taken: Vec<String> },
}

/// The number of each of `names`, new ones written down first.
pub(crate) fn of<'a>(
    data: &DataFolder,
    names: impl Iterator<Item = &'a Arc<str>>,
) -> Result<BTreeMap<Arc<str>, usize>, NumbersError> {
    let path = data.path().join(FILE);
    let mut lines = read(&path).map_err(|source| NumbersError::File { path: path.clone(), source })?;
    let known = lines.clone();
    let mut numbers = BTreeMap::new();
    for name in names {
        let number = match lines.iter().position(|line| **line == **name) {
            Some(number) => number,
            None => match lines.iter().position(String::is_empty).unwrap_or(lines.len()) {
                DATABASES.. => return Err(NumbersError::Full { name: name.to_string(), path, taken: lines }),
                number => {
                    lines.resize(lines.len().max(number + 1), String::new());
                    lines[number] = name.to_string();
                    number
                }
            },
        };
        numbers.insert(name.clone(), number);
    }
    let text = lines.join("\n") + "\n";
    if lines != known {
        write(&path, &text).map_err(|source| NumbersError::File { path, source })?;
    }
    Ok(numbers)
}

/// A line for each database: its name, or nothing.
fn read(path: &Path) -> io::Result<Vec<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().take(DATABASES).map(|line| line.trim().to_owned()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    super::private::write(&new, text.as_bytes())?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(data: &DataFolder, names: &[&str]) -> Result<Vec<usize>, NumbersError> {
        let names: Vec<Arc<str>> = names.iter().map(|name| (*name).into()).collect();
        let numbers = of(data, names.iter())?;
        Ok(names.iter().map(|name| numbers[name]).collect())
    }

    #[test]
    fn a_name_keeps_its_database_whatever_names_come_and_go() {
        let place = tempfile::tempdir().unwrap();
        let data = DataFolder::open(place.path()).unwrap();
        assert_eq!(numbers(&data, &["main", "other"]).unwrap(), [0, 1]);
        assert_eq!(numbers(&data, &["aaa", "other"]).unwrap(), [2, 1]);
        assert_eq!(numbers(&data, &["main"]).unwrap(), [0]);
        let many: Vec<String> = (3..DATABASES).map(|number| format!("n{number}")).collect();
        numbers(&data, &many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let full = numbers(&data, &["one-more"]).unwrap_err().to_string();
        assert!(full.contains("main, other, aaa") && full.contains("`one-more`"), "{full}");
        // An emptied line is free again, and nobody else moves.
        let text = fs::read_to_string(place.path().join(FILE)).unwrap().replace("other", "");
        fs::write(place.path().join(FILE), text).unwrap();
        assert_eq!(numbers(&data, &["one-more", "aaa"]).unwrap(), [1, 2]);
        assert_eq!(numbers(&data, &["one-more"]).unwrap(), [1], "it was written down");
    }
}
