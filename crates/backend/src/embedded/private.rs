//! Folders that only a private server and the host can enter, who is in them, and how a server is told to end.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Child,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::account::Account;

const SOCKET_FOLDER_PREFIX: &str = "archipel-";
/// A socket's whole path is limited to about 100 bytes; `/.s.PGSQL.5432.lock` comes after it.
const SOCKET_FOLDER_BYTES_MAX: usize = 80;

/// Why a folder cannot be a private server's.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the account `{account}`, under which the private server runs, cannot enter `{closed}` and so not reach `{path}`; let it pass (`chmod o+x {closed}`), or set `host.data` to a folder such as /var/lib/archipel"
    )]
    OutOfReach { account: String, path: PathBuf, closed: PathBuf },
}

/// A new folder, 0700, of this account.
pub(super) fn make(folder: &Path, account: &Account) -> Result<(), PrivateError> {
    let make = || {
        DirBuilder::new().mode(0o700).create(folder)?;
        // The creation mask may have taken more away than wanted.
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        account.own(folder)
    };
    make().map_err(writing(folder))
}

/// A folder for a socket: short, unguessable, and closed to all but the server and the host.
pub(super) fn socket_folder(runtime: Option<&Path>, account: &Account) -> Result<PathBuf, PrivateError> {
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
    make(&folder, account)?;
    Ok(folder)
}

/// Whether a folder is one that `socket_folder` made.
pub(super) fn is_socket_folder(folder: &Path) -> bool {
    folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(SOCKET_FOLDER_PREFIX))
}

/// Whether this process is a server of this data and not a stranger with a number used again: a
/// server's working folder is its data. Where that cannot be seen, its own stopping decides.
pub(super) fn runs_on(pid: u32, folder: &Path) -> bool {
    match Path::new("/proc/self").exists() {
        true => fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder),
        false => true,
    }
}

/// Sends `signal` to a server; says whether it ended until then.
pub(super) async fn ended_by(child: &mut Child, signal: Signal, until: Instant) -> bool {
    // Without a number it has ended, and that was seen.
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        // It may have ended by itself meanwhile; until somebody waits for it, its number is nobody else's.
        let _ = kill_process(pid, signal);
    }
    timeout_at(until, child.wait()).await.is_ok()
}

pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> PrivateError + use<> {
    let path = path.to_owned();
    |source| PrivateError::Write { path, source }
}
