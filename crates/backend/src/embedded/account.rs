//! The account a private server runs under.
//!
//! PostgreSQL refuses to run as root, and a server needs none of root's rights. The system's own
//! `id` answers, so accounts from any directory service are known.

use std::{
    io,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Output},
};

use crate::leash::Leash;

/// Whom a root host gives a server to when the server's own account is not there.
const UNPRIVILEGED: &str = "nobody";

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    /// The name of the account of the host itself.
    pub(super) host_name: String,
    /// Set when it is not the host's own.
    other: Option<(u32, u32)>,
}

impl Account {
    /// The host's own account, or when that is root `servers` or another unprivileged one. Blocks
    /// shortly.
    pub(super) fn choose(servers: &str) -> io::Result<Self> {
        let host_name = id(&["-un"])?;
        if id(&["-u"])? != "0" {
            return Ok(Self { name: host_name.clone(), host_name, other: None });
        }
        for name in [servers, UNPRIVILEGED] {
            if let (Ok(uid), Ok(gid)) = (number(&["-u", name]), number(&["-g", name])) {
                return Ok(Self { name: name.to_owned(), host_name, other: Some((uid, gid)) });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the system has neither an account `{servers}` nor `{UNPRIVILEGED}`"),
        ))
    }

    /// Lets `command` run under this account, with an empty environment.
    pub(super) fn take_over<'a>(&self, command: &'a mut tokio::process::Command) -> &'a mut tokio::process::Command {
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// A shell under this account.
    pub(super) fn shell(&self) -> tokio::process::Command {
        let mut shell = Leash::shell();
        self.take_over(&mut shell);
        shell
    }

    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self.other {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    pub(super) fn is_hosts_own(&self) -> bool {
        self.other.is_none()
    }
}

fn number(arguments: &[&str]) -> io::Result<u32> {
    id(arguments)?.parse().map_err(io::Error::other)
}

fn id(arguments: &[&str]) -> io::Result<String> {
    let Output { status, stdout, .. } = Command::new("id").args(arguments).output()?;
    match (status.success(), String::from_utf8(stdout)) {
        (true, Ok(text)) => Ok(text.trim().to_owned()),
        _ => Err(io::Error::other(format!("`id {}` failed", arguments.join(" ")))),
    }
}
