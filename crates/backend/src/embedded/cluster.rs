//! The files of a private PostgreSQL: its data, made once and whole.

use std::{fs, path::Path, process::Stdio, sync::Arc};

use super::{
    account::Account,
    binaries::Binaries,
    entry::Entry,
    pattern::Pattern,
    private::{self, PrivateError, writing},
};
use crate::leash::{Ending, Leash};

/// The role of the host itself.
pub(super) const SUPERUSER: &str = "archipel";

/// Why there is no data to serve.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error("`initdb` failed: {0}")]
    Initdb(String),
}

/// Makes the data folder if it is missing. A half-made one of a killed host is thrown away. With `passing` the data is
/// thrown away at the end, and that folder has or gets a [`Pattern`] of it.
pub(super) async fn ensure(
    cluster: &Path,
    binaries: &Binaries,
    account: &Account,
    passing: Option<&Path>,
) -> Result<Entry, ClusterError> {
    if !cluster.join("PG_VERSION").exists() {
        let half = cluster.with_extension("new");
        if half.exists() {
            fs::remove_dir_all(&half).map_err(writing(&half))?;
        }
        private::make(&half, account)?;
        make(&half, binaries, account, passing).await?;
        fs::rename(&half, cluster).map_err(writing(cluster))?;
    }
    let entry = Entry::find(cluster, account).await?;
    // Only the host, by its system account, and roles with this start's passwords get in.
    let access = format!("local all {SUPERUSER} peer map=host\nlocal all all scram-sha-256\n");
    let names = format!("host {} {SUPERUSER}\n", account.host_name);
    for (file, content) in [("pg_hba.conf", access), ("pg_ident.conf", names)] {
        let path = cluster.join(file);
        private::write(&path, content.as_bytes()).map_err(writing(&path))?;
    }
    Ok(entry)
}

async fn make(half: &Path, binaries: &Binaries, account: &Account, passing: Option<&Path>) -> Result<(), ClusterError> {
    // Without one it only takes longer.
    let pattern = passing.and_then(|kept| Pattern::of(kept, binaries, account).ok()).map(Arc::new);
    if let Some(pattern) = pattern.clone() {
        let to = half.to_owned();
        let filled = tokio::task::spawn_blocking(move || pattern.fill(&to)).await;
        match filled.unwrap_or_else(|broken| Err(broken.into())) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%error, "the pattern of a database cluster cannot be copied");
                fs::remove_dir_all(half).map_err(writing(half))?;
                private::make(half, account)?;
            }
        }
    }
    initdb(&Entry::find(half, account).await?, binaries, account, passing.is_some()).await?;
    if let Some(pattern) = pattern {
        let of = half.to_owned();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || pattern.keep(&of)).await {
            tracing::debug!(%error, "the pattern of a database cluster cannot be kept");
        }
    }
    Ok(())
}

/// With `passing` it does not wait for the disk.
async fn initdb(entry: &Entry, binaries: &Binaries, account: &Account, passing: bool) -> Result<(), ClusterError> {
    let program = binaries.folder.join("initdb");
    let mut last = String::new();
    // Not every system has the first; the second is everywhere and lower-cases ASCII only.
    for locale in ["C.UTF-8", "C"] {
        let mut command = entry.command(&program, account);
        command.arg("-D").arg(entry.name()).args(["-U", SUPERUSER, "-E", "UTF8", "-A", "reject", "--locale", locale]);
        command.args(passing.then_some("--no-sync"));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let ending = Ending { signals: &["KILL"], group: true, ..Ending::default() };
        let spawned = Leash::spawn(&mut command, account.shell(), &ending);
        let (initdb, _leash) = spawned.map_err(writing(&program))?;
        let output = initdb.wait_with_output().await.map_err(writing(&program))?;
        if output.status.success() {
            return Ok(());
        }
        last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no reason given").to_owned();
    }
    Err(ClusterError::Initdb(last))
}
