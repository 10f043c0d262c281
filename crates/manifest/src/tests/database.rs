//! Where databases are, and who may use them how.

use std::fs;

use super::*;

const URL: &str = "postgres://app:hunter2@db.test/users";

fn place(text: &str, env: &[(&str, &str)]) -> DatabasePlace {
    loaded(&format!("[postgres.users]\n{text}\n"), env).manifest.databases["users"].place.clone()
}

#[track_caller]
fn check_database(text: &str, expected: &[&str]) {
    check(&format!("[postgres.users]\n{text}\n"), expected);
}

#[test]
fn a_url_comes_from_the_environment_or_a_file_and_is_never_printed() {
    let url = |place: DatabasePlace| match place {
        DatabasePlace::External { url, .. } => Some(url.reveal().to_owned()),
        DatabasePlace::Embedded => None,
    };
    let optional = "url = { env = 'U', optional = true }";
    assert_eq!(url(place("url = { env = 'U' }", &[("U", URL)])).as_deref(), Some(URL));
    assert_eq!(url(place(optional, &[("U", URL)])).as_deref(), Some(URL));
    assert_eq!(url(place(optional, &[])), None);
    assert_eq!(url(place(optional, &[("U", "")])), None);
    assert!(!format!("{:?}", loaded("[postgres.users]\nurl = { env = 'U' }", &[("U", URL)])).contains("hunter2"));

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("url"), format!("{URL}\n")).unwrap();
    let text = "name = 'shop'\n[postgres.users]\nurl = { file = 'url' }\ntls = 'require'\n";
    let from_file = load(folder.path(), text, &[]).unwrap().manifest.databases["users"].place.clone();
    assert!(matches!(from_file, DatabasePlace::External { tls: TlsMode::Require, .. }));
    assert_eq!(url(from_file).as_deref(), Some(URL));
}

#[test]
fn a_url_that_cannot_be_found_says_why() {
    check_database(
        "url = { env = 'U' }",
        &["3:1 postgres.users.url: the variable `U` is not set; set it, or add `optional = true`"],
    );
    check_database(
        "url = { file = 'none' }",
        &[
            "3:1 postgres.users.url: cannot read `none`: No such file or directory (os error 2); correct the path or its rights",
        ],
    );
    check_database("url = { evn = 'U' }", &["3:9 postgres.users.url.evn: unknown key; did you mean `env`?"]);
    let forms = "`{ env = \"NAME\" }`, `{ env = \"NAME\", optional = true }` or `{ file = \"path\" }`";
    for source in ["{}", "{ env = 'U', file = 'u' }", "{ file = 'u', optional = true }"] {
        check_database(
            &format!("url = {source}"),
            &[&format!("3:1 postgres.users.url: does not say where its value comes from; write {forms}")],
        );
    }
    check_database(
        "url = 'mysql://app:hunter2@db'",
        &[
            "3:7 postgres.users.url: is not the URL of a PostgreSQL server; write it like `postgres://USER:PASSWORD@HOST:PORT/DATABASE`",
        ],
    );
}

#[test]
fn what_is_only_for_an_operators_server_needs_its_url() {
    check_database(
        "tls = 'prefer'\nurl_read = 'postgres://db'",
        &[
            "3:7 postgres.users.tls: is only for an operator's server; add `url`, or remove it",
            "4:12 postgres.users.url_read: is only for an operator's server; add `url`, or remove it",
        ],
    );
    check_database(
        "url = { env = 'U', optional = true }\nurl_read = 'postgres://db'",
        &["4:12 postgres.users.url_read: has a value while `url` has none; set both, or neither"],
    );
    check_database(
        "url = 'postgres://db'\nurl_read = 'postgres://db'",
        &["4:12 postgres.users.url_read: is the same as `url`; name a role that may only SELECT, or remove it"],
    );
    check_database(
        "url = 'postgres://db'\ntls = 'required'",
        &["4:7 postgres.users.tls: `required` is not known here; did you mean `require`?"],
    );
}

#[test]
fn the_schema_of_the_hosts_tables_is_an_operators_and_a_plain_name() {
    let schema = |text: &str| match place(text, &[]) {
        DatabasePlace::External { schema, .. } => schema,
        DatabasePlace::Embedded => panic!("it has a URL"),
    };
    assert_eq!(schema("url = 'postgres://db'"), None);
    assert_eq!(schema("url = 'postgres://db'\nschema = 'table_2'").as_deref(), Some("table_2"));
    check_database(
        "schema = 'ours'",
        &["3:10 postgres.users.schema: is only for an operator's server; add `url`, or remove it"],
    );
    let long = "x".repeat(64);
    for name in ["", "Ours", "a b", "2nd", "a\"; drop", "pg_ours", &long] {
        let told = format!(
            "4:10 postgres.users.schema: `{name}` is no plain name of a schema; use 1 to 63 of a-z, 0-9 and _, \
             not beginning with a digit or `pg_`"
        );
        check_database(&format!("url = 'postgres://db'\nschema = '{name}'"), &[&told]);
    }
}

#[test]
fn a_password_in_the_file_is_a_warning() {
    let warnings = loaded(&format!("[postgres.users]\nurl = '{URL}'"), &[]).warnings;
    let line = "3:7 postgres.users.url: has a password in a file that others may read; \
                write `{ env = \"NAME\" }` or `{ file = \"path\" }`";
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [line]);
}

#[test]
fn a_service_gets_databases_that_exist_in_ways_that_hold() {
    let with = |database: &str, grant: &str| {
        format!("[postgres.users]\n{database}\n{SERVICE}permissions = {{ postgres = {{ {grant} }} }}\n")
    };
    check(&with("", "users = 'read'"), &[]);
    check(
        &with("", "user = 'read'"),
        &["6:37 services.a.permissions.postgres.user: there is no `[postgres.user]`; did you mean `users`?"],
    );
    check(
        &with("", "users = 'write'"),
        &[
            "6:38 services.a.permissions.postgres.users: `write` is not known here; write `\"read\"` or `\"read-write\"`",
        ],
    );
    check(&with("url = 'postgres://db'", "users = 'read-write'"), &[]);
    check(
        &with("url = 'postgres://db'", "users = 'read'"),
        &[
            "6:38 services.a.permissions.postgres.users: `read` needs a role that can only read, for a read-only transaction \
         is no boundary; add `url_read` to `[postgres.users]`",
        ],
    );
    check(&with("url = 'postgres://db'\nurl_read = 'postgres://r@db'", "users = 'read'"), &[]);
    check(&with("url = 5", "users = 'read'"), &["3:7 postgres.users.url: is a number; it must be a text or a table"]);
}

#[test]
fn a_folder_of_migrations_must_be_there() {
    check_database(
        "migrations = 'm'",
        &["3:14 postgres.users.migrations: cannot read the folder `m`: No such file or directory (os error 2); \
         create it, or correct the path"],
    );
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("m")).unwrap();
    let loaded = load(folder.path(), "name = 'shop'\n[postgres.users]\nmigrations = './m'\n", &[]).unwrap();
    let expected = folder.path().canonicalize().unwrap().join("m");
    assert_eq!(loaded.manifest.databases["users"].migrations, Some(expected));
}
