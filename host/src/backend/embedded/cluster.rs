//! The files of a private PostgreSQL: its data, made once and whole, and its socket folder.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{account::Account, binaries::Binaries, entry::Entry};

/// The role of the host itself.
pub(super) const SUPERUSER: &str = "archipel";
const SOCKET_FOLDER_PREFIX: &str = "archipel-";
/// A socket's whole path is limited to about 100 bytes; `/.s.PGSQL.5432.lock` comes after it.
const SOCKET_FOLDER_BYTES_MAX: usize = 80;

/// Why there is no data to serve.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the account `{account}`, under which PostgreSQL runs, cannot enter `{closed}` and so not reach `{path}`; let it pass (`chmod o+x {closed}`), or set `host.data` to a folder such as /var/lib/archipel"
    )]
    OutOfReach { account: String, path: PathBuf, closed: PathBuf },
    #[error("`initdb` failed: {0}")]
    Initdb(String),
}

/// Makes the data folder if it is missing. A half-made one of a killed host is thrown away.
pub(super) async fn ensure(cluster: &Path, binaries: &Binaries, account: &Account) -> Result<Entry, ClusterError> {
    if !cluster.join("PG_VERSION").exists() {
        let half = cluster.with_extension("new");
        if half.exists() {
            fs::remove_dir_all(&half).map_err(writing(&half))?;
        }
        make_private(&half, account).map_err(writing(&half))?;
        initdb(&Entry::find(&half, account).await?, binaries, account).await?;
        fs::rename(&half, cluster).map_err(writing(cluster))?;
    }
    let entry = Entry::find(cluster, account).await?;
    // Only the host, by its system account, and roles with this start's passwords get in.
    let access = format!("local all {SUPERUSER} peer map=host\nlocal all all scram-sha-256\n");
    let names = format!("host {} {SUPERUSER}\n", account.host_name);
    for (file, content) in [("pg_hba.conf", access), ("pg_ident.conf", names)] {
        let path = cluster.join(file);
        fs::write(&path, content).map_err(writing(&path))?;
    }
    Ok(entry)
}

/// A folder for the socket: short, unguessable, and closed to all but the server and the host.
pub(super) fn socket_folder(runtime: Option<&Path>, account: &Account) -> Result<PathBuf, ClusterError> {
    // Root's runtime folder is closed to the account the server runs under.
    let parent = match runtime {
        Some(runtime) if account.is_hosts_own() && runtime.is_dir() => runtime,
        _ => Path::new("/tmp"),
    };
    let name = format!("{SOCKET_FOLDER_PREFIX}{}", &Uuid::new_v4().simple().to_string()[..16]);
    let mut folder = parent.join(&name);
    if folder.as_os_str().len() > SOCKET_FOLDER_BYTES_MAX {
        folder = Path::new("/tmp").join(name);
    }
    make_private(&folder, account).map_err(writing(&folder))?;
    Ok(folder)
}

/// Whether a folder is one that `socket_folder` made.
pub(super) fn is_socket_folder(folder: &Path) -> bool {
    folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(SOCKET_FOLDER_PREFIX))
}

fn make_private(folder: &Path, account: &Account) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    // The creation mask may have taken more away than wanted.
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    account.own(folder)
}

async fn initdb(entry: &Entry, binaries: &Binaries, account: &Account) -> Result<(), ClusterError> {
    let program = binaries.folder.join("initdb");
    let mut last = String::new();
    // Not every system has the first; the second is everywhere and lower-cases ASCII only.
    for locale in ["C.UTF-8", "C"] {
        let mut command = entry.command(&program, account);
        command.arg("-D").arg(entry.name()).args(["-U", SUPERUSER, "-E", "UTF8", "-A", "reject", "--locale", locale]);
        let output = command.output().await.map_err(writing(&program))?;
        if output.status.success() {
            return Ok(());
        }
        last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no reason given").to_owned();
    }
    Err(ClusterError::Initdb(last))
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> ClusterError + use<> {
    let path = path.to_owned();
    |source| ClusterError::Write { path, source }
}
