//! From what a file says to what the host runs with: every rule that its shape cannot express.
//!
//! Each check returns a value even when it found a mistake, so that the checks after it find
//! theirs; whoever started them throws everything away when there are problems. Files named in
//! a manifest are looked at for existence only.

mod admin;
mod auth;
mod ceiling;
mod database;
mod environment;
mod events;
mod folder;
mod gateway;
mod gather;
mod host;
mod keyvalue;
mod limiting;
mod limits;
mod reach;
mod redis;
mod route;
mod secrets;
mod service;
mod swap;

use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
};

pub use self::auth::{key_document, ttl};
pub(super) use self::{
    admin::admin,
    auth::{Auths, GatewayAuth, auth},
    ceiling::ceiling,
    database::database,
    events::events,
    folder::apart,
    gateway::gateway,
    host::host,
    keyvalue::keyvalue,
    redis::{redis, redis_count},
    route::{conflicts, route, unused},
    secrets::secrets,
    service::{Surroundings, service},
};
use super::{Confines, Environment, quantity::Size, source::Key};
use document::problem::Problem;

/// What all checks share, and what they found.
pub(super) struct Check<'a> {
    pub(super) env: &'a Environment,
    /// The manifest's folder, absolute and without symlinks: what relative paths start from.
    pub(super) folder: PathBuf,
    /// What a manifest that was sent to us may name outside of its folder.
    pub(super) confines: Option<&'a Confines>,
    /// Every path that was named.
    pub(super) named: BTreeSet<PathBuf>,
    /// False: an include could not be read, so a missing name may be in there.
    pub(super) whole: bool,
    /// Variables that the manifest itself reads, or one from this machine: never shown to a service.
    pub(super) reserved: BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Check<'_> {
    pub(super) fn wrong(&mut self, key: &Key<'_>, message: impl fmt::Display) {
        self.problems.push(key.problem(message));
    }

    /// Whether something in the table `key` has been reported already.
    fn is_wrong_inside(&self, key: &Key<'_>) -> bool {
        let inside = |problem: &Problem| problem.key.strip_prefix(key.path()).is_some_and(|rest| rest.starts_with('.'));
        self.problems.iter().any(|problem| problem.file == key.file() && inside(problem))
    }

    /// The name of the whole system.
    pub(super) fn system_name(&mut self, key: &Key<'_>, written: Option<String>) -> String {
        let system = self.required(key, written, "shop");
        if let Some(system) = &system {
            self.keep(key, name(system));
        }
        system.unwrap_or_default()
    }

    pub(super) fn warn(&mut self, key: &Key<'_>, message: impl fmt::Display) {
        self.warnings.push(key.problem(message));
    }

    fn keep<T, E: fmt::Display>(&mut self, key: &Key<'_>, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(key, error)).ok()
    }

    /// A required text; reported as missing only where nothing is written at all.
    fn required(&mut self, key: &Key<'_>, written: Option<String>, example: &str) -> Option<String> {
        if written.is_none() && !key.is_written() {
            self.wrong(key, format_args!("is missing; add `{} = \"{example}\"`", key.name()));
        }
        written
    }

    fn within<T>(&mut self, key: &Key<'_>, written: Option<T>, default: T, range: &RangeInclusive<T>) -> T
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

    fn bytes(&mut self, key: &Key<'_>, written: Option<Size>, default: Size, range: &RangeInclusive<Size>) -> u64 {
        self.within(key, written, default, range).get()
    }

    /// `path` as written, absolute. Only leading `..` are folded: behind a folder that may be a
    /// symlink they mean something else. None: it may not be named here, which is reported.
    fn path(&mut self, key: &Key<'_>, path: &str) -> Option<PathBuf> {
        let mut absolute = self.folder.clone();
        let mut leading = true;
        for component in Path::new(path).components() {
            leading &= matches!(component, Component::ParentDir | Component::CurDir);
            match component {
                Component::CurDir => {}
                Component::ParentDir if leading => _ = absolute.pop(),
                other => absolute.push(other),
            }
        }
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
    fn file(&mut self, key: &Key<'_>, path: &str) -> Option<PathBuf> {
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

/// The rule for names of systems, services and databases: they become host names, role names
/// and folders.
pub(super) fn name(name: &str) -> Result<(), String> {
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(right) {
        return Ok(());
    }
    let mut suggestion: String = name.to_lowercase().chars().map(|c| if right(c) { c } else { '-' }).collect();
    suggestion = suggestion.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().take(63).collect();
    let rule = "names are up to 63 lower-case letters, digits and `-`, a letter first";
    match suggestion.is_empty() {
        true => Err(format!("`{name}` cannot be a name; {rule}")),
        false => Err(format!("`{name}` cannot be a name, write `{suggestion}`; {rule}")),
    }
}
