//! Finds an installed PostgreSQL and an installed Redis.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::Environment;

/// Where distributions keep versions side by side: a folder for each, `bin` in it.
const DISTRIBUTIONS: &str = "/usr/lib/postgresql";
const REDIS: &str = "redis-server";
/// Where distributions and people put programs, also those that are not in a service's `PATH`.
const USUAL: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin"];
const NEEDED: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// A folder with the programs of one PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: String,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinariesError {
    #[error(
        "PostgreSQL is not installed; install it (Debian: `apt install postgresql`), point ARCHIPEL_POSTGRES to the folder of its binaries, or give the database a `url`"
    )]
    NotFound,
    #[error("ARCHIPEL_POSTGRES is `{0}`, which holds no `postgres`, `initdb` and `pg_ctl`")]
    NotThere(PathBuf),
    #[error(
        "`{cluster}` was made by PostgreSQL {major}, which is not installed; install it, or move the data with `pg_upgrade`"
    )]
    OtherMajor { cluster: PathBuf, major: String },
    #[error(
        "Redis is not installed; install it (Debian: `apt install redis-server`), point ARCHIPEL_REDIS to its `redis-server`, or give the `[redis.NAME]` a `url`"
    )]
    NoRedis,
    #[error("ARCHIPEL_REDIS is `{0}`, which is no `redis-server` and holds none")]
    NoRedisThere(PathBuf),
}

/// `redis-server`, the first of: the given one, `PATH`, the usual folders.
pub(super) fn redis(environment: &Environment) -> Result<PathBuf, BinariesError> {
    if let Some(given) = &environment.redis {
        let program = if given.is_dir() { given.join(REDIS) } else { given.clone() };
        return if program.is_file() { Ok(program) } else { Err(BinariesError::NoRedisThere(given.clone())) };
    }
    let path = environment.path.as_deref().unwrap_or(OsStr::new(""));
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let mut programs = folders.chain(USUAL.map(PathBuf::from)).map(|folder| folder.join(REDIS));
    programs.find(|program| program.is_file()).ok_or(BinariesError::NoRedis)
}

/// The first of: the given one, `PATH`, the distribution's newest. A cluster that exists already
/// needs the major version that made it. Blocks shortly.
pub(super) fn find(environment: &Environment, cluster: &Path) -> Result<Binaries, BinariesError> {
    let candidates = candidates(environment)?;
    let made_by = std::fs::read_to_string(cluster.join("PG_VERSION")).ok().map(|text| text.trim().to_owned());
    let Some(major) = made_by else {
        return candidates.into_iter().next().ok_or(BinariesError::NotFound);
    };
    match candidates.into_iter().find(|candidate| candidate.major == major) {
        Some(binaries) => Ok(binaries),
        None => Err(BinariesError::OtherMajor { cluster: cluster.to_owned(), major }),
    }
}

fn candidates(environment: &Environment) -> Result<Vec<Binaries>, BinariesError> {
    if let Some(given) = &environment.postgres {
        let folder = if given.is_dir() { given.as_path() } else { given.parent().unwrap_or(given) };
        return match in_folder(folder) {
            Some(binaries) => Ok(vec![binaries]),
            None => Err(BinariesError::NotThere(given.clone())),
        };
    }
    let path = environment.path.as_deref().unwrap_or(OsStr::new(""));
    let mut found: Vec<_> = std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .filter_map(|folder| in_folder(&folder))
        .collect();
    found.extend(distribution());
    Ok(found)
}

/// Newest first.
fn distribution() -> Vec<Binaries> {
    let Ok(versions) = std::fs::read_dir(DISTRIBUTIONS) else { return Vec::new() };
    let mut versions: Vec<_> =
        versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
        .into_iter()
        .filter_map(|version| in_folder(&Path::new(DISTRIBUTIONS).join(version.to_string()).join("bin")))
        .collect()
}

fn in_folder(folder: &Path) -> Option<Binaries> {
    if !NEEDED.iter().all(|program| folder.join(program).is_file()) {
        return None;
    }
    let major = major_of(&folder.join("postgres")).ok()?;
    // A link in PATH may stand alone; its neighbours are where it leads.
    let folder = folder.join("postgres").canonicalize().ok()?.parent()?.to_owned();
    Some(Binaries { folder, major })
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15.
fn major_of(postgres: &Path) -> io::Result<String> {
    let output = Command::new(postgres).arg("--version").env_clear().output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split(' ').nth(2).ok_or(io::ErrorKind::InvalidData)?;
    Ok(version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_hint_is_named_instead_of_passed_over() {
        let environment = Environment { postgres: Some("/nowhere".into()), ..Environment::default() };
        let error = find(&environment, Path::new("/nowhere")).unwrap_err();
        assert_eq!(error, BinariesError::NotThere("/nowhere".into()));
    }

    #[test]
    fn a_wrong_hint_for_redis_is_named_too() {
        let environment = Environment { redis: Some("/nowhere".into()), ..Environment::default() };
        assert_eq!(redis(&environment).unwrap_err(), BinariesError::NoRedisThere("/nowhere".into()));
    }

    #[test]
    fn data_of_another_major_version_is_never_opened() {
        let cluster = tempfile::tempdir().unwrap();
        std::fs::write(cluster.path().join("PG_VERSION"), "9\n").unwrap();
        let error = find(&Environment::default(), cluster.path()).unwrap_err();
        assert!(matches!(error, BinariesError::OtherMajor { major, .. } if major == "9"));
    }
}
