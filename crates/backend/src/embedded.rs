//! Private servers that the host starts from installed binaries, for databases without a URL.
//!
//! They keep everything under the host's `data` folder, listen on a unix socket only, run under
//! another account when the host is root, and end with the host. One host at a time uses a
//! folder: [`DataFolder`] is the proof. What comes out of a server is
//! `backend/postgres`'s and `backend/redis`'s business.

mod account;
pub mod backup;
mod binaries;
mod cluster;
mod entry;
mod folder;
mod log;
pub mod moving;
pub(super) mod numbers;
mod pattern;
pub mod postgres;
mod private;
pub mod redis;
pub(crate) mod resident;
pub mod roles;

use std::{ffi::OsString, path::PathBuf};

pub use folder::{DataFolder, FolderError};

/// What the host's environment says about private servers. Only `serve` reads the environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `PATH`.
    pub path: Option<OsString>,
    /// `ARCHIPEL_POSTGRES`: the folder of its binaries, or the `postgres` program in it.
    pub postgres: Option<PathBuf>,
    /// `ARCHIPEL_REDIS`: the `redis-server` program, or the folder it is in.
    pub redis: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, for sockets.
    pub runtime: Option<PathBuf>,
    /// The data of these servers is thrown away with them, so nothing waits for the disk; and in this folder is kept what
    /// they all begin with.
    pub passing: Option<PathBuf>,
}

/// Makes the cluster of a folder that has none, as a copy of the one that tests begin with.
#[cfg(test)]
pub(crate) async fn fill(folder: &DataFolder, environment: &Environment) {
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp");
    std::fs::create_dir_all(&kept).unwrap();
    let cluster = folder.path().join("postgres");
    let account = account::Account::choose("postgres", &cluster).unwrap();
    let binaries = binaries::find(environment, &cluster).unwrap();
    cluster::ensure(&cluster, &binaries, &account, Some(&kept)).await.unwrap();
}

impl Environment {
    /// What of the host's variables concerns private servers.
    pub fn of(variables: &manifest::Environment) -> Self {
        let variable = |name: &str| variables.get(name);
        Self {
            path: variable("PATH").map(Into::into),
            postgres: variable("ARCHIPEL_POSTGRES").map(PathBuf::from),
            redis: variable("ARCHIPEL_REDIS").map(PathBuf::from),
            runtime: variable("XDG_RUNTIME_DIR").map(PathBuf::from),
            passing: None,
        }
    }
}
