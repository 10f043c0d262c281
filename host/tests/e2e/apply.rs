//! A changed manifest becomes the running one, whole or not at all, and nobody notices.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Connection, End, Held, Host,
        admin::{build, wasm},
        components, exchange, place, probe,
        spoilt::{TRAP, starting_with},
        until, write_manifest,
    },
    swap::version,
};

const WARM: &str = "limits = { reuse = { requests = 100000, idle = \"60s\" } }";

/// A service that is `probe`, behind every path of its own host.
pub fn service(name: &str, lines: &str) -> String {
    format!(
        "[services.{name}]\ncomponent = \"COMPONENTS/probe.wasm\"\n{lines}\n\
         [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
    )
}

/// Writes the manifest's file anew and applies it.
#[track_caller]
pub fn apply(host: &Host, rest: &str) -> Answer {
    let file = write_manifest(host.folder.path(), rest);
    host.apply(&fs::read_to_string(file).unwrap())
}

#[track_caller]
pub fn applied(host: &Host, rest: &str) -> Value {
    let answer = apply(host, rest);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

#[track_caller]
pub fn ask(host: &Host, service: &str, path: &str) -> Answer {
    let mut connection = Connection::open(host.gateway);
    connection.write(format!("GET {path} HTTP/1.1\r\nhost: {service}.test\r\n\r\n").as_bytes());
    connection.answer(false).expect("an answer")
}

fn changes(done: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    done["services"].as_array().unwrap().iter().map(|each| (word(&each["name"]), word(&each["change"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, change)| ((*name).to_owned(), (*change).to_owned())).collect()
}

pub fn status(host: &Host) -> Value {
    host.admin("GET", "/v1/status", b"").json()["data"].clone()
}

#[test]
fn what_changed_is_live_what_did_not_is_not_touched_and_no_request_is_lost() {
    let grant = "env = { COLOUR = \"red\" }\npermissions = { env = [\"COLOUR\"] }";
    let before = [service("kept", WARM), service("other", ""), service("gone", "")].concat();
    let host = Host::running(&before);
    let first = version(&ask(&host, "kept", "/counter"));
    let (stop, answers) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2]);
    thread::scope(|scope| {
        let _end = End(&stop);
        let client = |name: &'static str, answers: &AtomicUsize| {
            let mut connection = Connection::open(host.gateway);
            while !stop.load(Relaxed) {
                connection.write(format!("GET / HTTP/1.1\r\nhost: {name}.test\r\n\r\n").as_bytes());
                let answer = connection.answer(false).expect("an answer to every request");
                assert!(answer.whole && answer.status == 200, "{answer:?}");
                answers.fetch_add(1, Relaxed);
            }
        };
        let named = [("kept", 0), ("other", 1), ("kept", 0), ("other", 1)];
        let answers = &answers;
        let clients: Vec<_> = named.map(|(name, of)| scope.spawn(move || client(name, &answers[of]))).into();
        until("the load is on", || answers.iter().all(|answers| answers.load(Relaxed) > 50));
        for round in 0..6 {
            let colour = grant.replace("red", &format!("red-{round}"));
            let lines = format!("version = \"2.{round}.0\"\nlimits = {{ timeout = \"{}s\" }}\n{colour}", round + 30);
            let added = if round % 2 == 0 { service("added", "") } else { String::new() };
            let after = [service("kept", WARM), service("other", &lines), added].concat();
            let done = applied(&host, &after);
            assert!(changes(&done).contains(&("kept".into(), "kept".into())), "{done}");
            assert!(changes(&done).contains(&("other".into(), "changed".into())), "{done}");
            let answer = ask(&host, "other", "/env");
            assert!(version(&answer).starts_with(&format!("2.{round}.0+")), "{answer:?}");
            assert_eq!(answer.json()["COLOUR"], format!("red-{round}"));
        }
        stop.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    let last = [service("kept", WARM), service("other", grant), service("added", "")].concat();
    assert_eq!(changes(&applied(&host, &last)), pairs(&[("added", "added"), ("kept", "kept"), ("other", "changed")]));
    assert_eq!((ask(&host, "added", "/").status, ask(&host, "gone", "/").status), (200, 404));
    assert_eq!(version(&ask(&host, "kept", "/")), first);
    let services = status(&host)["services"].clone();
    let requests = |name: &str| {
        let of = services.as_array().unwrap().iter().find(|service| service["name"] == name).unwrap();
        of["requests"].as_u64().unwrap()
    };
    assert!(requests("kept") > 50 && requests("other") > 50, "both went on counting: {services}");
    assert_eq!(host.swap("gone", &build(&wasm("probe"), 1)).status, 404);

    // A service that is back has its history, and another permission is gone at once.
    applied(&host, &before);
    let versions = host.admin("GET", "/v1/services/gone/versions", b"").json();
    let outcomes: Vec<_> = versions["data"].as_array().unwrap().iter().map(|entry| entry["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("applied"), json!("started")]);
    assert_eq!(ask(&host, "other", "/env").json()["COLOUR"], Value::Null);
}

#[test]
fn an_instance_of_a_service_that_did_not_change_is_not_even_made_anew() {
    let host = Host::running(&[service("kept", WARM), service("other", "")].concat());
    let count = || ask(&host, "kept", "/counter").json()["count"].as_u64().unwrap();
    let before = count();
    applied(&host, &[service("kept", WARM), service("other", "version = \"2.0.0\"")].concat());
    assert!(count() > before, "the same instance counts on");
}

#[test]
fn a_manifest_with_anything_wrong_changes_nothing_at_all() {
    let folder = place();
    fs::write(folder.path().join("traps.wasm"), starting_with(&wasm("probe"), TRAP)).unwrap();
    let own = [service("one", "build = \"make one\""), service("two", "")].concat();
    let host = Host::running_in(folder, &own);
    let digest = status(&host)["manifest"]["digest"].clone();
    let file = write_manifest(host.folder.path(), &own);
    let right = fs::read_to_string(file).unwrap();
    let with = |from: &str, to: &str| right.replacen(from, to, 1);
    let more = |rest: &str| format!("{right}\n{rest}");
    let component = components().join("probe_pg.wasm");
    let table = [
        ("no TOML", "[[".to_owned(), 422, "unquoted keys"),
        ("an unknown key", more("[hots]\n"), 422, "hots"),
        ("no such service", more("[[routes]]\npath = \"/x\"\nservice = \"three\"\npublic = true\n"), 422, "three"),
        (
            "a host's own page",
            more("[[routes]]\npath = \"/health\"\nmethods = [\"GET\"]\nstatic = 404\npublic = true\n"),
            403,
            "/health",
        ),
        (
            "admin",
            with("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:39999\""),
            403,
            "admin.listen",
        ),
        ("a build command", with("make one", "rm -rf /"), 403, "services.one.build"),
        (
            "a new build command",
            more("[services.x]\nbuild = \"x\"\ncomponent = \"traps.wasm\""),
            403,
            "services.x.build",
        ),
        ("a path outside", more("[services.x]\ncomponent = \"../x.wasm\""), 422, "outside of the manifest's folder"),
        (
            "another of that folder",
            right.replace("probe.wasm", "probe_pg.wasm"),
            422,
            "outside of the manifest's folder",
        ),
        ("no file", more("[services.x]\ncomponent = \"none.wasm\""), 409, "none.wasm"),
        ("traps at start", more("[services.x]\ncomponent = \"traps.wasm\""), 409, "does not start"),
        ("smoke", with("[services.two]\n", "[services.two]\nswap = { smoke = \"GET /trap\" }\n"), 409, "smoke request"),
    ];
    for (what, text, expected, reason) in table {
        let answer = host.apply(&text);
        let error = answer.json()["error"].as_str().unwrap_or_else(|| panic!("{what}: {}", answer.text())).to_owned();
        assert_eq!((answer.status, error.contains(reason)), (expected, true), "{what}: {error}");
        assert_eq!(ask(&host, "one", "/").status, 200, "{what}");
        assert_eq!(status(&host)["manifest"]["digest"], digest, "{what}");
    }
    // The machine's own file may name it; the grants are compared all the same.
    let needs = [own.clone(), format!("[services.x]\ncomponent = \"{}\"\n", component.display())].concat();
    let answer = apply(&host, &needs);
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.json()["data"]["permissions"][0].as_str().unwrap().contains("postgres"), "{}", answer.text());
    let log = host.log.text();
    assert!(!log.contains("a changed manifest runs"), "{log}");
}

#[test]
fn what_needs_a_restart_is_named_and_left_as_it_is() {
    let gateway = |lines: &str| format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{lines}\n");
    let host = Host::running(&[gateway("h2c = true"), probe("")].concat());
    let after = [gateway("h2c = false\nhosts = [\"shop.test\"]\nexpose_version = false"), probe("")].concat();
    let done = host.apply_by_command(&write_manifest(host.folder.path(), &after));
    assert_eq!(done["restart"], json!(["gateway.h2c"]), "{done}");
    assert_eq!(status(&host)["manifest"]["restart"], json!(["gateway.h2c"]));
    assert_eq!(host.get("/").status, 421, "the other keys are live");
    let answer = ask(&host, "shop", "/");
    assert_eq!((answer.status, answer.header("x-service-version")), (200, None), "{answer:?}");
}

#[test]
fn a_rate_limit_goes_on_counting_over_an_applied_manifest() {
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\nlimit = \"3/h\"\n";
    let host = Host::running(&[gateway, &probe("")].concat());
    assert_eq!([0; 3].map(|_| host.get("/").status), [200; 3]);
    applied(&host, &[gateway, &probe("version = \"2.0.0\"")].concat());
    assert_eq!(host.get("/").status, 429);
    applied(&host, &[gateway.replace("3/h", "4/h"), probe("version = \"2.0.0\"")].concat());
    assert_eq!(host.get("/").status, 200, "another limit is another one");
}

#[test]
fn what_was_swapped_in_stays_until_the_components_file_changes() {
    let folder = place();
    let component = folder.path().join("own.wasm");
    fs::copy(components().join("probe.wasm"), &component).unwrap();
    let manifest = |lines: &str| probe(lines).replace("COMPONENTS/probe.wasm", "own.wasm");
    let host = Host::running_in(folder, &manifest(""));
    let digest = |answer: &Answer| version(answer).split_once('+').unwrap().1.to_owned();
    assert_eq!(host.swap("probe", &build(&wasm("probe"), 1)).status, 200);
    let swapped = digest(&host.get("/"));
    applied(&host, &manifest("version = \"2.0.0\""));
    assert_eq!(version(&host.get("/")), format!("2.0.0+{swapped}"));

    fs::write(&component, build(&wasm("probe"), 2)).unwrap();
    applied(&host, &manifest("version = \"2.0.0\""));
    let rebuilt = digest(&host.get("/"));
    assert_ne!(rebuilt, swapped);
    assert_eq!(host.admin("POST", "/v1/services/probe/rollback", b"").status, 200);
    assert_eq!(version(&host.get("/")), format!("2.0.0+{swapped}"), "with the settings of now");
}

#[test]
fn requests_in_flight_finish_on_the_service_that_is_gone() {
    let host = Host::running(&[service("one", ""), service("two", "")].concat());
    let mut slow = Connection::open(host.gateway);
    slow.write(b"POST /slow-body HTTP/1.1\r\nhost: two.test\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
    let mut stream = Connection::open(host.gateway);
    stream.write(b"POST /echo-body HTTP/1.1\r\nhost: two.test\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
    let in_flight = || host.admin("GET", "/v1/services/two", b"").json()["data"]["inFlight"].as_u64();
    until("both are in", || in_flight() == Some(2));
    applied(&host, &service("one", ""));
    assert_eq!(ask(&host, "two", "/").status, 404);
    // Each ends when its client has sent all of it.
    slow.write(b"0\r\n\r\n");
    assert_eq!(slow.answer(false).unwrap().status, 200);
    stream.write(b"0\r\n\r\n");
    let answer = stream.answer(false).unwrap();
    assert!(answer.whole && answer.status == 200, "{answer:?}");
}

#[test]
fn a_database_and_a_permission_for_it_come_without_a_restart() {
    let pg = |name: &str, permissions: &str| {
        service(name, &format!("permissions = {{ postgres = {{ {permissions} }} }}"))
            .replace("probe.wasm", "probe_pg.wasm")
    };
    let host = Host::running(&["[postgres.shop]\n", &pg("one", "shop = \"read-write\"")].concat());
    let query = |service: &str, database: &str, sql: &str| {
        let body = json!({ "database": database, "sql": sql }).to_string();
        let mut connection = Connection::open(host.gateway);
        let head = format!(
            "POST /pg/execute HTTP/1.1\r\nhost: {service}.test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write(head.as_bytes());
        connection.answer(false).expect("an answer")
    };
    fs::create_dir(host.folder.path().join("sql")).unwrap();
    fs::write(host.folder.path().join("sql/1.sql"), "create table notes (text text);").unwrap();
    let after = [
        "[postgres.shop]\n[postgres.more]\nmigrations = \"sql\"\n".to_owned(),
        pg("one", "shop = \"read-write\", more = \"read\""),
        pg("two", "more = \"read-write\", shop = \"read-write\""),
    ];
    let done = applied(&host, &after.concat());
    assert_eq!(done["restart"], json!([]), "{done}");
    let insert = "insert into notes values ('x')";
    assert_eq!(query("two", "more", insert).status, 200);
    let refused = query("one", "more", insert);
    assert_eq!(refused.status, 409, "read is read: {}", refused.text());
    assert_eq!(query("one", "shop", "select 1").status, 200, "the pool that was there goes on");
    assert_eq!(query("two", "shop", "select 1").status, 200);

    applied(&host, &["[postgres.shop]\n", &pg("one", "shop = \"read-write\"")].concat());
    let denied = query("one", "more", "select 1");
    assert!(denied.status == 409 && denied.text().contains("denied"), "{}", denied.text());
}

#[test]
fn only_who_may_apply_applies() {
    let folder = place();
    fs::write(folder.path().join("swapper"), "a-token-for-swapping\n").unwrap();
    let manifest = format!("[admin.tokens.swapper]\nfile = \"swapper\"\nmay = [\"read\", \"swap\"]\n{}", probe(""));
    let host = Host::running_in(folder, &manifest);
    let text = fs::read(write_manifest(host.folder.path(), &manifest)).unwrap();
    let send = |token: &str, kind: &str| {
        let headers = [("authorization", token), ("content-type", kind)];
        exchange(host.admin, "POST", "/v1/apply", &headers, &text)
    };
    let swapper = send("Bearer a-token-for-swapping", "application/toml");
    assert_eq!((swapper.status, swapper.text().contains("may not `apply`")), (403, true));
    assert_eq!(send("Bearer wrong", "application/toml").status, 401);
    let own = format!("Bearer {}", host.admin_token());
    assert_eq!(send(&own, "application/json").status, 415);
    assert_eq!(send(&own, "application/toml").status, 200);
    let stream = Held::with(host.gateway, "/stream?chunks=2&ms=50");
    assert!(stream.ends_whole());
}
