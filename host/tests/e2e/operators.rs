//! A database on an operator's server, by URL; and migrations, which are the same everywhere.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{
        Failed, Host, Server, Streams,
        admin::{build, wasm},
        exchange, place, until,
    },
    limits::paused,
};

const FIRST: &str = "create table items (id int primary key);";

/// `probe-pg` on this URL, which comes from a variable so that it is in no file.
fn manifest(database: &str) -> String {
    format!(
        "[postgres.shop]\nurl = {{ env = \"SHOP_URL\" }}\nmigrations = \"migrations\"\n{database}\n\
         [services.probe]\ncomponent = \"COMPONENTS/probe_pg.wasm\"\npermissions = {{ postgres = {{ shop = \"read-write\" }} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\npublic = true\n"
    )
}

fn with_migrations(files: &[(&str, &str)]) -> TempDir {
    let folder = place();
    fs::create_dir(folder.path().join("migrations")).unwrap();
    for (name, sql) in files {
        let path = folder.path().join("migrations").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, sql).unwrap();
    }
    folder
}

fn start(folder: TempDir, database: &str, url: &str) -> Result<Host, Failed> {
    Host::start_with(folder, &manifest(database), &[("SHOP_URL", url)])
}

#[track_caller]
fn started(outcome: Result<Host, Failed>) -> Host {
    outcome.unwrap_or_else(|failed| panic!("the host did not start: {}", failed.errors))
}

#[track_caller]
fn refused(outcome: Result<Host, Failed>, server: &Server, words: &[&str]) -> Failed {
    let Err(failed) = outcome else { panic!("the host started") };
    assert_eq!(failed.status.code(), Some(1));
    for word in words {
        assert!(failed.errors.contains(word), "`{word}` is not in: {}", failed.errors);
    }
    silent(server, &failed.errors);
    silent(server, &failed.log);
    failed
}

/// Neither password nor address is told.
#[track_caller]
fn silent(server: &Server, text: &str) {
    for secret in server.secrets() {
        assert!(!text.contains(&secret), "{text}");
    }
}

fn query(host: &Host, sql: &str) -> Value {
    host.json("POST", "/pg/query", &json!({ "database": "shop", "sql": sql })).json()
}

/// The names of files and what is in them.
type Files = &'static [(&'static str, &'static str)];

/// As other tools lay out a folder: which tool, its files, and whether they run here as they are.
const LAYOUTS: [(&str, Files, bool); 8] = [
    ("sqlx", &[("20260101000000_items.up.sql", FIRST), ("20260101000000_items.down.sql", "drop table items")], true),
    ("golang-migrate", &[("000001_items.up.sql", FIRST), ("000001_items.down.sql", "drop table items")], true),
    ("Flyway", &[("V1__items.sql", FIRST), ("R__view.sql", "create or replace view v as select 1")], false),
    ("Prisma", &[("20260101_items/migration.sql", FIRST), ("migration_lock.toml", "provider = \"postgresql\"")], false),
    (
        "Diesel",
        &[("2026-01-01-000000_items/up.sql", FIRST), ("2026-01-01-000000_items/down.sql", "drop table items")],
        false,
    ),
    (
        "dbmate",
        &[(
            "20260101000000_items.sql",
            "-- migrate:up\ncreate table items (id int);\n\n-- migrate:down\ndrop table items;\n",
        )],
        false,
    ),
    (
        "goose",
        &[("00001_items.sql", "-- +goose Up\ncreate table items (id int);\n-- +goose Down\ndrop table items;\n")],
        false,
    ),
    (
        "sql-migrate",
        &[("1-items.sql", "-- +migrate Up\ncreate table items (id int);\n-- +migrate Down\ndrop table items;\n")],
        false,
    ),
];

#[test]
fn folders_of_other_tools_run_as_they_are_or_are_refused_by_name_before_anything_runs() {
    let made = |server: &Server| {
        server
            .session("shop")
            .count("SELECT count(*) FROM pg_tables WHERE tablename IN ('items', 'archipel_migrations')")
    };
    let untouched = Server::start();
    for (tool, files, runs) in LAYOUTS {
        if runs {
            let server = Server::start();
            drop(started(start(with_migrations(files), "", &server.url("plain", ""))));
            assert_eq!(made(&server), 2, "{tool}");
        } else {
            let outcome = start(with_migrations(files), "", &untouched.url("plain", ""));
            drop(refused(outcome, &untouched, &["is laid out for", tool]));
            assert_eq!(made(&untouched), 0, "{tool}");
        }
    }
}

#[test]
fn an_older_build_that_has_fewer_migrations_starts_and_says_so() {
    let server = Server::start();
    let url = server.url("plain", "");
    let second = ("2.sql", "alter table items add column name text;");
    drop(started(start(with_migrations(&[("1.sql", FIRST), second]), "", &url)));
    let host = started(start(with_migrations(&[("1.sql", FIRST)]), "", &url));
    host.log.expect_line("this database has newer migrations than the folder has files; they stay");
    assert_eq!(query(&host, "select count(name) from items")["rows"], json!([[{ "int64": 0 }]]));
}

const UNTRUSTED: &str = "the server's certificate is not trusted";

#[test]
fn an_operators_server_is_used_with_the_tls_that_was_asked_for() {
    let server = Server::start();
    let files = [("1.sql", FIRST)];
    let url = server.url("plain", "?sslmode=require&sslrootcert=ROOTS");
    let host = started(start(with_migrations(&files), "", &url));
    let told = query(&host, "select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    assert_eq!(told["rows"], json!([[{ "boolean": true }]]), "{told}");
    silent(&server, &host.log.text());
    let folder = host.stop();

    // Refusals, each on the data of the host before.
    let others = server.url("plain", "?sslmode=require&sslrootcert=OTHERS");
    let folder = refused(start(folder, "", &others), &server, &["`postgres.shop.url`", UNTRUSTED]).folder;
    let nobody = server.url("plain", "");
    let folder =
        refused(start(folder, "tls = \"require\"", &nobody), &server, &["`postgres.shop.url`", UNTRUSTED]).folder;
    let missing = server.url("plain", "?sslmode=require&sslrootcert=/nowhere.pem");
    let folder = refused(start(folder, "", &missing), &server, &["`/nowhere.pem`", "sslrootcert"]).folder;
    let wrong = server.url("plain", "").replace("canary-password", "wrong");
    let folder = refused(start(folder, "", &wrong), &server, &["`postgres.shop.url`", "password", "28P01"]).folder;

    let boss = started(start(folder, "", &server.url("boss", "")));
    boss.log.expect_line("the role of `postgres.shop.url` is a superuser");
    silent(&server, &boss.log.text());
    silent(&server, &boss.errors.text());
}

#[test]
fn a_server_that_is_not_there_is_named_at_start_and_waited_for_afterwards() {
    let mut server = Server::start();
    let files = [("1.sql", FIRST)];
    let url = server.url("plain", "");
    let host = started(start(with_migrations(&files), "", &url));
    assert_eq!(query(&host, "select count(*) from items")["rows"], json!([[{ "int64": 0 }]]));
    server.stop();
    let told = query(&host, "select count(*) from items");
    assert_eq!(told["error"]["variant"], "unavailable", "{told}");
    readiness_becomes(&host, 503);
    refused(start(with_migrations(&files), "", &url), &server, &["`postgres.shop.url`", "is it running"]);
    let optional = started(start(with_migrations(&files), "optional = true", &url));
    optional.log.expect_line("is optional and not available now");
    let another = build(&wasm("probe_pg"), 1);
    let swapped = optional.swap("probe", &another);
    assert_eq!(swapped.status, 200, "{}", swapped.text());
    optional.log.expect_line("its migrations were not run");
    silent(&server, &optional.log.text());
    drop(optional);
    let refused = host.swap("probe", &another);
    assert_eq!((refused.status, &refused.json()["data"]["step"]), (409, &json!("migrate")), "{}", refused.text());

    server.start_again();
    // From the moment the server takes sessions.
    drop(server.session("shop"));
    let began = Instant::now();
    let is_back = || query(&host, "select count(*) from items")["error"].is_null();
    let (pause, ()) = paused(|| until("the host finds its server again", is_back));
    println!("server restarted: back after {:?}", began.elapsed());
    assert!(began.elapsed() < pause + Duration::from_secs(3), "{:?}", began.elapsed());
    readiness_becomes(&host, 200);
}

/// The answer is kept for a second.
#[track_caller]
fn readiness_becomes(host: &Host, status: u16) {
    let began = Instant::now();
    while exchange(host.admin, "GET", "/health/ready", &[], b"").status != status {
        assert!(began.elapsed() < Duration::from_secs(30), "readiness does not become {status}");
        thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn migrations_run_once_and_a_history_that_does_not_fit_is_refused_and_changes_nothing() {
    let server = Server::start();
    let url = server.url("plain", "");
    let folder =
        started(start(with_migrations(&[("1.sql", FIRST), ("2.sql", "insert into items values (1);")]), "", &url))
            .stop();
    let look = server.session("shop");
    let state = "SELECT concat_ws(' ', (SELECT count(*) FROM items), (SELECT string_agg(relname, ',' ORDER BY relname) \
                 FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace), \
                 (SELECT string_agg(name || sha256 || at, ',' ORDER BY name) FROM archipel_migrations))";
    let before = look.text(state);
    assert!(before.starts_with("1 archipel_migrations,archipel_turns,items 1.sql"), "{before}");
    let folder = started(start(folder, "", &url)).stop();
    assert_eq!(look.text(state), before, "a second start runs nothing again");

    let write = |folder: &TempDir, name: &str, sql: &str| fs::write(migration(folder, name), sql).unwrap();
    write(&folder, "1.sql", "create table other (id int);");
    let folder =
        refused(start(folder, "", &url), &server, &["1.sql` was changed after it was applied", "restore it"]).folder;
    fs::remove_file(migration(&folder, "1.sql")).unwrap();
    let folder = refused(start(folder, "", &url), &server, &["`1.sql` was applied", "restore the file"]).folder;
    write(&folder, "1.sql", FIRST);
    write(&folder, "0.sql", "create table early (id int);");
    let folder = refused(start(folder, "", &url), &server, &["0.sql` comes before `2.sql`", "rename it"]).folder;
    fs::remove_file(migration(&folder, "0.sql")).unwrap();
    write(&folder, "3.sql", "create table half (id int);\ninsert into half values (1);\nselect nonsense;");
    let folder = refused(start(folder, "", &url), &server, &["3.sql` failed at line 3", "nonsense"]).folder;
    assert_eq!(look.text(state), before, "no refusal has changed anything");
    write(&folder, "3.sql", "create table whole (id int);");
    drop(started(start(folder, "", &url)));
    assert!(look.text(state).contains("whole"));
}

#[test]
fn two_names_of_one_database_have_a_history_each_and_keep_it_when_they_are_renamed() {
    let server = Server::start();
    let url = server.url("plain", "");
    let folder = with_migrations(&[("1.sql", FIRST)]);
    fs::create_dir(folder.path().join("notes")).unwrap();
    fs::write(folder.path().join("notes/1.sql"), "create table notes (id int);").unwrap();
    let beside = |name: &str| format!("[postgres.{name}]\nurl = {{ env = \"SHOP_URL\" }}\nmigrations = \"notes\"");
    let folder = started(start(folder, &beside("notes"), &url)).stop();
    let look = server.session("shop");
    let state = "SELECT string_agg(concat_ws(' ', database, name), ',' ORDER BY database) FROM archipel_migrations";
    assert_eq!(look.text(state), "notes 1.sql,shop 1.sql");
    let folder = started(start(folder, &beside("letters"), &url)).stop();
    assert_eq!(look.text(state), "notes 1.sql,shop 1.sql", "nothing has run again");

    // As a host left it for which a database had one history.
    look.run("DELETE FROM archipel_migrations WHERE database = 'notes'");
    look.run("ALTER TABLE archipel_migrations DROP COLUMN database, ADD PRIMARY KEY (name)");
    drop(started(start(folder, "", &url)));
    assert_eq!(look.text(state), "shop 1.sql");
}

/// `publisher` leaves events in the same database.
const EVENTS: &str = "[redis.main]\n[events]\nredis = \"main\"\n\
                      [services.publisher]\ncomponent = \"COMPONENTS/probe_outbox.wasm\"\n\
                      permissions = { postgres = { shop = \"read-write\" }, publish = [\"order.*\"] }\n\
                      [[routes]]\npath = \"/publish\"\nservice = \"publisher\"\npublic = true\n";

#[test]
fn a_role_that_may_make_nothing_in_public_has_the_hosts_tables_in_a_schema_of_its_own() {
    let server = Server::start();
    let look = server.session("shop");
    let [password, _] = server.secrets();
    look.run(&format!("CREATE ROLE narrow LOGIN PASSWORD '{password}'"));
    look.run("CREATE SCHEMA \"table\" AUTHORIZATION narrow; ALTER ROLE narrow SET search_path = \"table\"");
    let url = server.url("narrow", "");
    let folder = with_migrations(&[("1.sql", FIRST)]);
    let folder = refused(start(folder, EVENTS, &url), &server, &["permission denied for schema public"]).folder;

    let inside = format!("schema = \"table\"\n{EVENTS}");
    let host = started(start(folder, &inside, &url));
    let event = json!({ "topic": "order.placed", "body": { "number": 7 } });
    let left = host.json("POST", "/publish", &json!({ "database": "shop", "steps": [event] }));
    assert_eq!(left.status, 200, "{}", left.text());
    assert_eq!(Streams::inside(&host).until("order.placed", 1)[0]["body"], json!({ "number": 7 }));
    let ours = "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename) FROM pg_tables \
                WHERE tablename LIKE 'archipel%' OR tablename = 'items'";
    let tables =
        ["archipel_migrations", "archipel_outbox", "archipel_turns", "items"].map(|name| format!("table.{name}"));
    assert_eq!(look.text(ours), tables.join(" "));
    until("the outbox is empty", || look.count("SELECT count(*) FROM \"table\".archipel_outbox") == 0);
    let folder = host.stop();

    // They would run again.
    look.run("CREATE SCHEMA other AUTHORIZATION narrow");
    let other = inside.replace("\"table\"", "\"other\"");
    let folder =
        refused(start(folder, &other, &url), &server, &["`\"table\".archipel_migrations`", "SET SCHEMA"]).folder;
    // The refused start has made what comes before migrations.
    look.run("DROP SCHEMA other CASCADE; CREATE SCHEMA other AUTHORIZATION narrow");
    for table in ["migrations", "turns", "outbox"] {
        look.run(&format!("ALTER TABLE \"table\".archipel_{table} SET SCHEMA other"));
    }
    look.run("ALTER FUNCTION \"table\".archipel_publish SET SCHEMA other");
    let host = started(start(folder, &other, &url));
    let left = host.json("POST", "/publish", &json!({ "database": "shop", "steps": [event] }));
    assert_eq!(left.status, 200, "{}", left.text());
    Streams::inside(&host).until("order.placed", 2);
}

fn migration(folder: &TempDir, name: &str) -> std::path::PathBuf {
    Path::new(folder.path()).join("migrations").join(name)
}

#[test]
fn two_hosts_that_start_at_once_migrate_one_database_once() {
    let server = Server::start();
    let url = server.url("plain", "");
    // Slow, so that both certainly meet.
    let files = [("1.sql", FIRST), ("2.sql", "select pg_sleep(1); insert into items values (1);")];
    let hosts: Vec<Host> = thread::scope(|scope| {
        let starting: Vec<_> =
            (0..2).map(|_| scope.spawn(|| started(start(with_migrations(&files), "", &url)))).collect();
        starting.into_iter().map(|host| host.join().unwrap()).collect()
    });
    for host in &hosts {
        assert_eq!(query(host, "select count(*) from items")["rows"], json!([[{ "int64": 1 }]]));
    }
    assert_eq!(server.session("shop").count("SELECT count(*) FROM archipel_migrations"), 2);
}
