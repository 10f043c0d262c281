//! One file of a manifest: what it is called in messages and where each of its keys stands.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::problem::{Place, Problem};

/// A file that has been read. It keeps places, not text: a text may hold passwords.
#[derive(Debug, Clone)]
pub struct Source {
    /// As the user wrote it.
    pub file: PathBuf,
    places: HashMap<String, Place>,
}

impl Source {
    pub fn new(file: &Path) -> Self {
        Self { file: file.into(), places: HashMap::new() }
    }

    pub fn place(&mut self, path: &str, place: Place) {
        self.places.insert(path.into(), place);
    }

    /// The root of the keys of this file.
    pub fn root(&self) -> Key<'_> {
        self.key("")
    }

    pub fn key(&self, path: &str) -> Key<'_> {
        Key { source: self, path: path.into(), name: String::new() }
    }

    /// The names directly in `table`, with a right value or a wrong one.
    pub fn names_in(&self, table: &str) -> impl Iterator<Item = Arc<str>> {
        let name = move |path: &str| Some(path.strip_prefix(table)?.strip_prefix('.')?.to_owned());
        self.places.keys().filter_map(move |path| name(path)).filter(|name| !name.contains(['.', '['])).map(Arc::from)
    }

    pub fn places(&self) -> impl Iterator<Item = (&str, Place)> {
        self.places.iter().map(|(path, place)| (path.as_str(), *place))
    }
}

/// A key of a file, written or not: `services.orders.limits.timeout`, `routes[3].path`.
#[derive(Debug, Clone)]
pub struct Key<'a> {
    source: &'a Source,
    path: String,
    name: String,
}

impl<'a> Key<'a> {
    pub fn child(&self, name: &str) -> Self {
        Self { source: self.source, path: child(&self.path, name), name: name.into() }
    }

    pub fn item(&self, index: usize) -> Self {
        Self { source: self.source, path: item(&self.path, index), name: self.name.clone() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its last part, unquoted.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn file(&self) -> &'a Path {
        &self.source.file
    }

    /// Whether the file has this key, with a right value or a wrong one.
    pub fn is_written(&self) -> bool {
        self.source.places.contains_key(&self.path)
    }

    /// Where it stands; for a key that is not written, where what should hold it stands.
    pub fn place(&self) -> Option<Place> {
        let mut path = self.path.as_str();
        loop {
            if let Some(place) = self.source.places.get(path) {
                return Some(*place);
            }
            if path.is_empty() {
                return None;
            }
            path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
        }
    }

    /// `manifests/shop.toml:17:11`.
    pub fn position(&self) -> String {
        match self.place() {
            Some(place) => format!("{}:{place}", self.file().display()),
            None => self.file().display().to_string(),
        }
    }

    pub fn problem(&self, message: impl fmt::Display) -> Problem {
        Problem {
            file: self.source.file.clone(),
            place: self.place(),
            key: self.path.clone(),
            message: message.to_string(),
        }
    }
}

/// The path of `name` in the table `path`; quoted where TOML would quote it.
pub fn child(path: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path.is_empty(), bare) {
        (true, true) => name.into(),
        (true, false) => format!("{name:?}"),
        (false, true) => format!("{path}.{name}"),
        (false, false) => format!("{path}.{name:?}"),
    }
}

pub fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Turns byte offsets of a text into places.
pub struct Lines<'t> {
    text: &'t str,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { line: number(line), column: number(before.chars().count() + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_both_start_at_one() {
        let lines = Lines::new("a\nüber = 1\n");
        assert_eq!(lines.place(0), Place { line: 1, column: 1 });
        assert_eq!(lines.place(2), Place { line: 2, column: 1 });
        assert_eq!(lines.place("a\nüber = ".len()), Place { line: 2, column: 8 });
        assert_eq!(lines.place(usize::MAX), Place { line: 3, column: 1 });
    }

    #[test]
    fn a_missing_key_stands_where_its_table_stands() {
        let mut source = Source::new(Path::new("a.toml"));
        source.place("routes[1]", Place { line: 4, column: 1 });
        let key = source.root().child("routes").item(1).child("path");
        assert_eq!((key.path(), key.place()), ("routes[1].path", Some(Place { line: 4, column: 1 })));
        assert!(!key.is_written());
        assert_eq!(source.root().child("name").place(), None);
    }

    #[test]
    fn an_odd_name_is_quoted() {
        assert_eq!(child("services", "a.b"), "services.\"a.b\"");
        assert_eq!(child("", "x-1"), "x-1");
    }
}
