//! The operator's ceiling: what it does not allow nobody gets, whatever a manifest, an applied one or an
//! accepted build says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{
        Answer, Command, Host, Upstream,
        admin::{needing, wasm},
        place, until,
        upstream::quoted,
        write_manifest,
    },
    swap::version,
};

fn ceiling(folder: &Path, lines: &str) -> PathBuf {
    let file = folder.join("ceiling.toml");
    fs::write(&file, format!("[ceiling]\n{lines}\n")).unwrap();
    file
}

/// A host under a ceiling of these lines.
#[track_caller]
fn under(lines: &str, folder: TempDir, rest: &str) -> Host {
    let file = ceiling(folder.path(), lines);
    match Host::start_as(folder, rest, &["--ceiling", file.to_str().unwrap()], &[("LOG_LEVEL", "x"), ("OTHER", "y")]) {
        Ok(host) => host,
        Err(failed) => panic!("the host did not start: {}\n{}", failed.errors, failed.log),
    }
}

/// A service behind `NAME.test`.
fn hosted(name: &str, component: &str, permissions: &str) -> String {
    format!(
        "[services.{name}]\ncomponent = \"COMPONENTS/{component}.wasm\"\npermissions = {{ {permissions} }}\n\
         [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
    )
}

#[track_caller]
fn ask(host: &Host, service: &str, method: &str, path: &str, body: &Value) -> Answer {
    let mut connection = crate::harness::Connection::open(host.gateway);
    let body = body.to_string();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {service}.test\r\ncontent-length: {}\r\n", body.len());
    connection.write(format!("{head}content-type: application/json\r\n\r\n{body}").as_bytes());
    connection.answer(false).expect("an answer")
}

fn status(host: &Host, service: &str) -> Value {
    host.admin("GET", &format!("/v1/services/{service}"), b"").json()["data"].take()
}

#[test]
fn what_a_manifest_grants_beyond_the_ceiling_nobody_gets_and_nothing_that_is_applied_widens_it() {
    let (allowed, other) = (Upstream::answering("hello"), Upstream::answering("hello"));
    let head = "[redis.main]\n[keyvalue.cache]\nredis = \"main\"\n[events]\nredis = \"main\"\n[keyvalue.more]\nredis = \"main\"\n";
    let manifest = |net: &str, more: &str| {
        let dialler = format!("net = {net}, env = [\"LOG_LEVEL\", \"OTHER\"], call = [\"store\", \"letters\"]");
        let all = [
            hosted("dialler", "probe_net", &dialler),
            hosted("store", "probe_kv", "keyvalue = { cache = \"read-write\" }"),
            hosted("letters", "probe_events", "publish = [\"order.*\"], subscribe = [\"order.**\", \"user.*\"]"),
        ];
        format!("{head}{}{more}", all.concat())
    };
    let wanted = format!("[\"{}\", \"{}\"]", allowed.address, other.address);
    let most = format!(
        "net = [\"{}\"]\nkeyvalue = {{ cache = \"read\" }}\npublish = [\"order.created\"]\nsubscribe = [\"order.*\"]\n\
         env = [\"LOG_*\"]\ncall = {{ \"*\" = [\"GET /kv/*\"] }}",
        allowed.address
    );
    let host = under(&most, place(), &manifest(&wanted, ""));
    let file = host.folder.path().canonicalize().unwrap().join("ceiling.toml");
    let file = file.to_str().unwrap();

    // What is left is what is shown, and what is cut is said.
    let told = status(&host, "dialler");
    let left = format!("net {}", allowed.address);
    let calls = ["call letters (GET /kv/*)", "call store (GET /kv/*)"];
    assert_eq!(told["permissions"], json!([calls[0], calls[1], left, "env LOG_LEVEL"]), "{told}");
    let gone = format!("net {}", other.address);
    assert_eq!(told["cut"], json!(["call letters", "call store", gone, "env OTHER"]), "{told}");
    let told = status(&host, "letters");
    assert_eq!(told["permissions"], json!(["publish order.created", "subscribe order.*"]), "{told}");
    let whole = host.admin("GET", "/v1/status", b"").json();
    assert_eq!(whole["data"]["ceiling"], file, "{whole}");
    let warning = host.log.expect_line("does not allow `dialler` all of it");
    assert!(warning.contains(file) && warning.contains(&gone), "{warning}");
    let row = host.report["services"].as_array().unwrap().iter().find(|row| row["name"] == "store").unwrap();
    assert_eq!(row["cut"], json!(["keyvalue cache (read-write)"]), "{row}");
    let shown = row["permissions"].to_string() + &host.report["services"][0]["permissions"].to_string();
    assert!(shown.contains("keyvalue cache (read)") && shown.contains("env LOG_LEVEL"), "{shown}");
    assert!(!shown.contains("OTHER"), "{shown}");

    // At call time: the guest is refused, and the log names file and line.
    let dial =
        |to: &Upstream| ask(&host, "dialler", "GET", &format!("/fetch?url={}", quoted(&to.url("/"))), &json!({}));
    assert_eq!(dial(&allowed).status, 200);
    let refused = dial(&other);
    assert_eq!((refused.status, refused.text().trim()), (403, "ErrorCode::HttpRequestDenied"));
    assert_eq!(other.connections(), 0, "nothing may leave the host");
    let line: Value = serde_json::from_str(&host.log.expect_line("may not reach")).unwrap();
    assert_eq!(line["allow"], format!("net = [\"{}\"]", other.address));
    let message = line["message"].as_str().unwrap();
    let place = format!("to `ceiling` in {file}");
    assert!(message.contains("the operator's ceiling") && message.ends_with(&place), "{message}");
    let call = |url: &str| ask(&host, "dialler", "GET", &format!("/fetch?url={}", quoted(url)), &json!({}));
    assert_eq!(call("http://store.internal/other").text().trim(), "ErrorCode::HttpRequestDenied");
    assert_ne!(call("http://store.internal/kv/get").text().trim(), "ErrorCode::HttpRequestDenied");
    let key = json!({ "store": "cache", "key": "k", "value": "v" });
    until("Redis answers in time", || ask(&host, "store", "POST", "/kv/get", &key).status == 200);
    let written = ask(&host, "store", "POST", "/kv/set", &key);
    assert!(written.status == 409 && written.text().contains("denied"), "{}", written.text());
    assert!(!written.text().contains("ceiling"), "a guest sees only that it was refused: {}", written.text());
    host.log.expect_line("`keyvalue cache (read-write)`: the operator's ceiling");
    let event = |topic: &str| ask(&host, "letters", "POST", "/publish", &json!({ "topic": topic, "body": {} }));
    assert_eq!(event("order.paid").json()["error"]["variant"], "access-denied");
    until("Redis takes it in time", || event("order.created").status == 200);

    // Neither an applied manifest nor a ceiling in it gives more.
    let apply = |rest: &str| {
        let text = fs::read_to_string(write_manifest(host.folder.path(), rest)).unwrap();
        host.apply(&text)
    };
    let wider = apply(&manifest(&format!("[\"{}\", \"{}\", \"a.example:443\"]", allowed.address, other.address), ""));
    assert_eq!(wider.status, 200, "{}", wider.text());
    assert_eq!((dial(&allowed).status, dial(&other).status, other.connections()), (200, 403, 0));
    assert!(status(&host, "dialler")["cut"].to_string().contains("a.example:443"));
    let own = apply(&manifest(&wanted, "[ceiling]\nnet = true\n"));
    assert!(own.status == 422 && own.text().contains("run --ceiling FILE"), "{}", own.text());

    // What could use nothing of what it imports does not run.
    let import = apply(&manifest(&wanted, &hosted("idle", "probe_kv", "keyvalue = { more = \"read\" }")));
    assert_eq!(import.status, 403, "{}", import.text());
    let told = import.json()["data"]["permissions"][0].as_str().unwrap().to_owned();
    assert!(told.contains("archipel:keyvalue/store") && told.contains(file), "{told}");
    assert_eq!(dial(&allowed).status, 200, "what ran still runs");
}

fn select(host: &Host) -> u16 {
    ask(host, "probe", "POST", "/pg/execute", &json!({ "database": "shop", "sql": "select 1" })).status
}

fn accept(host: &Host, needs: &str) -> Answer {
    let build = needing(&wasm("probe_pg"), needs);
    host.admin("POST", "/v1/services/probe/swap?acceptPermissions=true", &build)
}

#[test]
fn an_operator_accepts_only_what_is_within_the_ceiling_and_a_tighter_one_takes_it_back() {
    let manifest = ["[postgres.shop]\n", &hosted("probe", "hello", ""), &hosted("other", "hello", "")].concat();
    let wide = "postgres = { \"*\" = \"read-write\" }\ncall = [\"other\"]";
    let host = under(wide, place(), &manifest);
    let first = version(&ask(&host, "probe", "GET", "/", &json!({})));
    let (database, beyond) = ("postgres = { shop = \"read-write\" }", "net = [\"a.example:443\"]");

    let refused = accept(&host, &format!("{database}\n{beyond}"));
    assert_eq!(refused.status, 403, "{}", refused.text());
    let reason = refused.json()["data"]["permissions"][0].as_str().unwrap().to_owned();
    assert!(reason.contains(beyond) && reason.contains("the operator's ceiling"), "{reason}");
    let told = host.swap("probe", &needing(&wasm("hello"), &format!("{database}\n{beyond}")));
    assert_eq!((told.status, &told.json()["data"]["beyondCeiling"]), (403, &json!([beyond])), "{}", told.text());
    assert_eq!(told.json()["data"]["permissions"], json!([database, beyond]));
    assert_eq!((host.live("probe"), &status(&host, "probe")["accepted"]), (first.clone(), &json!([])));

    let done = accept(&host, database);
    assert_eq!((done.status, select(&host)), (200, 200), "{}", done.text());
    assert_eq!(done.json()["data"]["accepted"], json!([database]), "exactly the missing line");

    let host = under("call = [\"other\"]", host.killed(), &manifest);
    let told = status(&host, "probe");
    assert_eq!((&told["permissions"], &told["accepted"][0]["beyondCeiling"]), (&json!([]), &json!(true)), "{told}");
    assert_eq!(host.live("probe"), first, "the build that needs it gives way to the manifest's file");
    host.log.expect_line("the operator's ceiling does not allow an accepted permission");
    let rolled = host.admin("POST", "/v1/services/probe/swap", &needing(&wasm("probe_pg"), database));
    assert!(rolled.status == 403 && rolled.text().contains("ceiling"), "{}", rolled.text());

    let host = under(wide, host.killed(), &manifest);
    assert_eq!((select(&host), &status(&host, "probe")["accepted"][0]["beyondCeiling"]), (200, &Value::Null));
}

#[test]
fn mistakes_of_a_ceiling_are_told_all_at_once_and_what_it_takes_before_anything_runs() {
    let folder = place();
    let manifest = write_manifest(
        folder.path(),
        &hosted("probe", "probe_net", "net = [\"127.0.0.1:8\", \"127.0.0.1:9\"], passwords = true"),
    );
    let manifest = manifest.to_str().unwrap();
    let refused = |command: &str, lines: &str| {
        let file = ceiling(folder.path(), lines);
        Command::new(&[command, manifest, "--ceiling", file.to_str().unwrap()]).refused()
    };
    for command in ["run", "check"] {
        let told = refused(command, "nett = [\"a\"]\npublish = [\"Order\"]\nuse = \"x\"\n[services.a]\n");
        assert!(told.contains("ceiling.toml has 4 problems"), "{told}");
        for line in [
            "2:1 ceiling.nett: unknown key; did you mean `net`?",
            "3:12 ceiling.publish[0]",
            "4:7 ceiling.use",
            "5:2 services: belongs in a manifest",
        ] {
            assert!(told.contains(line), "{command}: {line} in {told}");
        }
    }
    let nowhere = Command::new(&["run", manifest, "--ceiling", "nowhere.toml"]).refused();
    assert!(nowhere.contains("nowhere.toml") && nowhere.contains("cannot read it"), "{nowhere}");
    let file = ceiling(folder.path(), "net = [\"127.0.0.1:8\"]");
    let file = file.to_str().unwrap();
    let checked = Command::new(&["check", manifest, "--ceiling", file]).json();
    let warnings = checked["warnings"].to_string();
    assert!(warnings.contains("cut: net 127.0.0.1:9, passwords"), "{warnings}");
    assert_eq!(Command::new(&["check", manifest]).json()["warnings"], json!([]));
    let explain = ["explain", manifest, "--service", "probe", "--net", "127.0.0.1:9"];
    assert_eq!(Command::new(&explain).json()["allowed"], true);
    let done = Command::new(&[&explain[..], &["--ceiling", file]].concat()).done();
    let told: Value = serde_json::from_str(&done.output).unwrap();
    assert_eq!((done.code, &told["allowed"]), (1, &json!(false)), "{told}");
    assert!(told["to"].as_str().unwrap().ends_with("ceiling.toml"), "{told}");
}

#[test]
fn a_service_that_may_reach_everything_is_marked_unless_a_ceiling_holds_it() {
    let manifest = ["[host]\nallow_unrestricted = true\n", &hosted("probe", "hello", "net = true")].concat();
    let host = Host::running(&manifest);
    assert_eq!(host.report["services"][0]["unrestricted"], true, "{}", host.report);
    assert_eq!(status(&host, "probe")["unrestricted"], true);
    let line: Value = serde_json::from_str(&host.log.expect_line("\"unrestricted\":true")).unwrap();
    assert_eq!((&line["level"], &line["service"]), (&json!("error"), &json!("probe")), "{line}");
    let folder = host.stop();
    let file = write_manifest(folder.path(), &manifest);
    assert_eq!(Command::new(&["check", file.to_str().unwrap()]).json()["unrestricted"], true);

    let host = under("net = [\"*.example.com:443\"]", folder, &manifest);
    let told = status(&host, "probe");
    assert_eq!((&told["unrestricted"], &told["permissions"]), (&json!(false), &json!(["net *.example.com:443"])));
    assert_eq!(told["cut"], json!(["net: everything"]), "{told}");
    let log = host.log.text();
    assert!(!log.contains("\"unrestricted\":true") && !log.contains("reaches everything"), "{log}");
}
