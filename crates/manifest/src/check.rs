//! From what a file says to what the host runs with: every rule that its shape cannot express.
//!
//! Each check returns a value even when it found a mistake, so that the checks after it find
//! theirs; whoever started them throws everything away when there are problems. Files named in
//! a manifest are looked at for existence only.

mod admin;
mod auth;
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
mod redis;
mod route;
mod secrets;
mod service;
mod swap;

use std::{collections::BTreeSet, fmt, fs::File, ops::RangeInclusive, path::PathBuf};

pub use self::auth::{key_document, ttl};
pub(super) use self::{
    admin::admin,
    auth::{Auths, GatewayAuth, auth},
    database::database,
    events::events,
    folder::apart,
    gateway::gateway,
    host::host,
    keyvalue::keyvalue,
    redis::{redis, redis_count},
    route::{conflicts, route, unused},
    secrets::secrets,
    service::{Surroundings, service, set},
};
use super::{Confines, Environment};
use document::name::check as name;
use document::problem::Problem;
use document::quantity::Size;
use document::source::Key;
use grant::{Reading, Whose};

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
    /// What the permissions of a service are read with. `unrestricted` is `host.allow_unrestricted`.
    fn reading(&mut self, unrestricted: bool) -> Reading<'_> {
        Reading {
            whose: Whose::Manifest { unrestricted },
            folder: &self.folder,
            problems: &mut self.problems,
            warnings: &mut self.warnings,
        }
    }

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
