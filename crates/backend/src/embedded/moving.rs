//! A private database goes over to a server of the operator's own, by the programs of PostgreSQL.
//!
//! Decides when nothing is done: while a host runs, into a database that has something already. What was read and what
//! was written is counted on both sides. The private database stays as it was: that is the way back.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use tokio_postgres::config::Host;

use super::{
    DataFolder, Environment,
    backup::{BackupError, Programs, ended, socket_of},
    binaries,
    postgres::Server,
};
use crate::postgres::url::{Parsed, UrlError, parse};
use manifest::{Secret, TlsMode};

/// Sessions of the private server meanwhile.
const SESSIONS: usize = 4;
/// Authorities that distributions keep: the programs of PostgreSQL know none of their own.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// A line for each table: its name and how many rows it has.
const COUNT: &str = "SELECT format('%I.%I', schemaname, tablename), (xpath('/row/n/text()', query_to_xml(format(
    'SELECT count(*) AS n FROM %I.%I', schemaname, tablename), false, true, '')))[1]
    FROM pg_tables WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\\_%' ORDER BY 1";

/// What went over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub tables: usize,
    pub rows: u64,
}

/// Why nothing went over; the private database is as it was, and so is the other one.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("there is no private database `{0}` in `host.data`; a host that runs makes it at its first start")]
    Nothing(String),
    #[error("the database behind the URL has {tables} tables already; name an empty one")]
    NotEmpty { tables: usize },
    #[error("what arrived is not what was there; empty the database behind the URL and try again:\n{0}")]
    Differs(String),
    #[error(transparent)]
    Program(#[from] BackupError),
}

/// Copies the private database `name` (as in the manifest) to the database behind `url`, which the URL's role owns.
/// `data` is ours alone: no host runs on it. Cancel safe: what was written is undone by the server.
///
/// # Errors
/// Why it did not go over.
pub async fn move_out(
    data: &DataFolder,
    environment: &Environment,
    name: &str,
    url: &Secret,
) -> Result<Moved, MoveError> {
    let (cluster, database) = (data.path().join("postgres"), format!("db_{name}"));
    let target = Target::of(&parse(url.reveal(), TlsMode::Prefer)?);
    if !cluster.exists() {
        return Err(MoveError::Nothing(name.to_owned()));
    }
    let server = Server::start(data, environment, SESSIONS).await.map_err(BackupError::from)?;
    let moved = async {
        let folder = binaries::find(environment, &cluster).map_err(BackupError::from)?.folder;
        let from = Programs { folder: folder.clone(), socket: socket_of(&cluster)? };
        if !from.databases().await?.contains(&database) {
            return Err(MoveError::Nothing(name.to_owned()));
        }
        let dump = data.path().join(format!("move-{name}.dump"));
        let went = copied(&from, &target, &folder, &database, &dump).await;
        let _absent = fs::remove_file(&dump);
        went
    };
    let moved = moved.await;
    server.stop().await;
    moved
}

async fn copied(
    from: &Programs,
    target: &Target,
    folder: &Path,
    database: &str,
    dump: &Path,
) -> Result<Moved, MoveError> {
    let there = target.run(&folder.join("psql"), &["-XAt", "-c", COUNT]).await?;
    if !there.trim().is_empty() {
        return Err(MoveError::NotEmpty { tables: there.lines().count() });
    }
    let (owners, rights) = ("--no-owner", "--no-privileges");
    let file = dump.to_string_lossy();
    own(dump)?;
    from.run("pg_dump", &["--format=custom", owners, rights, "-d", database, "-f", &file]).await?;
    let once = ["--single-transaction", "--exit-on-error", owners, rights, "-d", &*target.database, &file];
    target.run(&folder.join("pg_restore"), &once).await?;
    let (was, is) = (
        from.run("psql", &["-XAt", "-d", database, "-c", COUNT]).await?,
        target.run(&folder.join("psql"), &["-XAt", "-c", COUNT]).await?,
    );
    if was != is {
        return Err(MoveError::Differs(format!("{was}\n{is}")));
    }
    let rows = |line: &str| line.rsplit('|').next().and_then(|rows| rows.parse::<u64>().ok()).unwrap_or(0);
    Ok(Moved { tables: is.lines().count(), rows: is.lines().map(rows).sum() })
}

/// A file of this account alone, before anything is in it.
fn own(file: &Path) -> Result<(), BackupError> {
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    made.map(drop).map_err(|source| BackupError::File { path: file.to_owned(), source })
}

/// A server of somebody's own, as the programs of PostgreSQL are told of it: no argument of theirs has a password.
struct Target {
    database: String,
    environment: Vec<(&'static str, OsString)>,
}

impl Target {
    fn of(url: &Parsed) -> Self {
        let config = &url.config;
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.to_string_lossy().into_owned(),
        };
        let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
        let ports: Vec<_> = config.get_ports().iter().map(ToString::to_string).collect();
        let addresses: Vec<_> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
        let (mode, roots) = match url.tls {
            TlsMode::Disable => ("disable", None),
            TlsMode::Prefer => ("prefer", None),
            TlsMode::Require => {
                let known = || AUTHORITIES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
                ("verify-full", url.roots.clone().or_else(known))
            }
        };
        let user = config.get_user().unwrap_or_default();
        let database = config.get_dbname().unwrap_or(user).to_owned();
        let told = [
            ("PGHOST", Some(hosts.join(",").into())),
            ("PGHOSTADDR", (!addresses.is_empty()).then(|| addresses.join(",").into())),
            ("PGPORT", (!ports.is_empty()).then(|| ports.join(",").into())),
            ("PGUSER", Some(user.into())),
            ("PGPASSWORD", config.get_password().map(|password| String::from_utf8_lossy(password).into_owned().into())),
            ("PGDATABASE", Some(OsString::from(&database))),
            ("PGSSLMODE", Some(mode.into())),
            ("PGSSLROOTCERT", roots.map(Into::into)),
            ("PGTARGETSESSIONATTRS", Some("read-write".into())),
        ];
        let environment = told.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect();
        Self { database, environment }
    }

    async fn run(&self, program: &Path, arguments: &[&str]) -> Result<String, BackupError> {
        ended(program, arguments, &self.environment).await
    }
}
