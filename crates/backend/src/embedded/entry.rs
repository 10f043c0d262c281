//! How the account of a private server gets to its data.
//!
//! By the path, usually. A folder on the way may be closed to it, as /root is, and opening the
//! way would open it for everybody. Then the programs get a handle of this one folder from the
//! host and use it through /proc, where the folders above do not matter.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::{account::Account, private::PrivateError};

/// The handle arrives as standard input and becomes descriptor 3, which children inherit.
const WITH_HANDLE: &str = "exec \"$0\" \"$@\" 3<&0 </dev/null";
const ALONE: &str = "exec \"$0\" \"$@\"";
const HANDLE: &str = "/proc/self/fd/3";

/// A data folder that the account can reach.
#[derive(Debug)]
pub(super) struct Entry {
    folder: PathBuf,
    /// Empty when the path will do.
    handle: Option<File>,
}

impl Entry {
    pub(super) async fn find(folder: &Path, account: &Account) -> Result<Self, PrivateError> {
        let by_path = Self { folder: folder.to_owned(), handle: None };
        if by_path.is_open(account).await {
            return Ok(by_path);
        }
        let writing = |source| PrivateError::Write { path: folder.to_owned(), source };
        let by_handle = Self { handle: Some(File::open(folder).map_err(writing)?), ..by_path };
        if by_handle.is_open(account).await {
            return Ok(by_handle);
        }
        Err(PrivateError::OutOfReach {
            account: account.name.clone(),
            path: folder.to_owned(),
            closed: closed_above(folder, account).await,
        })
    }

    /// What the programs call the folder.
    pub(super) fn name(&self) -> &Path {
        match self.handle {
            Some(_) => Path::new(HANDLE),
            None => &self.folder,
        }
    }

    /// A command under the account that can use [`Entry::name`]; its standard input is empty.
    pub(super) fn command(&self, program: &Path, account: &Account) -> Command {
        self.started(program, account, "")
    }

    /// The same, with so much address space for each process that it starts, where the system can bound it.
    pub(super) fn command_within(&self, bytes_max: u64, program: &Path, account: &Account) -> Command {
        self.started(program, account, &format!("ulimit -v {} 2>/dev/null; ", bytes_max >> 10))
    }

    /// `first` is done by a shell before.
    fn started(&self, program: &Path, account: &Account, first: &str) -> Command {
        let handle = self.handle.as_ref().and_then(|handle| handle.try_clone().ok());
        let mut command = match handle {
            Some(handle) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("{first}{WITH_HANDLE}")).arg(program).stdin(Stdio::from(handle));
                shell
            }
            None if !first.is_empty() => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("{first}{ALONE}")).arg(program).stdin(Stdio::null());
                shell
            }
            None => {
                let mut command = Command::new(program);
                command.stdin(Stdio::null());
                command
            }
        };
        account.take_over(&mut command);
        command
    }

    async fn is_open(&self, account: &Account) -> bool {
        let mut test = self.command(Path::new("/bin/sh"), account);
        test.args(["-c", "test -w \"$0\" && test -x \"$0\""]).arg(self.name());
        test.status().await.is_ok_and(|status| status.success())
    }
}

/// The outermost folder on the way that the account cannot enter.
async fn closed_above(folder: &Path, account: &Account) -> PathBuf {
    let mut above: Vec<_> = folder.ancestors().collect();
    while let Some(outermost) = above.pop() {
        let mut test = Command::new("/bin/sh");
        account.take_over(&mut test).args(["-c", "test -x \"$0\""]).arg(outermost);
        if !test.status().await.is_ok_and(|status| status.success()) {
            return outermost.to_owned();
        }
    }
    folder.to_owned()
}
