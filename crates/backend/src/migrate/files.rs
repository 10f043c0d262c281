//! The files of a folder of migrations: which of them run, and in what order.
//!
//! Every `*.sql` file does, but for hidden ones and for those that undo what another one does
//! (`0001_x.down.sql`). Layouts of other tools that would run otherwise than they were written to are
//! refused by the name of the tool. Runs nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ring::digest;

use crate::postgres::lexer::{Token, tokens};

const FILE_BYTES_MAX: u64 = 16 << 20;

/// Why a folder of migrations is not run.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
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
    #[error("`{path}` holds {keyword}; each file is one transaction already, remove it")]
    Transaction { path: PathBuf, keyword: String },
    #[error("`{path}` is laid out for {tool}; {instead}")]
    Layout { path: PathBuf, tool: &'static str, instead: &'static str },
    #[error("`{path}` undoes another file, which is not there; migrations only go forward, remove it")]
    OnlyDown { path: PathBuf },
    #[error("`{path}` holds `COPY … FROM STDIN`; write its rows as `INSERT`, or load them by hand")]
    Copy { path: PathBuf },
}

pub(super) struct File {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) sql: String,
    pub(super) sha256: String,
}

const FORWARD_PART: &str = "keep what goes forward in a file of its own, without the part that undoes it";
const FLAT: &str = "put each file into the folder itself, named so that the names sort in the order of the files";

/// All files that run, by name.
pub(super) fn read(folder: &Path) -> Result<Vec<File>, FilesError> {
    let unreadable = |source| FilesError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    let mut files = Vec::new();
    for path in &paths {
        refuse_folder_of_a_tool(path)?;
        if is_forward(path, &paths)? {
            files.push(read_file(path.clone())?);
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn lower(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Prisma and Diesel give each migration a folder: without a word, none would run.
fn refuse_folder_of_a_tool(path: &Path) -> Result<(), FilesError> {
    let tools = [("migration.sql", "Prisma"), ("up.sql", "Diesel")];
    let tool = tools.iter().find(|(file, _)| path.join(file).is_file());
    tool.map_or(Ok(()), |(_, tool)| Err(FilesError::Layout { path: path.to_owned(), tool, instead: FLAT }))
}

/// Whether it is a migration that goes forward.
fn is_forward(path: &Path, all: &[PathBuf]) -> Result<bool, FilesError> {
    let name = lower(path);
    // Locks of editors, and what a Mac writes beside each file.
    if name.starts_with('.') || !name.ends_with(".sql") || path.is_dir() {
        return Ok(false);
    }
    if is_undo_of_flyway(&name) {
        let instead = "migrations only go forward, remove it";
        return Err(FilesError::Layout { path: path.to_owned(), tool: "Flyway", instead });
    }
    if name.starts_with("r__") {
        let instead = "nothing runs twice here, put it into a numbered file";
        return Err(FilesError::Layout { path: path.to_owned(), tool: "Flyway", instead });
    }
    let Some(stem) = name.strip_suffix(".down.sql") else { return Ok(true) };
    let forward = [format!("{stem}.up.sql"), format!("{stem}.sql")];
    match all.iter().any(|other| forward.contains(&lower(other))) {
        true => Ok(false),
        false => Err(FilesError::OnlyDown { path: path.to_owned() }),
    }
}

/// `U2__name.sql`.
fn is_undo_of_flyway(name: &str) -> bool {
    let version = name.strip_prefix('u').and_then(|rest| rest.split_once("__")).map(|(version, _)| version);
    version.is_some_and(|version| {
        version.starts_with(|c: char| c.is_ascii_digit())
            && version.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_')
    })
}

/// Of two files that follow each other by name: whether their numbers say otherwise (`10_b.sql`, `2_a.sql`).
pub(super) fn are_misnumbered(first: &str, second: &str) -> bool {
    number(first).zip(number(second)).is_some_and(|(first, second)| (first.len(), first) > (second.len(), second))
}

/// The digits at the beginning, or after Flyway's `V`, without zeros in front.
fn number(name: &str) -> Option<&str> {
    let name = name.strip_prefix(['v', 'V']).unwrap_or(name);
    let end = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
    (end > 0).then(|| name[..end].trim_start_matches('0'))
}

fn read_file(path: PathBuf) -> Result<File, FilesError> {
    let unreadable = |source| FilesError::Read { path: path.clone(), source };
    if fs::metadata(&path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(FilesError::TooLarge { path });
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let sha256 = hex::encode(digest::digest(&digest::SHA256, &bytes));
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let (Ok(text), Some(name)) = (String::from_utf8(bytes), name) else { return Err(FilesError::NotText { path }) };
    // PostgreSQL takes a byte order mark for a part of the first word.
    let sql = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    look_at(&path, &sql)?;
    Ok(File { name, path, sql, sha256 })
}

/// # Errors
/// What would not be whole or not at all, or not what its author meant.
fn look_at(path: &Path, sql: &str) -> Result<(), FilesError> {
    if let Some(tool) = tool_of(sql) {
        return Err(FilesError::Layout { path: path.to_owned(), tool, instead: FORWARD_PART });
    }
    if let Some(keyword) = transaction_keyword(sql) {
        return Err(FilesError::Transaction { path: path.to_owned(), keyword });
    }
    match copies_from_client(sql) {
        true => Err(FilesError::Copy { path: path.to_owned() }),
        false => Ok(()),
    }
}

/// Tools that keep both directions in one file say so in comments.
fn tool_of(sql: &str) -> Option<&'static str> {
    let marks = [("migrate:down", "dbmate"), ("+goose down", "goose"), ("+migrate down", "sql-migrate")];
    let comments = sql.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let mut comments = comments.map(|comment| comment.trim().to_ascii_lowercase());
    comments.find_map(|comment| marks.iter().find(|(mark, _)| comment.starts_with(mark)).map(|(_, tool)| *tool))
}

/// A statement that would begin or end a transaction within the file's own.
fn transaction_keyword(sql: &str) -> Option<String> {
    let all: Vec<Token> = tokens(sql).collect();
    let is = |token: Option<&Token>, keyword: &str| matches!(token, Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
    let mut starts = true;
    // The body of a function in plain SQL holds statements and ends with `END`.
    let mut in_body = false;
    for (place, token) in all.iter().enumerate() {
        let next = all.get(place + 1);
        let begins_body = is(Some(token), "begin") && is(next, "atomic");
        if let (true, Token::Word(word)) = (starts, token) {
            let of_transactions = match word.to_ascii_lowercase().as_str() {
                "commit" | "rollback" | "abort" | "begin" => true,
                "start" | "prepare" => is(next, "transaction"),
                "end" => !std::mem::take(&mut in_body),
                _ => false,
            };
            if of_transactions {
                return Some(word.to_ascii_uppercase());
            }
        }
        in_body |= begins_body;
        starts = *token == Token::Symbol(';') || begins_body;
        if begins_body {
            // `ATOMIC` itself starts nothing.
            starts = false;
        }
    }
    None
}

/// `COPY t FROM STDIN`, which asks for rows after the statement.
fn copies_from_client(sql: &str) -> bool {
    let all: Vec<Token> = tokens(sql).collect();
    let is = |token: &Token, keyword: &str| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(keyword));
    let statements = all.split(|token| *token == Token::Symbol(';'));
    statements
        .filter(|statement| statement.first().is_some_and(|first| is(first, "copy")))
        .any(|statement| statement.windows(2).any(|pair| is(&pair[0], "from") && is(&pair[1], "stdin")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, sql).unwrap();
        }
        folder
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let found = read(folder(files).path()).unwrap();
        assert_eq!(found.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), expected);
    }

    #[track_caller]
    fn refused(files: &[(&str, &str)], words: &str) {
        let folder = folder(files);
        let error = read(folder.path()).err().expect("refused").to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn only_files_that_go_forward_run() {
        check(&[("2.sql", ""), ("1.SQL", ""), ("3.txt", ""), (".4.sql.swp", ""), ("._5.sql", "")], &["1.SQL", "2.sql"]);
        check(
            &[("1_a.up.sql", ""), ("1_a.down.sql", ""), ("2_b.sql", ""), ("2_b.down.sql", "")],
            &["1_a.up.sql", "2_b.sql"],
        );
        refused(&[("1_a.down.sql", "")], "undoes another file");
    }

    #[test]
    fn layouts_of_other_tools_are_refused_by_name() {
        refused(&[("20260101_a/migration.sql", "")], "Prisma");
        refused(&[("20260101_a/up.sql", ""), ("20260101_a/down.sql", "")], "Diesel");
        refused(&[("V1__a.sql", ""), ("U1__a.sql", "")], "Flyway");
        refused(&[("V1__a.sql", ""), ("R__b.sql", "")], "Flyway");
        refused(&[("1.sql", "-- +migrate Up\nselect 1;\n-- +migrate Down\nselect 2")], "sql-migrate");
        refused(&[("1.sql", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2")], "dbmate");
        refused(&[("1.sql", "-- +goose Up\nselect 1;\n-- +goose Down\nselect 2")], "goose");
        check(
            &[("users__a.sql", "-- -- goose"), ("V1__a.sql", "-- migrate:up\nselect 1")],
            &["V1__a.sql", "users__a.sql"],
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_sql() {
        assert_eq!(read(folder(&[("1.sql", "\u{feff}select 1")]).path()).unwrap()[0].sql, "select 1");
    }

    #[test]
    fn rows_that_would_follow_a_statement_are_refused() {
        refused(&[("1.sql", "copy t (a, b) from stdin;\n1\t2\n\\.\n")], "FROM STDIN");
        check(&[("1.sql", "create table copies (\"from\" text, stdin text)")], &["1.sql"]);
    }

    #[test]
    fn a_file_cannot_end_its_own_transaction() {
        let keyword = |sql| transaction_keyword(sql);
        assert_eq!(keyword("create table t(); commit; drop table t"), Some("COMMIT".to_owned()));
        assert_eq!(keyword("begin; create table t(); end;"), Some("BEGIN".to_owned()));
        assert_eq!(keyword("create table t(); end; select 1"), Some("END".to_owned()));
        assert_eq!(keyword("start transaction"), Some("START".to_owned()));
        assert_eq!(keyword("create function f() returns int begin atomic select 1; end; -- commit"), None);
        assert_eq!(keyword("create function f() returns int begin atomic; select 1; end; end"), Some("END".to_owned()));
        assert_eq!(keyword("do $$ begin commit; end $$; prepare p as select 1"), None);
    }
}
