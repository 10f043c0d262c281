//! Brings a database's schema up to what its folder of SQL files says, before anything is served.
//!
//! Files run in the order of their names, each in a transaction of its own, as the database's
//! owner; for an operator's server that is the role of the URL. The table `archipel_migrations`
//! remembers each with its digest, and an advisory lock lets only one host migrate at a time.
//! History is never rewritten: a file that was applied stays as it was, and new ones come last.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ring::digest;
use tokio_postgres::{Client, error::ErrorPosition};

use super::postgres::{
    endpoint::{ConnectError, Endpoint},
    lexer::{Token, tokens},
};

/// The whole run; a file that needs longer is better run by hand.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How long another host's migration is waited for.
const LOCK_TIMEOUT: &str = "SET statement_timeout = 0; SET lock_timeout = '60s'";
/// Any number nobody else uses: the bytes of `archipel`.
pub(super) const LOCK: i64 = i64::from_be_bytes(*b"archipel");
const FILE_BYTES_MAX: u64 = 16 << 20;
/// One answer's row is a name and a digest.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS public.archipel_migrations \
                     (name text PRIMARY KEY, sha256 text NOT NULL, at timestamptz NOT NULL DEFAULT now())";

/// Why the schema is not what it should be. Every file before the named one is applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("cannot read migrations from `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is larger than {} MiB", FILE_BYTES_MAX >> 20)]
    TooLarge { path: PathBuf },
    #[error("`{path}` is no UTF-8 text")]
    NotText { path: PathBuf },
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
    #[error("`{path}` holds {keyword}; each file is one transaction already, remove it")]
    Transaction { path: PathBuf, keyword: String },
    #[error("`{path}` failed at line {line}: {message}")]
    Failed { path: PathBuf, line: usize, message: String },
    #[error("the table of applied migrations cannot be used: {0}")]
    History(String),
}

struct File {
    name: String,
    path: PathBuf,
    sql: String,
    sha256: String,
}

struct Applied {
    name: String,
    sha256: String,
}

/// Applies what is missing and gives the names of what it applied.
///
/// Not cancel safe in the sense that files already applied stay so; each file is all or nothing.
pub(crate) async fn migrate(endpoint: &Endpoint, folder: &Path) -> Result<Vec<String>, MigrateError> {
    let files = read(folder)?;
    let session = endpoint.connect(MESSAGE_BYTES_MAX).await?;
    tokio::time::timeout(TIMEOUT, run(&session.client, folder, &files)).await.map_err(|_| MigrateError::Timeout)?
}

async fn run(client: &Client, folder: &Path, files: &[File]) -> Result<Vec<String>, MigrateError> {
    client.batch_execute(LOCK_TIMEOUT).await.map_err(history)?;
    // Released with the session.
    let locked = client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await;
    locked.map_err(|error| {
        if error.code().is_some_and(|code| code.code() == "55P03") { MigrateError::Locked } else { history(error) }
    })?;
    client.batch_execute(TABLE).await.map_err(history)?;
    let rows =
        client.query("SELECT name, sha256 FROM public.archipel_migrations ORDER BY name COLLATE \"C\"", &[]).await;
    let rows = rows.map_err(history)?;
    let applied = rows.iter().map(|row| Ok(Applied { name: row.try_get(0)?, sha256: row.try_get(1)? }));
    let applied: Vec<_> = applied.collect::<Result<_, _>>().map_err(history)?;
    let mut done = Vec::new();
    for file in pending(folder, files, &applied)? {
        apply(client, file).await?;
        tracing::info!(file = %file.name, "migration applied");
        done.push(file.name.clone());
    }
    Ok(done)
}

/// The files to apply: those after the last applied one, if everything before is as it was.
fn pending<'a>(folder: &Path, files: &'a [File], applied: &[Applied]) -> Result<Vec<&'a File>, MigrateError> {
    for was in applied {
        match files.iter().find(|file| file.name == was.name) {
            None => return Err(MigrateError::Missing { name: was.name.clone(), folder: folder.to_owned() }),
            Some(file) if file.sha256 != was.sha256 => return Err(MigrateError::Changed { path: file.path.clone() }),
            Some(_) => {}
        }
    }
    let new: Vec<_> = files.iter().filter(|file| applied.iter().all(|was| was.name != file.name)).collect();
    match (new.first(), applied.last()) {
        (Some(first), Some(last)) if first.name < last.name => {
            Err(MigrateError::OutOfOrder { path: first.path.clone(), last: last.name.clone() })
        }
        _ => Ok(new),
    }
}

async fn apply(client: &Client, file: &File) -> Result<(), MigrateError> {
    if let Some(keyword) = transaction_keyword(&file.sql) {
        return Err(MigrateError::Transaction { path: file.path.clone(), keyword });
    }
    let failed = |error: tokio_postgres::Error| MigrateError::Failed {
        path: file.path.clone(),
        line: line_of(&error, &file.sql),
        message: message_of(&error),
    };
    client.batch_execute("BEGIN").await.map_err(failed)?;
    let outcome = async {
        client.batch_execute(&file.sql).await?;
        let remember = "INSERT INTO public.archipel_migrations (name, sha256) VALUES ($1, $2)";
        client.execute(remember, &[&file.name, &file.sha256]).await?;
        client.batch_execute("COMMIT").await
    };
    outcome.await.map_err(failed)
}

/// All `*.sql` files of the folder by name.
fn read(folder: &Path) -> Result<Vec<File>, MigrateError> {
    let unreadable = |source| MigrateError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(read_file(path)?);
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn read_file(path: PathBuf) -> Result<File, MigrateError> {
    let unreadable = |source| MigrateError::Read { path: path.clone(), source };
    if std::fs::metadata(&path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(MigrateError::TooLarge { path });
    }
    let bytes = std::fs::read(&path).map_err(unreadable)?;
    let sha256 = hex::encode(digest::digest(&digest::SHA256, &bytes));
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    match (String::from_utf8(bytes), name) {
        (Ok(sql), Some(name)) => Ok(File { name, sql, sha256, path }),
        _ => Err(MigrateError::NotText { path }),
    }
}

/// A statement that would end the file's transaction in its middle. `BEGIN` and `END` are left
/// alone: bodies of functions hold them.
fn transaction_keyword(sql: &str) -> Option<String> {
    let mut starts = true;
    for token in tokens(sql) {
        match token {
            Token::Word(word)
                if starts
                    && ["commit", "rollback", "abort"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) =>
            {
                return Some(word.to_ascii_uppercase());
            }
            _ => starts = token == Token::Symbol(';'),
        }
    }
    None
}

fn line_of(error: &tokio_postgres::Error, sql: &str) -> usize {
    match error.as_db_error().and_then(|db| db.position()) {
        Some(ErrorPosition::Original(position)) => {
            1 + sql.chars().take(*position as usize).filter(|c| *c == '\n').count()
        }
        _ => 1,
    }
}

fn history(error: tokio_postgres::Error) -> MigrateError {
    MigrateError::History(message_of(&error))
}

/// Without the driver's words about addresses.
fn message_of(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => db.message().to_owned(),
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
        let error = pending(Path::new("m"), &files, &[was("1.sql", "a"), was("3.sql", "c")]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "`m/2.sql` comes before `3.sql`, which is applied already; rename it so that it comes last"
        );
    }

    #[test]
    fn a_file_cannot_end_its_own_transaction() {
        assert_eq!(transaction_keyword("create table t(); commit; drop table t"), Some("COMMIT".to_owned()));
        assert_eq!(transaction_keyword("create function f() returns int begin atomic; select 1; end; -- commit"), None);
        assert_eq!(transaction_keyword("do $$ begin commit; end $$"), None);
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
