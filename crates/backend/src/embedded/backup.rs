//! What private servers keep, taken while they run, and put back into a data folder that has none yet.
//!
//! It is made by the servers' own programs: a consistent dump of each database of PostgreSQL, then a snapshot of
//! Redis. So what an event tells of is in the databases; an event may be newer than they are, never older. What the
//! host itself keeps comes with it: signing keys, histories, builds. A backup is there whole, or not at all.
//!
//! Start at [`take`] and [`put_back`].

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};

use super::{
    DataFolder, Environment, account::Account, binaries, cluster::SUPERUSER, postgres::Server, postgres::ServerError,
    private,
};
use super::{binaries::BinariesError, private::PrivateError};

/// One program may take so long: a dump of everything that one machine's trial holds.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Of what a program said, its end.
const SAID_MAX: usize = 2000;
/// Sessions of the server that a restore starts.
const SESSIONS: usize = 4;
const NOTE: &str = "backup.json";
const ROLES: &str = "roles.sql";
const DATABASES: &str = "databases";
const REDIS: &str = "redis.rdb";
/// What the host itself keeps under `data`, as files and folders of files.
const OWN: [&str; 4] = ["keys", "history", "builds", "redis.databases"];
/// Every database but those that each server has.
const LIST: &str = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// When it was begun, in UTC.
    pub at: String,
    /// Of PostgreSQL, where there is one: an older one may not read what a newer one wrote.
    pub postgres: Option<String>,
    pub databases: Vec<String>,
    pub redis: bool,
}

/// Why there is no backup, or why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("`{0}` is there already; name a folder that is not")]
    Exists(PathBuf),
    #[error("`{0}` holds no private server's data; a server with a `url` is backed up by its own means")]
    Nothing(PathBuf),
    #[error("no host runs on `{0}`; start it, or copy the folder as it is")]
    NotRunning(PathBuf),
    #[error("`{0}` has data already; put a backup into a new `host.data`")]
    NotEmpty(PathBuf),
    #[error("`{0}` is no backup: it has no readable `{NOTE}`")]
    NoBackup(PathBuf),
    #[error("cannot read or write `{path}`")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` failed: {said}", .program.display())]
    Program { program: PathBuf, said: String },
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Takes what the private servers of a running host on `data` keep into the new folder `to`, which only this
/// account can read. Whatever is done meanwhile goes on.
///
/// # Errors
/// Why there is none; then there is no folder `to` either.
pub async fn take(data: &Path, environment: &Environment, to: &Path) -> Result<Taken, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // Of one that was broken off.
    let _absent = fs::remove_dir_all(&part);
    let taken = fill(data, environment, &part).await;
    let taken = taken.and_then(|taken| fs::rename(&part, to).map(|()| taken).map_err(at(to)));
    if taken.is_err() {
        let _best_effort = fs::remove_dir_all(&part);
    }
    taken
}

async fn fill(data: &Path, environment: &Environment, part: &Path) -> Result<Taken, BackupError> {
    let mut taken =
        Taken { at: jiff::Timestamp::now().to_string(), postgres: None, databases: Vec::new(), redis: false };
    let (cluster, redis) = (data.join("postgres"), data.join("redis"));
    if !cluster.exists() && !redis.exists() {
        return Err(BackupError::Nothing(data.to_owned()));
    }
    folder(part)?;
    if cluster.exists() {
        let binaries = binaries::find(environment, &cluster)?;
        let programs = Programs { folder: binaries.folder, socket: socket_of(&cluster)? };
        taken.postgres = Some(binaries.major);
        taken.databases = programs.databases().await?;
        programs.dump(&taken.databases, part).await?;
    }
    if redis.exists() {
        let note = data.join("redis.socket");
        let socket = fs::read_to_string(&note).map_err(at(&note))?;
        let socket = Path::new(socket.trim()).join("redis.sock");
        if !socket.exists() {
            return Err(BackupError::NotRunning(data.to_owned()));
        }
        let program = binaries::redis(environment)?.with_file_name("redis-cli");
        run(&program, ["-s".as_ref(), socket.as_os_str(), "--rdb".as_ref(), part.join(REDIS).as_os_str()]).await?;
        taken.redis = true;
    }
    for name in OWN {
        copy(&data.join(name), &part.join(name))?;
    }
    let note = part.join(NOTE);
    let text = serde_json::to_string_pretty(&taken).expect("names and numbers are JSON");
    fs::write(&note, text + "\n").map_err(at(&note))?;
    Ok(taken)
}

/// Puts the backup in `from` into `data`, which this host alone uses and which has no such data yet.
///
/// # Errors
/// Why nothing, or not all, was put back: then the folder is of no use, and its data may be removed.
pub async fn put_back(data: &DataFolder, environment: &Environment, from: &Path) -> Result<Taken, BackupError> {
    let text = fs::read_to_string(from.join(NOTE)).ok();
    let taken = text.and_then(|text| serde_json::from_str::<Taken>(&text).ok());
    let taken = taken.ok_or_else(|| BackupError::NoBackup(from.to_owned()))?;
    let place = data.path();
    if OWN.iter().chain(&["postgres", "redis"]).any(|name| place.join(name).exists()) {
        return Err(BackupError::NotEmpty(place.to_owned()));
    }
    for name in OWN {
        copy(&from.join(name), &place.join(name))?;
    }
    if taken.redis {
        let (folder, name) = (place.join("redis"), "appendonly.aof");
        let account = Account::choose("redis", &folder).map_err(at(&folder))?;
        private::make(&folder, &account)?;
        // An append-only file may begin with a snapshot, and this one is nothing else.
        let file = folder.join(name);
        fs::copy(from.join(REDIS), &file).and_then(|_bytes| account.own(&file)).map_err(at(&file))?;
    }
    if taken.postgres.is_some() {
        let server = Server::start(data, environment, SESSIONS).await?;
        let programs = Programs {
            folder: binaries::find(environment, &place.join("postgres"))?.folder,
            socket: socket_of(&place.join("postgres"))?,
        };
        let restored = programs.restore(&taken.databases, from).await;
        server.stop().await;
        restored?;
    }
    Ok(taken)
}

/// Programs of PostgreSQL, as the superuser of one private server: the account of the host is let in as that.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    pub(super) socket: PathBuf,
}

impl Programs {
    pub(super) async fn databases(&self) -> Result<Vec<String>, BackupError> {
        let told = self.run("psql", &["-XAt", "-d", "postgres", "-c", LIST]).await?;
        Ok(told.lines().map(str::to_owned).collect())
    }

    async fn dump(&self, databases: &[String], to: &Path) -> Result<(), BackupError> {
        folder(&to.join(DATABASES))?;
        let roles = text(&to.join(ROLES))?;
        // Passwords are made anew at each start.
        self.run("pg_dumpall", &["--roles-only", "--no-role-passwords", "-f", &roles]).await?;
        for name in databases {
            let file = text(&to.join(DATABASES).join(format!("{name}.dump")))?;
            self.run("pg_dump", &["--format=custom", "--create", "-d", name, "-f", &file]).await?;
        }
        Ok(())
    }

    async fn restore(&self, databases: &[String], from: &Path) -> Result<(), BackupError> {
        let path = from.join(ROLES);
        let roles = fs::read_to_string(&path).map_err(at(&path))?;
        // The superuser is there; it made this server.
        let own = format!("CREATE ROLE {SUPERUSER};");
        let roles: Vec<&str> = roles.lines().filter(|line| *line != own && !line.starts_with('\\')).collect();
        self.run("psql", &["-X", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", &roles.join("\n")]).await?;
        for name in databases {
            let file = text(&from.join(DATABASES).join(format!("{name}.dump")))?;
            self.run("pg_restore", &["--exit-on-error", "--create", "-d", "postgres", &file]).await?;
        }
        Ok(())
    }

    pub(super) async fn run(&self, program: &str, arguments: &[&str]) -> Result<String, BackupError> {
        let who = [OsString::from("-h"), self.socket.clone().into(), "-U".into(), SUPERUSER.into()];
        run(&self.folder.join(program), who.into_iter().chain(arguments.iter().map(OsString::from))).await
    }
}

async fn run(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
) -> Result<String, BackupError> {
    ended(program, arguments, &[]).await
}

/// What a program said on its standard output; it sees no more of the environment than this. Dropping it ends it.
pub(super) async fn ended(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
    environment: &[(&str, OsString)],
) -> Result<String, BackupError> {
    let failed = |said: String| BackupError::Program { program: program.to_owned(), said };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C.UTF-8");
    command.envs(environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(PROGRAM_TIMEOUT, command.output()).await;
    let ended = ended.map_err(|_elapsed| failed(format!("it did not end within {PROGRAM_TIMEOUT:?}")))?;
    let ended = ended.map_err(|error| failed(error.to_string()))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    let begins = said.char_indices().rev().nth(SAID_MAX).map_or(0, |(at, _)| at);
    Err(failed(said[begins..].to_owned()))
}

/// The folder of the socket of the server that runs on `cluster`.
pub(super) fn socket_of(cluster: &Path) -> Result<PathBuf, BackupError> {
    let not_running = || BackupError::NotRunning(cluster.parent().unwrap_or(cluster).to_owned());
    let text = fs::read_to_string(cluster.join("postmaster.pid")).map_err(|_absent| not_running())?;
    let mut lines = text.lines();
    let pid = lines.next().and_then(|pid| pid.trim().parse::<u32>().ok());
    let socket = lines.nth(3).map(PathBuf::from);
    match (pid.filter(|pid| private::runs_on(*pid, cluster)), socket) {
        (Some(_), Some(socket)) => Ok(socket),
        _ => Err(not_running()),
    }
}

/// A file, or a folder of files and of folders of files; nothing where there is none. Links are left out: nobody
/// but the host writes there, and it makes none.
fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let Ok(found) = fs::symlink_metadata(from) else { return Ok(()) };
    if found.is_file() {
        // With its rights.
        return fs::copy(from, to).map(drop).map_err(at(from));
    }
    if !found.is_dir() {
        return Ok(());
    }
    folder(to)?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A new one that only this account can enter.
fn folder(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700))).map_err(at(path))
}

fn text(path: &Path) -> Result<String, BackupError> {
    let said = "its name is not UTF-8".to_owned();
    path.to_str().map(str::to_owned).ok_or(BackupError::Program { program: path.to_owned(), said })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    |source| BackupError::File { path, source }
}
