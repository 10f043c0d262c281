//! Folders that only a private server and the host can enter, who is in them, and how a server is told to end.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, geteuid, kill_process},
};
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

/// Makes `content` what a file says, in a folder where another account may put things: what a link there leads to
/// is not touched.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link, or no file; remove it"));
    }
    file.set_len(0)?;
    file.write_all(content)
}

/// A folder for a socket: short, unguessable, and closed to all but the server and the host.
pub(super) fn socket_folder(runtime: Option<&Path>, account: &Account) -> Result<PathBuf, PrivateError> {
    // Root's runtime folder is closed to the account the server runs under, and somebody else's (`su`) to us.
    let is_ours =
        |folder: &Path| fs::metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
    let parent = match runtime {
        Some(runtime) if account.is_hosts_own() && is_ours(runtime) => runtime,
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

/// Waits until no server of this data has that number; says whether it came to that within `patience`.
pub(super) async fn is_gone(pid: u32, folder: &Path, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while runs_on(pid, folder) {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_never_written() {
        let place = tempfile::tempdir().unwrap();
        let [precious, link, hard] = ["precious", "link", "hard"].map(|name| place.path().join(name));
        fs::write(&precious, "kept").unwrap();
        symlink(&precious, &link).unwrap();
        fs::hard_link(&precious, &hard).unwrap();
        for way in [&link, &hard] {
            assert!(write(way, b"lost").is_err(), "{}", way.display());
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
        let plain = place.path().join("plain");
        for content in ["a longer text", "short"] {
            write(&plain, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&plain).unwrap(), content);
        }
    }

    #[test]
    fn somebody_elses_runtime_folder_holds_no_socket_of_ours() {
        let place = tempfile::tempdir().unwrap();
        let account = Account::of_host().unwrap();
        let foreign = match geteuid().is_root() {
            true => chown(place.path(), Some(12_345), None).map(|()| place.path()).unwrap(),
            false => Path::new("/"),
        };
        let folder = socket_folder(Some(foreign), &account).unwrap();
        fs::remove_dir(&folder).unwrap();
        assert_eq!(folder.parent(), Some(Path::new("/tmp")));
        let own = tempfile::tempdir().unwrap();
        assert_eq!(socket_folder(Some(own.path()), &account).unwrap().parent(), Some(own.path()));
    }
}
