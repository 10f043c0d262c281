//! `[postgres.NAME]`: where a database is, and where its secrets come from.

use std::{
    fs::{self, File},
    io::Read as _,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Check;
use crate::{
    DatabasePlace, DatabaseSettings, Secret, TlsMode, defaults,
    raw::{RawDatabase, RawText, RawTextFrom, RawTlsMode},
};
use document::name::check as name;
use document::source::Key;

/// More than any connection URL needs.
const SECRET_FILE_MAX: u64 = 64 * 1024;
/// PostgreSQL cuts longer names.
const SCHEMA_NAME_MAX: usize = 63;

pub(crate) fn database(check: &mut Check<'_>, key: &Key<'_>, raw: RawDatabase) -> DatabaseSettings {
    check.keep(key, name(key.name()));
    let connections = check.within(
        &key.child("connections_max"),
        raw.connections_max,
        defaults::DATABASE_CONNECTIONS_MAX,
        &defaults::DATABASE_CONNECTIONS,
    );
    let rows = check.within(&key.child("rows_max"), raw.rows_max, defaults::ROWS_MAX, &defaults::ROWS);
    DatabaseSettings {
        connections_max: usize::try_from(connections).ok().and_then(NonZeroUsize::new).expect("the range starts at 1"),
        wait: check.within(&key.child("wait"), raw.wait, defaults::DATABASE_WAIT, &defaults::WAITS).get(),
        statement_timeout: check
            .within(
                &key.child("statement_timeout"),
                raw.statement_timeout,
                defaults::STATEMENT_TIMEOUT,
                &defaults::TIMEOUTS,
            )
            .get(),
        rows_max: u32::try_from(rows).expect("the range fits"),
        bytes_max: check.bytes(&key.child("bytes_max"), raw.bytes_max, defaults::BYTES_MAX, &defaults::RESULT_BYTES),
        migrations: raw.migrations.as_deref().and_then(|path| migrations(check, &key.child("migrations"), path)),
        optional: raw.optional.unwrap_or(false),
        place: {
            let schema = raw.schema.and_then(|name| schema(check, &key.child("schema"), name));
            place(check, key, raw.url, raw.url_read, raw.tls, schema)
        },
    }
}

fn place(
    check: &mut Check<'_>,
    key: &Key<'_>,
    url: Option<RawText>,
    url_read: Option<RawText>,
    tls: Option<RawTlsMode>,
    schema: Option<Arc<str>>,
) -> DatabasePlace {
    if !key.child("url").is_written() {
        for name in ["url_read", "tls", "schema"].map(|name| key.child(name)) {
            if name.is_written() {
                check.wrong(&name, "is only for an operator's server; add `url`, or remove it");
            }
        }
    }
    let mut secret = |name, written: Option<RawText>| match written {
        None => Ok(None),
        Some(written) => secret(check, &key.child(name), written),
    };
    let (url, url_read) = (secret("url", url), secret("url_read", url_read));
    let tls = match tls {
        Some(RawTlsMode::Disable) => TlsMode::Disable,
        Some(RawTlsMode::Require) => TlsMode::Require,
        Some(RawTlsMode::Prefer) | None => TlsMode::Prefer,
    };
    match (url, url_read) {
        (Ok(Some(url)), Ok(Some(url_read))) if url == url_read => {
            check.wrong(&key.child("url_read"), "is the same as `url`; name a role that may only SELECT, or remove it");
            DatabasePlace::Embedded
        }
        (Ok(Some(url)), url_read) => DatabasePlace::External { url, url_read: url_read.unwrap_or(None), tls, schema },
        (Ok(None), Ok(Some(_))) if key.child("url").is_written() => {
            check.wrong(&key.child("url_read"), "has a value while `url` has none; set both, or neither");
            DatabasePlace::Embedded
        }
        _ => DatabasePlace::Embedded,
    }
}

/// A name that is the same in SQL with and without quotes, but for SQL's own words.
fn schema(check: &mut Check<'_>, key: &Key<'_>, name: String) -> Option<Arc<str>> {
    let is_plain = |name: &str| {
        name.len() <= SCHEMA_NAME_MAX
            && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
            && !name.starts_with("pg_")
    };
    if is_plain(&name) {
        return Some(name.into());
    }
    check.wrong(
        key,
        format_args!("`{name}` is no plain name of a schema; use 1 to {SCHEMA_NAME_MAX} of a-z, 0-9 and _, not beginning with a digit or `pg_`"),
    );
    None
}

/// Has been reported.
pub(super) struct Wrong;

/// The text, from wherever it comes; none when it may be absent and is.
fn secret(check: &mut Check<'_>, key: &Key<'_>, raw: RawText) -> Result<Option<Secret>, Wrong> {
    let Some(text) = text(check, key, raw)? else { return Ok(None) };
    match check.keep(key, url_is_right(&text)) {
        Some(()) => Ok(Some(Secret::new(text))),
        None => Err(Wrong),
    }
}

pub(super) fn text(check: &mut Check<'_>, key: &Key<'_>, raw: RawText) -> Result<Option<String>, Wrong> {
    match raw {
        RawText::Plain(text) => {
            if has_password(&text) {
                let fix = "write `{ env = \"NAME\" }` or `{ file = \"path\" }`";
                check.warn(key, format_args!("has a password in a file that others may read; {fix}"));
            }
            Ok(Some(text))
        }
        RawText::From(RawTextFrom { env: Some(name), optional, file: None }) => {
            // Tools that compose environments pass on unset variables as empty ones.
            let value = check.env.get(&name).filter(|value| !value.is_empty()).cloned();
            check.reserved.insert(name.clone());
            if value.is_some() || optional.unwrap_or(false) {
                return Ok(value);
            }
            check.wrong(key, format_args!("the variable `{name}` is not set; set it, or add `optional = true`"));
            Err(Wrong)
        }
        RawText::From(RawTextFrom { env: None, optional: None, file: Some(path) }) => {
            let path = check.path(key, &path).ok_or(Wrong)?;
            check.keep(key, secret_file(&path)).map(Some).ok_or(Wrong)
        }
        RawText::From(_) if check.is_wrong_inside(key) => Err(Wrong),
        RawText::From(_) => {
            let forms = "`{ env = \"NAME\" }`, `{ env = \"NAME\", optional = true }` or `{ file = \"path\" }`";
            check.wrong(key, format_args!("does not say where its value comes from; write {forms}"));
            Err(Wrong)
        }
    }
}

pub(super) fn secret_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_FILE_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text.trim_end_matches(['\r', '\n']).into()),
        Err(error) => Err(format!("cannot read `{}`: {error}; correct the path or its rights", path.display())),
    }
}

/// Says nothing of the URL itself: it is a secret.
fn url_is_right(url: &str) -> Result<(), &'static str> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(());
    }
    Err("is not the URL of a PostgreSQL server; write it like `postgres://USER:PASSWORD@HOST:PORT/DATABASE`")
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    authority.is_some_and(|(user, _)| user.contains(':'))
}

fn migrations(check: &mut Check<'_>, key: &Key<'_>, path: &str) -> Option<PathBuf> {
    let absolute = check.path(key, path)?;
    if let Err(error) = fs::read_dir(&absolute) {
        check.wrong(
            key,
            format_args!("cannot read the folder `{}`: {error}; create it, or correct the path", absolute.display()),
        );
    }
    Some(absolute)
}
