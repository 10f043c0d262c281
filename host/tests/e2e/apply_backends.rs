//! A changed manifest changes what services reach: bounds of databases, what carries events, outboxes. What is in
//! flight finishes on what it began with, and nothing is left behind.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use serde_json::{Value, json};

use crate::{
    apply::{applied, apply, ask, service},
    harness::{Answer, Collector, Connection, End, Host, Postgres, Redis, Session, Span, Streams, place, until},
};

/// A service that is another guest than `probe`, with these permissions.
fn guest(name: &str, component: &str, permissions: &str) -> String {
    service(name, &format!("permissions = {{ {permissions} }}")).replace("probe.wasm", component)
}

fn order(host: &Host, service: &str, path: &str, order: &Value) -> Connection {
    let mut connection = Connection::open(host.gateway);
    let body = order.to_string();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {service}.test\r\ncontent-length: {length}\r\n\r\n{body}");
    connection.write(head.as_bytes());
    connection
}

#[track_caller]
fn post(host: &Host, service: &str, path: &str, document: &Value) -> Answer {
    order(host, service, path, document).answer(false).expect("an answer")
}

fn query(sql: &str) -> Value {
    json!({ "database": "shop", "sql": sql })
}

/// Sessions of services in the private server.
const SESSIONS: &str = "select count(*) from pg_stat_activity where usename ~ '^db_shop:(one|two):'";

#[test]
fn bounds_of_a_database_change_under_load_and_no_connection_is_left_behind() {
    let patient = |name: &str, permissions: &str| {
        let lines = "limits = { timeout = \"60s\" }\npermissions";
        guest(name, "probe_pg.wasm", permissions).replacen("permissions", lines, 1)
    };
    let services = patient("one", "postgres = { shop = \"read-write\" }")
        + &patient("two", "postgres = { shop = \"read\" }")
        + &service("kept", "");
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"60s\"\n";
    let manifest = |bounds: &str| format!("{gateway}[postgres.shop]\n{bounds}\n{services}");
    let host = Host::running(&manifest(""));
    let look = Session::inside(&host, "shop");
    let files = || fs::read_dir(format!("/proc/{}/fd", host.id())).unwrap().count();
    let (stop, answers, before) = (AtomicBool::new(false), AtomicUsize::new(0), files());
    thread::scope(|scope| {
        let _end = End(&stop);
        let client = |name: &'static str| {
            let body = query("select count(*) from generate_series(1, 50)").to_string();
            let head =
                format!("POST /pg/query HTTP/1.1\r\nhost: {name}.test\r\ncontent-length: {}\r\n\r\n", body.len());
            let request = [head, body].concat();
            let mut connection = Connection::open(host.gateway);
            while !stop.load(Relaxed) {
                connection.write(request.as_bytes());
                let answer = connection.answer(false).expect("an answer to every request");
                assert!(answer.whole && answer.status == 200, "{}", answer.text());
                answers.fetch_add(1, Relaxed);
            }
        };
        let clients: Vec<_> = ["one", "two", "one", "two"].map(|name| scope.spawn(move || client(name))).into();
        until("the load is on", || answers.load(Relaxed) > 50);
        for round in 0..50 {
            let bounds = format!(
                "connections_max = {}\nwait = \"{}s\"\nrows_max = {}\nstatement_timeout = \"{}s\"",
                1 + round * 5 % 7,
                10 + round % 3,
                100 + round,
                20 + round % 2
            );
            let done = applied(&host, &manifest(&bounds));
            assert_eq!(done["restart"], json!([]), "{done}");
            let fates: Vec<&str> =
                done["services"].as_array().unwrap().iter().map(|each| each["change"].as_str().unwrap()).collect();
            assert_eq!(fates, ["kept", "changed", "changed"], "{done}");
        }
        stop.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    applied(&host, &manifest("connections_max = 3"));
    until("the pools that were are gone", || look.count(SESSIONS) <= 3);
    until("and their sockets", || files() < before + 30);
    println!("{} requests over 50 applied manifests", answers.load(Relaxed));
    each_bound_takes_effect(&host, &look, &manifest);
}

fn each_bound_takes_effect(host: &Host, look: &Session, manifest: &dyn Fn(&str) -> String) {
    applied(host, &manifest("connections_max = 3\nstatement_timeout = \"20s\""));
    // It waits for as long as the test wants.
    look.run("select pg_advisory_lock(7)");
    let mut slow = order(host, "one", "/pg/query", &query("select count(*) from pg_advisory_xact_lock(7)"));
    look.becomes("select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and not granted", 1);
    applied(host, &manifest("statement_timeout = \"20s\"\nrows_max = 10\nconnections_max = 1\nwait = \"50ms\""));
    // The one connection that there may be is still the old request's.
    assert!(post(host, "one", "/pg/query", &query("select 1")).text().contains("overloaded"));
    look.run("select pg_advisory_unlock(7)");
    assert_eq!(slow.answer(false).unwrap().status, 200, "it finishes on what it began with");
    applied(host, &manifest("statement_timeout = \"20s\"\nrows_max = 10\nconnections_max = 1\nwait = \"10s\""));
    let refused = |sql: &str| post(host, "one", "/pg/query", &query(sql)).json()["error"]["variant"].clone();
    assert_eq!(refused("select * from generate_series(1, 11)"), "too-large");
    applied(host, &manifest("statement_timeout = \"100ms\"\nrows_max = 10\nconnections_max = 1\nwait = \"10s\""));
    assert_eq!(refused("select pg_sleep(10)"), "timeout");

    // More than the private server has room for is refused, and changes nothing.
    let answer = apply(host, &manifest("connections_max = 500"));
    assert_eq!((answer.status, answer.text().contains("restart")), (409, true), "{}", answer.text());
    assert_eq!(refused("select pg_sleep(10)"), "timeout");

    // Migrations run before anything goes live.
    let folder = host.folder.path().join("sql");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("1.sql"), "create table notes (text text);").unwrap();
    fs::write(folder.join("2.sql"), "create tabel;").unwrap();
    let answer = apply(host, &manifest("migrations = \"sql\""));
    assert_eq!((answer.status, answer.text().contains("2.sql")), (409, true), "{}", answer.text());
    fs::write(folder.join("2.sql"), "alter table notes add at timestamptz;").unwrap();
    applied(host, &manifest("migrations = \"sql\""));
    assert_eq!(post(host, "one", "/pg/execute", &query("insert into notes (text) values ('x')")).status, 200);
    assert_eq!(post(host, "two", "/pg/query", &query("select at from notes")).status, 200);
    // A new file is enough, in a manifest that is as it was.
    fs::write(folder.join("3.sql"), "alter table notes add who text;").unwrap();
    applied(host, &manifest("migrations = \"sql\""));
    assert_eq!(post(host, "two", "/pg/query", &query("select who from notes")).status, 200);
}

#[test]
fn where_a_database_is_stays_and_what_else_is_said_of_it_does_not() {
    let mut server = Postgres::start();
    let manifest = |url: &str, lines: &str| {
        format!("[postgres.shop]\n{url}\n{lines}\n")
            + &guest("one", "probe_pg.wasm", "postgres = { shop = \"read-write\" }")
    };
    let host = Host::running(&manifest(&server.url(), ""));
    let done = applied(&host, &manifest(&server.url_of("orders"), "rows_max = 10"));
    assert_eq!(done["restart"], json!(["postgres.shop.url"]), "{done}");
    let answer = post(&host, "one", "/pg/query", &query("select current_database() from generate_series(1, 10)"));
    assert!(answer.text().contains("shop") && !answer.text().contains("orders"), "{}", answer.text());
    let many = post(&host, "one", "/pg/query", &query("select * from generate_series(1, 11)"));
    assert_eq!(many.json()["error"]["variant"], "too-large");

    // A server that gives no TLS is found out before anything changes.
    let strict = server.url().replace("\"disable\"", "\"require\"");
    let answer = apply(&host, &manifest(&strict, ""));
    assert_eq!((answer.status, answer.text().contains("postgres.shop.url")), (409, true), "{}", answer.text());
    assert_eq!(post(&host, "one", "/pg/query", &query("select 1")).status, 200);

    server.kill();
    until("its service is unhealthy", || host.get("/health").status == 503);
    applied(&host, &manifest(&server.url(), "optional = true"));
    until("its service is degraded", || host.get("/health").json()["status"] == "degraded");
    server.resume();
    until("it is back", || post(&host, "one", "/pg/query", &query("select 1")).status == 200);
}

const WRITER: &str = "postgres = { shop = \"read-write\" }, publish = [\"order.*\"]";

fn written(number: usize) -> Value {
    json!({ "steps": [{ "topic": "order.a", "key": "k", "body": { "number": number } }] })
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["body"]["number"].as_u64().unwrap()).collect()
}

#[test]
fn a_service_that_comes_publishes_from_its_database_and_what_it_left_goes_on_when_it_is_gone() {
    let mut redis = Redis::start();
    let head = format!("[postgres.shop]\n[redis.main]\nurl = \"{}\"\n", redis.url());
    let silent = guest("silent", "probe_pg.wasm", "postgres = { shop = \"read-write\" }");
    let without = [head.as_str(), &silent].concat();
    let with = [head.as_str(), "[events]\nredis = \"main\"\n", &silent, &guest("writer", "probe_outbox.wasm", WRITER)]
        .concat();
    let host = Host::running(&without);
    let streams = Streams::at(&redis.url());
    let done = applied(&host, &with);
    assert_eq!(done["restart"], json!([]), "{done}");
    let write = |number| {
        let answer = post(&host, "writer", "/", &written(number));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    write(1);
    assert_eq!(numbers(&streams.until("order.a", 1)), [1]);
    let call =
        "select archipel_publish(gen_random_uuid(), 'writer', 'order.a', null, null, '[]', '', null, null, null)";
    let forged = post(&host, "silent", "/pg/query", &query(call));
    assert_eq!(forged.json()["error"]["sqlstate"], "42501", "{}", forged.text());

    // Many at it while it changes: none is lost, none comes twice.
    let changed =
        |round: usize| with.replacen("[services.writer]", &format!("[services.writer]\nversion = \"2.{round}.0\""), 1);
    let sent = AtomicUsize::new(1);
    thread::scope(|scope| {
        let writers: Vec<_> =
            (0..2).map(|_| scope.spawn(|| (0..60).for_each(|_| write(sent.fetch_add(1, Relaxed) + 1)))).collect();
        (0..5).for_each(|round| drop(applied(&host, &changed(round))));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    let mut all = numbers(&streams.until("order.a", 121));
    all.sort_unstable();
    assert_eq!(all, (1..=121).collect::<Vec<_>>());

    // What waits when its service goes is carried on. Nothing does before.
    let look = Session::inside(&host, "shop");
    look.becomes("select count(*) from archipel_outbox", 0);
    redis.kill();
    (200..205).for_each(write);
    assert_eq!(look.count("select count(*) from archipel_outbox"), 5);
    let done = applied(&host, &without);
    assert_eq!(done["restart"], json!(["events"]), "what carries events stays");
    assert_eq!(ask(&host, "writer", "/").status, 404);
    redis.start_again();
    assert_eq!(numbers(&streams.until("order.a", 5)), [200, 201, 202, 203, 204]);
    look.becomes("select count(*) from archipel_outbox", 0);
    applied(&host, &with);
    write(300);
    streams.until("order.a", 6);
}

#[test]
fn events_come_with_an_applied_manifest_and_are_kept_as_another_one_says() {
    let reader = |lines: &str| {
        let permissions = "publish = [\"order.*\", \"note\"], subscribe = [\"order.*\"]";
        guest("reader", "probe_events.wasm", permissions).replacen(
            "[services.reader]",
            &format!("[services.reader]\nlimits = {{ concurrency = 16 }}\n{lines}"),
            1,
        )
    };
    let stores = "[redis.main]\n[redis.other]\n";
    let host = Host::running_in(place(), &[stores, &service("kept", "")].concat());
    let streams = Streams::inside(&host);
    let fsync = || streams.command::<Vec<String>>(&["CONFIG", "GET", "appendfsync"])[1].clone();
    assert_eq!(fsync(), "everysec");
    let with = |events: &str, lines: &str| [stores, events, &service("kept", ""), &reader(lines)].concat();
    let done = applied(&host, &with("[events]\nredis = \"main\"\n", ""));
    assert_eq!(done["restart"], json!([]), "{done}");
    assert_eq!(fsync(), "always", "what is published is on the disk");
    let publish = |topic: &str, body: Value| {
        let event = json!({ "topic": topic, "body": body, "dedup": body.to_string() });
        until("it is published", || post(&host, "reader", "/publish", &event).status == 200);
    };
    let lines = |what: &str| host.log.text().lines().filter(|line| line.contains(what)).count();
    publish("order.a", json!({ "number": 1 }));
    until("it is handled", || lines("handled {") == 1);

    // How it is handled, and how long it is kept.
    publish("note", json!({ "number": 2 }));
    let after = with("[events]\nredis = \"other\"\nretain = \"1s\"\n", "events = { tries = 1 }");
    let done = applied(&host, &after);
    assert_eq!(done["restart"], json!(["events.redis"]), "{done}");
    publish("order.b", json!({ "do": "fail" }));
    let dead = || host.admin("GET", "/v1/events/dead?service=reader", b"").text();
    until("one try is enough", || dead().contains("order.b"));
    until("what nobody handles goes", || streams.of("note").is_empty());
    let health = host.admin("GET", "/health/services/reader", b"").text();
    assert!(health.contains("events"), "{health}");
}

#[test]
fn the_migrations_of_a_database_that_is_added_are_a_span() {
    let (collector, folder) = (Collector::start(), place());
    fs::create_dir(folder.path().join("sql")).unwrap();
    fs::write(folder.path().join("sql/1.sql"), "create table notes (text text not null);").unwrap();
    let services = guest("one", "probe_pg.wasm", "postgres = { shop = \"read-write\" }");
    let manifest = |added: &str| format!("[postgres.shop]\n{added}\n{services}{}", collector.telemetry(""));
    let host = Host::running_in(folder, &manifest(""));
    applied(&host, &manifest("[postgres.added]\nmigrations = \"sql\""));
    let is_it = |span: &Span| span.name == "migrate added";
    let span = until("the migrations are told", || collector.spans().into_iter().find(is_it));
    assert_eq!((&*span.service, span.kind, &*span.attributes["archipel.files"]), ("gateway", 1, "1"), "{span:#?}");
    assert!(span.began < span.ended, "{span:#?}");
}
