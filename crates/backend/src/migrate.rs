//! Brings a database's schema up to what its folder of SQL files says, before anything is served.
//!
//! Files run in the order of their names, each in a transaction of its own, as the database's
//! owner; for an operator's server that is the role of the URL. The table `archipel_migrations`
//! remembers each with its digest (`history`). Hosts take turns file by file, and each looks at the history anew when
//! it has the turn. No file leaves anything in the session for the next one.
//! History is never rewritten: a file that was applied stays as it was, and new ones come last.
//! Which files count is `files`'s decision.

mod files;
mod history;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio_postgres::{Client, error::ErrorPosition, error::SqlState};

use super::postgres::{
    endpoint::{ConnectError, Endpoint},
    schema::Schema,
    turns::{self, Turn},
};
use files::File;
pub use files::FilesError;
use history::{Applied, History};

/// The whole run; a file that needs longer is better run by hand.
const TIMEOUT: Duration = Duration::from_secs(600);
/// What holds for each file, whatever the one before it has set, and how long another host's is waited for.
/// The server gives up a host that lost power within a minute, and with it the turn that it had.
const SESSION: &str = "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; \
                       SET statement_timeout = 0; SET lock_timeout = '60s'; \
                       SET idle_in_transaction_session_timeout = '60s'; \
                       SELECT pg_catalog.set_config(s.name, v.value, false) FROM pg_catalog.pg_settings s \
                       JOIN (VALUES ('tcp_keepalives_idle', '20'), ('tcp_keepalives_interval', '10'), \
                                    ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '30000')) v (name, value) \
                       ON v.name = s.name";
/// One answer's row is a name and a digest.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Why the schema is not what it should be. Every file before the named one is applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("cannot connect to run migrations")]
    Connect(#[from] ConnectError),
    #[error("another host is still migrating this database; try again when it is done")]
    Locked,
    #[error("migrations were not done after {} min", TIMEOUT.as_secs() / 60)]
    Timeout,
    #[error("`{path}` was changed after it was applied; restore it and put the change into a new file")]
    Changed { path: PathBuf },
    #[error("migration `{name}` was applied to this database but is not in `{folder}`; restore the file")]
    Missing { name: String, folder: PathBuf },
    #[error("`{path}` comes before `{last}`, which is applied already; rename it so that it comes last")]
    OutOfOrder { path: PathBuf, last: String },
    #[error(
        "`{path}` would run before `{before}`: names are sorted as text; give each number as many digits, with zeros \
         in front"
    )]
    Misnumbered { path: PathBuf, before: String },
    #[error("`{path}` failed{}: {message}", line.map(|line| format!(" at line {line}")).unwrap_or_default())]
    Failed { path: PathBuf, line: Option<usize>, message: String },
    #[error(
        "these migrations were applied with their history in `{table}`; write its schema as `schema`, or move the \
         host's tables with `ALTER TABLE … SET SCHEMA`"
    )]
    Elsewhere { table: String },
    #[error("the table of applied migrations cannot be used: {0}")]
    History(String),
}

/// Applies what is missing and gives the names of what it applied. `database` is its name in the manifest.
///
/// Not cancel safe in the sense that files already applied stay so; each file is all or nothing.
pub(crate) async fn migrate(endpoint: &Endpoint, database: &str, folder: &Path) -> Result<Vec<String>, MigrateError> {
    let files = files::read(folder)?;
    let session = endpoint.connect(MESSAGE_BYTES_MAX).await?;
    let target = Target { client: &session.client, schema: &endpoint.schema, database };
    let running = run(&target, folder, &files);
    tokio::time::timeout(TIMEOUT, running).await.map_err(|_| MigrateError::Timeout)?
}

/// What is migrated.
struct Target<'a> {
    client: &'a Client,
    schema: &'a Schema,
    /// Its name in the manifest.
    database: &'a str,
}

async fn run(target: &Target<'_>, folder: &Path, files: &[File]) -> Result<Vec<String>, MigrateError> {
    let Target { client, schema, database } = *target;
    if let Some(table) = History::elsewhere(client, schema, files).await.map_err(history)? {
        return Err(MigrateError::Elsewhere { table });
    }
    turns::prepare(client, schema).await.map_err(history)?;
    let mut done = Vec::new();
    loop {
        client.batch_execute(SESSION).await.map_err(history)?;
        client.batch_execute("BEGIN").await.map_err(history)?;
        Turn::Migrations.wait(client, schema).await.map_err(|error| match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => MigrateError::Locked,
            _ => history(error),
        })?;
        // Only now: another host may have applied some meanwhile.
        let mut known = History::read(client, schema, database, files).await.map_err(history)?;
        tell_of_newer(folder, files, &known.applied, done.is_empty());
        let next = pending(folder, files, &known.applied)?.first().copied();
        known.name(client, database).await.map_err(history)?;
        let Some(file) = next else {
            client.batch_execute("COMMIT").await.map_err(history)?;
            return Ok(done);
        };
        apply(client, &known, file).await?;
        tracing::info!(file = %file.name, "migration applied");
        done.push(file.name.clone());
    }
}

/// Code that went back to an older build has fewer files: the schema stays as it is, and newer files come back
/// with newer code.
fn newer<'a>(files: &[File], applied: &'a [Applied]) -> &'a [Applied] {
    let Some(last) = files.last() else { return &[] };
    let from = applied.iter().rposition(|was| was.name <= last.name).map_or(0, |place| place + 1);
    // With none of its files it is another folder.
    if from == 0 { &[] } else { &applied[from..] }
}

fn tell_of_newer(folder: &Path, files: &[File], applied: &[Applied], first: bool) {
    if let (true, [newer, ..]) = (first, newer(files, applied)) {
        tracing::warn!(
            folder = %folder.display(),
            since = %newer.name,
            "this database has newer migrations than the folder has files; they stay"
        );
    }
}

/// The files to apply: those after the last applied one, if everything before is as it was.
fn pending<'a>(folder: &Path, files: &'a [File], applied: &[Applied]) -> Result<Vec<&'a File>, MigrateError> {
    let newer = newer(files, applied);
    for was in &applied[..applied.len() - newer.len()] {
        match files.iter().find(|file| file.name == was.name) {
            None => return Err(MigrateError::Missing { name: was.name.clone(), folder: folder.to_owned() }),
            Some(file) if file.sha256 != was.sha256 => return Err(MigrateError::Changed { path: file.path.clone() }),
            Some(_) => {}
        }
    }
    let new: Vec<_> = files.iter().filter(|file| applied.iter().all(|was| was.name != file.name)).collect();
    let is_new = |file: &File| new.iter().any(|other| other.name == file.name);
    for pair in files.windows(2).filter(|pair| pair.iter().any(is_new)) {
        if files::are_misnumbered(&pair[0].name, &pair[1].name) {
            return Err(MigrateError::Misnumbered { path: pair[0].path.clone(), before: pair[1].name.clone() });
        }
    }
    match (new.first(), applied.last()) {
        (Some(first), Some(last)) if first.name < last.name => {
            Err(MigrateError::OutOfOrder { path: first.path.clone(), last: last.name.clone() })
        }
        _ => Ok(new),
    }
}

/// Runs a file and remembers it, in the transaction that is open, and ends that.
async fn apply(client: &Client, known: &History, file: &File) -> Result<(), MigrateError> {
    let outcome = async {
        client.batch_execute(&file.sql).await?;
        known.remember(client, file).await?;
        client.batch_execute("COMMIT").await
    };
    outcome.await.map_err(|error| MigrateError::Failed {
        path: file.path.clone(),
        line: line_of(&error, &file.sql),
        message: message_of(&error),
    })
}

/// Of a mistake that the server found when it read the file; others have no place.
fn line_of(error: &tokio_postgres::Error, sql: &str) -> Option<usize> {
    match error.as_db_error().and_then(|db| db.position()) {
        Some(ErrorPosition::Original(position)) => {
            Some(1 + sql.chars().take(*position as usize).filter(|c| *c == '\n').count())
        }
        _ => None,
    }
}

fn history(error: tokio_postgres::Error) -> MigrateError {
    MigrateError::History(message_of(&error))
}

/// Without the driver's words about addresses.
fn message_of(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let more = [("detail", db.detail()), ("hint", db.hint())];
            let more = more.map(|(what, text)| text.map(|text| format!("; {what}: {text}")).unwrap_or_default());
            format!("{}{}", db.message(), more.concat())
        }
        None => "the connection broke".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_come_last_and_applied_ones_never_change() {
        let files = [file("1.sql", "a"), file("2.sql", "b"), file("3.sql", "c")];
        assert_eq!(names(pending(Path::new("m"), &files, &[was("1.sql", "a")])), ["2.sql", "3.sql"]);
        assert!(
            matches!(pending(Path::new("m"), &files, &[was("1.sql", "x")]), Err(MigrateError::Changed { path }) if path == Path::new("m/1.sql"))
        );
        assert!(
            matches!(pending(Path::new("m"), &files, &[was("0.sql", "x")]), Err(MigrateError::Missing { name, .. }) if name == "0.sql")
        );
        let older = [was("1.sql", "a"), was("2.sql", "b"), was("3.sql", "c"), was("4.sql", "d"), was("5.sql", "e")];
        assert_eq!(names(pending(Path::new("m"), &files, &older)), [""; 0], "code went back, the schema stays");
        let gap = [was("0.sql", "x"), was("1.sql", "a"), was("9.sql", "d")];
        assert!(
            matches!(pending(Path::new("m"), &files, &gap), Err(MigrateError::Missing { name, .. }) if name == "0.sql")
        );
        assert!(pending(Path::new("m"), &[], &older).is_err(), "an empty folder is another one");
        let error = pending(Path::new("m"), &files, &[was("1.sql", "a"), was("3.sql", "c")]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "`m/2.sql` comes before `3.sql`, which is applied already; rename it so that it comes last"
        );
    }

    #[test]
    fn numbers_that_are_not_in_the_order_of_names_are_refused_before_anything_runs() {
        #[track_caller]
        fn check(names: [&str; 2], applied: &[Applied], is_refused: bool) {
            let files = names.map(|name| file(name, "a"));
            let pending = pending(Path::new("m"), &files, applied);
            assert_eq!(matches!(pending, Err(MigrateError::Misnumbered { .. })), is_refused, "{names:?}");
        }
        check(["10_b.sql", "2_a.sql"], &[], true);
        check(["V10__b.sql", "V9__a.sql"], &[], true);
        check(["02_a.sql", "10_b.sql"], &[], false);
        check(["0009_a.sql", "20260101000000_b.sql"], &[], false);
        check(["a.sql", "b.sql"], &[], false);
        check(["10_b.sql", "2_a.sql"], &[was("10_b.sql", "a")], true);
        // What an older host has done so is done.
        check(["10_b.sql", "2_a.sql"], &[was("10_b.sql", "a"), was("2_a.sql", "a")], false);
    }

    fn file(name: &str, sha256: &str) -> File {
        File { name: name.to_owned(), path: Path::new("m").join(name), sql: String::new(), sha256: sha256.to_owned() }
    }

    fn was(name: &str, sha256: &str) -> Applied {
        Applied { name: name.to_owned(), sha256: sha256.to_owned() }
    }

    fn names(files: Result<Vec<&File>, MigrateError>) -> Vec<&str> {
        files.unwrap().into_iter().map(|file| file.name.as_str()).collect()
    }
}
