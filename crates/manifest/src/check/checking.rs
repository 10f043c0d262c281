//! What every check is done with, and what they all found.

use std::{collections::BTreeSet, fmt, fs::File, ops::RangeInclusive, path::PathBuf};

use crate::{Confines, Environment};
use document::name::check as name;
use document::problem::Problem;
use document::quantity::Size;
use document::source::Key;
use grant::{Reading, Whose};

/// What all checks share, and what they found.
pub(crate) struct Check<'a> {
    pub(crate) env: &'a Environment,
    /// The manifest's folder, absolute and without symlinks: what relative paths start from.
    pub(crate) folder: PathBuf,
    /// What a manifest that was sent to us may name outside of its folder.
    pub(crate) confines: Option<&'a Confines>,
    /// Every path that was named.
    pub(crate) named: BTreeSet<PathBuf>,
    /// False: an include could not be read, so a missing name may be in there.
    pub(crate) whole: bool,
    /// Variables that the manifest itself reads, or one from this machine: never shown to a service.
    pub(crate) reserved: BTreeSet<String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

impl Check<'_> {
    /// What the permissions of a service are read with. `unrestricted` is `host.allow_unrestricted`.
    pub(super) fn reading(&mut self, unrestricted: bool) -> Reading<'_> {
        Reading {
            whose: Whose::Manifest { unrestricted },
            folder: &self.folder,
            problems: &mut self.problems,
            warnings: &mut self.warnings,
        }
    }

    pub(crate) fn wrong(&mut self, key: &Key<'_>, message: impl fmt::Display) {
        self.problems.push(key.problem(message));
    }

    /// Whether something in the table `key` has been reported already.
    pub(super) fn is_wrong_inside(&self, key: &Key<'_>) -> bool {
        let inside = |problem: &Problem| problem.key.strip_prefix(key.path()).is_some_and(|rest| rest.starts_with('.'));
        self.problems.iter().any(|problem| problem.file == key.file() && inside(problem))
    }

    /// Whether something in this table of the manifest itself has been reported already.
    pub(super) fn is_written_wrong(&self, table: &str) -> bool {
        self.problems.iter().any(|problem| problem.key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The name of the whole system.
    pub(crate) fn system_name(&mut self, key: &Key<'_>, written: Option<String>) -> String {
        let system = self.required(key, written, "shop");
        if let Some(system) = &system {
            self.keep(key, name(system));
        }
        system.unwrap_or_default()
    }

    pub(crate) fn warn(&mut self, key: &Key<'_>, message: impl fmt::Display) {
        self.warnings.push(key.problem(message));
    }

    pub(super) fn keep<T, E: fmt::Display>(&mut self, key: &Key<'_>, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(key, error)).ok()
    }

    /// A required text; reported as missing only where nothing is written at all.
    pub(super) fn required(&mut self, key: &Key<'_>, written: Option<String>, example: &str) -> Option<String> {
        if written.is_none() && !key.is_written() {
            self.wrong(key, format_args!("is missing; add `{} = \"{example}\"`", key.name()));
        }
        written
    }

    pub(super) fn within<T>(&mut self, key: &Key<'_>, written: Option<T>, default: T, range: &RangeInclusive<T>) -> T
    where
        T: PartialOrd + Copy + fmt::Display,
    {
        let value = written.unwrap_or(default);
        if range.contains(&value) {
            return value;
        }
        self.wrong(key, format_args!("{} is {value}; it must be {} to {}", key.name(), range.start(), range.end()));
        default
    }

    pub(super) fn bytes(
        &mut self,
        key: &Key<'_>,
        written: Option<Size>,
        default: Size,
        range: &RangeInclusive<Size>,
    ) -> u64 {
        self.within(key, written, default, range).get()
    }

    /// `path` as written, absolute. Only leading `..` are folded: behind a folder that may be a
    /// symlink they mean something else. None: it may not be named here, which is reported.
    pub(super) fn path(&mut self, key: &Key<'_>, path: &str) -> Option<PathBuf> {
        let absolute = document::path::absolute(&self.folder, path);
        self.named.insert(absolute.clone());
        if self.confines.is_some_and(|confines| !confines.allow(&self.folder, &absolute)) {
            self.wrong(
                key,
                format_args!(
                    "`{path}` is outside of the manifest's folder; what is sent to a running host may name only paths \
                     inside of it, and those that its own file names"
                ),
            );
            return None;
        }
        Some(absolute)
    }

    /// The absolute path of a file that must be there and open for reading.
    pub(super) fn file(&mut self, key: &Key<'_>, path: &str) -> Option<PathBuf> {
        let absolute = self.path(key, path)?;
        match File::open(&absolute).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => self.wrong(key, format_args!("`{path}` is not a file; name a file, relative to the manifest")),
            Err(error) => {
                self.wrong(
                    key,
                    format_args!("cannot read `{}`: {error}; correct the path or its rights", absolute.display()),
                );
            }
        }
        Some(absolute)
    }
}
