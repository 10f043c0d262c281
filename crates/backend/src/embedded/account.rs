//! The account a private server runs under.
//!
//! PostgreSQL refuses to run as root, and a server needs none of root's rights. The system's own
//! `id` answers, so accounts from any directory service are known.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
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
    /// The host's own account, or when that is root the one that `data` belongs to already, else `servers` or another
    /// unprivileged one: an account that is made later changes nothing. Blocks shortly.
    pub(super) fn choose(servers: &str, data: &Path) -> io::Result<Self> {
        let host = Self::of_host()?;
        if !rustix::process::geteuid().is_root() {
            return Ok(host);
        }
        let host_name = host.host_name;
        if let Some((uid, gid)) = fs::metadata(data).ok().map(|found| (found.uid(), found.gid())).filter(|of| of.0 != 0)
        {
            let name = id(&["-un", &uid.to_string()]).unwrap_or_else(|_nameless| uid.to_string());
            return Ok(Self { name, host_name, other: Some((uid, gid)) });
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

    /// The host's own.
    pub(super) fn of_host() -> io::Result<Self> {
        let name = id(&["-un"])?;
        Ok(Self { name: name.clone(), host_name: name, other: None })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_on_belonging_to_the_account_that_it_was_made_for() {
        let place = tempfile::tempdir().unwrap();
        let chosen = |data: &Path| Account::choose("postgres", data).unwrap().other;
        if !rustix::process::geteuid().is_root() {
            assert_eq!(chosen(place.path()), None, "who is not root has no choice");
            return;
        }
        chown(place.path(), Some(12_345), Some(12_346)).unwrap();
        assert_eq!(chosen(place.path()), Some((12_345, 12_346)));
        assert_ne!(chosen(&place.path().join("none")), Some((12_345, 12_346)));
    }
}
