//! The commands: what a pipe gets, what a terminal gets, what each one promises.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::harness::{Command, Host, archipel, components, foreign, free, until, write_manifest};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn shop() -> String {
    repository().join("manifests/shop.toml").to_str().unwrap().to_owned()
}

fn wasm(name: &str) -> String {
    components().join(format!("{name}.wasm")).to_str().unwrap().to_owned()
}

#[test]
fn check_finds_the_shipped_manifests_right_and_leaves_nothing_behind() {
    for name in ["shop", "shop-ts", "hello"] {
        let file = repository().join(format!("manifests/{name}.toml"));
        let data = repository().join("manifests/.archipel");
        let before = data.exists();
        let checked = Command::new(&["check", file.to_str().unwrap()]).json();
        assert_eq!(checked["ok"], true);
        assert_eq!(data.exists(), before, "no side effects");
    }
}

#[test]
fn check_reports_the_mistakes_of_a_manifest_and_of_its_components_together() {
    let folder = tempfile::tempdir().unwrap();
    let rest = r#"
[gateway]
timeout = "5"
listen = "127.0.0.1:0"
[services.kv]
component = "COMPONENTS/probe_kv.wasm"
[services.gone]
component = "gone.wasm"
build = "just component gone"
[services.users]
component = "COMPONENTS/users.wasm"
permissions = { postgres = { users = "read" }, passwords = true, sign = { auth = "main", roles = ["user"] } }
[postgres.users]
[auth.main]
issuer = "archipel"
audience = "shop"
keys = { generate = true }
"#;
    let file = write_manifest(folder.path(), rest);
    let done = Command::new(&["check", file.to_str().unwrap()]).done();
    assert_eq!(done.code, 1);
    let document: Value = serde_json::from_str(&done.output).expect("one JSON document on standard output");
    let problems = document["problems"].as_array().unwrap();
    let found = |key: &str, text: &str| {
        let right = |problem: &&Value| problem["key"] == key && problem["message"].as_str().unwrap().contains(text);
        let problem = problems.iter().find(right).unwrap_or_else(|| panic!("no {key} with {text} in {document:#}"));
        assert!(problem["line"].is_u64() && problem["column"].is_u64(), "{problem}");
    };
    found("gateway.timeout", "unit");
    found("services.kv.component", "archipel:keyvalue/store");
    found("services.gone.component", "just component gone");
    found("services.users.permissions", "users = \"read-write\"");
    assert!(done.errors.contains("has 4 problems"), "the reason on standard error: {}", done.errors);
    assert!(!folder.path().join(".archipel").exists(), "no side effects");
}

#[test]
fn inspect_says_what_a_component_is_and_needs() {
    let users = Command::new(&["inspect", &wasm("users")]).json();
    assert!(users["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(users["wasi"], "0.2");
    assert!(users["needs"].as_str().unwrap().contains("postgres = { users = \"read-write\" }"));
    assert_eq!((&users["hasOpenapi"], &users["runnable"]), (&json!(true), &json!(true)));
    let imports = users["imports"].as_array().unwrap();
    let postgres = imports.iter().find(|import| import["interface"] == "archipel:postgres/client@0.1.0").unwrap();
    assert_eq!(postgres["grant"], "postgres = { NAME = \"read-write\" }");

    let plain = Command::new(&["inspect", &wasm("plain")]).json();
    assert_eq!((&plain["runnable"], &plain["needs"]), (&json!(true), &Value::Null));
    assert!(plain["imports"].as_array().unwrap().iter().all(|import| import["grant"] == ""), "{plain:#}");
    let sockets = Command::new(&["inspect", &wasm("probe_sockets")]).json();
    let raw = |import: &&Value| import["interface"].as_str().unwrap().starts_with("wasi:sockets/tcp@");
    let raw = sockets["imports"].as_array().unwrap().iter().find(raw).unwrap();
    let denied = json!("sockets = true; without it, each use is denied");
    assert_eq!((&sockets["runnable"], &raw["grant"]), (&json!(true), &denied));

    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("recorded.wasm");
    fs::write(&recorded, b"\0asm\x0d\0\x01\0\0\x1f\x09producers\x01\x08language\x01\x04Rust\x041.95").unwrap();
    let found = Command::new(&["inspect", recorded.to_str().unwrap()]).json();
    assert_eq!((&found["language"], &found["runnable"]), (&json!("Rust 1.95"), &json!(false)));
    // One that was made of an interpreter's memory: the language inside is the interpreter's.
    let made = b"\0asm\x0d\0\x01\0\0\x38\x09producers\x01\x0cprocessed-by\x01\x18component-init-transform\x050.2.0";
    let interpreter = b"\0asm\x01\0\0\0\0\x1f\x09producers\x01\x08language\x01\x04Rust\x041.75";
    let inside = [&[1, interpreter.len() as u8], &interpreter[..]].concat();
    let languages = [&[&made[..8], &inside].concat(), &[&made[..8], &inside, &made[8..]].concat()].map(|component| {
        fs::write(&recorded, component).unwrap();
        Command::new(&["inspect", recorded.to_str().unwrap()]).json()["language"].clone()
    });
    assert_eq!(languages, [json!("Rust 1.75"), Value::Null]);
    let module = folder.path().join("module.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    assert!(Command::new(&["inspect", module.to_str().unwrap()]).refused().contains("core module"));
    assert!(Command::new(&["inspect", "/nowhere.wasm"]).refused().contains("cannot read component `/nowhere.wasm`"));
}

/// Whether `value` has only keys that `schema` has, and all it requires.
fn follows(schema: &Value, value: &Value, at: &str) {
    if let Some(branches) = schema["anyOf"].as_array() {
        let shape = |schema: &&Value| (schema["type"] == "object") == value.is_object();
        return follows(branches.iter().find(shape).expect("a branch of its shape"), value, at);
    }
    match value {
        Value::Object(object) => {
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(object.contains_key(required.as_str().unwrap()), "{at} has no {required}");
            }
            for (key, value) in object {
                let of_name = Some(&schema["additionalProperties"]).filter(|schema| schema.is_object());
                let child = schema["properties"].get(key).or(of_name);
                follows(
                    child.unwrap_or_else(|| panic!("{at}.{key} is not in the schema")),
                    value,
                    &format!("{at}.{key}"),
                );
            }
        }
        Value::Array(items) => items.iter().for_each(|item| follows(&schema["items"], item, at)),
        _ => {}
    }
}

#[test]
fn schema_describes_the_shipped_manifests() {
    let schema = Command::new(&["schema"]).json();
    assert_eq!(schema["title"], "Archipel manifest");
    for name in ["shop", "shop-ts", "hello"] {
        let text = fs::read_to_string(repository().join(format!("manifests/{name}.toml"))).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        follows(&schema, &serde_json::to_value(manifest).unwrap(), name);
    }
}

#[test]
fn healthcheck_exits_0_for_a_healthy_host_and_1_for_anything_else() {
    let host = Host::probe("");
    let ready = |address| format!("http://{address}/health/ready");
    for address in [host.gateway, host.admin] {
        assert_eq!(Command::new(&["healthcheck", &ready(address)]).done().code, 0);
        assert_eq!(Command::new(&["healthcheck", &address.to_string()]).done().code, 0, "an address alone");
    }
    let missing = Command::new(&["healthcheck", &format!("http://{}/health/nothing", host.admin)]).refused();
    assert!(missing.contains("answered 404"), "{missing}");
    assert!(Command::new(&["healthcheck", &ready(free())]).refused().contains("is `archipel run` running?"));
    assert!(
        Command::new(&["healthcheck", "ftp://127.0.0.1/"]).refused().contains("must be an http:// or https:// URL")
    );
    // `localhost` is ::1 first on most systems, where nothing listens.
    let by_name = format!("http://localhost:{}/health/ready", host.gateway.port());
    assert_eq!(Command::new(&["healthcheck", &by_name]).done().code, 0);
}

#[test]
fn a_reader_that_leaves_is_no_failure_and_a_full_disk_stops_no_host() {
    let left = archipel().arg("schema").spawn().map(|mut child| {
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    let left = left.unwrap();
    assert_eq!((left.status.code(), left.stderr.as_slice()), (Some(0), &b""[..]));
    let full = |command: &mut std::process::Command| {
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).spawn().unwrap()
    };
    let refused = full(archipel().arg("schema")).wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot write to standard output"));

    for closed in [false, true] {
        let (folder, port) = (crate::harness::place(), free().port());
        let rest = format!("[gateway]\nlisten = \"127.0.0.1:{port}\"\n{}", crate::harness::probe(""));
        let manifest = write_manifest(folder.path(), &rest);
        let mut child = match closed {
            true => std::process::Command::new("/bin/sh")
                .args(["-c", "exec \"$0\" run \"$1\" >&- 2>&-"])
                .arg(archipel().get_program())
                .arg(manifest)
                .spawn()
                .unwrap(),
            false => full(archipel().arg("run").arg(manifest)),
        };
        until("it serves", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let address = ([127, 0, 0, 1], port).into();
        assert_eq!(crate::harness::exchange(address, "GET", "/", &[], b"").status, 200, "closed: {closed}");
        assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert!(crate::harness::wait(&mut child).success());
    }
}

#[test]
fn what_other_programs_call_run_is_answered_with_run_and_a_level_that_is_none_is_refused() {
    for word in ["start", "serve"] {
        let done = Command::new(&[word, "manifest.toml"]).done();
        assert_eq!((done.code, done.errors.contains("'run'")), (2, true), "{}", done.errors);
    }
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_manifest(folder.path(), &crate::harness::probe(""));
    let run = Command::with(&["run", manifest.to_str().unwrap()], &[("ARCHIPEL_LOG", "verbose")]);
    let refused = run.refused();
    assert!(refused.contains("`verbose` is no level") && refused.contains("info,gateway=debug"), "{refused}");
}

#[test]
fn apply_asks_the_host_where_its_manifest_says() {
    let (folder, port) = (crate::harness::place(), free().port());
    let rest = crate::harness::probe("");
    let file = write_manifest(folder.path(), &rest);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"127.0.0.1:{port}\"")),
    )
    .unwrap();
    let mut run = archipel();
    run.arg("run").arg(&file);
    let host = Host::spawned(run, folder).map_err(|failed| failed.errors).unwrap();
    assert_eq!(host.admin.port(), port);
    let applied = Command::with(&["apply", file.to_str().unwrap()], &[("ARCHIPEL_ADMIN_TOKEN", &host.admin_token())]);
    assert_eq!(applied.json()["services"][0]["name"], "probe");
}

#[test]
fn check_says_why_a_component_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = write_manifest(folder.path(), "[services.a]\ncomponent = \"/proc/self/mem\"\n");
    let refused = Command::new(&["check", manifest.to_str().unwrap()]).refused();
    assert!(refused.contains("cannot read component `/proc/self/mem`: Input/output error"), "{refused}");
}

#[test]
fn check_says_where_javascripts_fetch_event_makes_reuse_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let service =
        |name: &str, component: String, rest: &str| format!("[services.{name}]\ncomponent = \"{component}\"\n{rest}");
    let reused = "limits = { reuse = { requests = 8 } }\n";
    let rest = [
        service("event", foreign("javascript"), reused),
        service("fresh", foreign("javascript"), ""),
        service("rust", wasm("plain"), reused),
    ];
    let rest = rest.concat();
    let file = write_manifest(folder.path(), &rest);
    let checked = Command::new(&["check", file.to_str().unwrap()]).json();
    let of_reuse = |warning: &&Value| warning["key"].as_str().unwrap().ends_with(".limits.reuse");
    let told: Vec<_> = checked["warnings"].as_array().unwrap().iter().filter(of_reuse).collect();
    assert_eq!((told.len(), &told[0]["key"]), (1, &json!("services.event.limits.reuse")), "{checked:#}");
    let words = told[0]["message"].as_str().unwrap();
    assert!(words.contains("fetch event") && words.contains("npm package `archipel`"), "{words}");
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [&[][..], &["run"], &["check"], &["inspect"], &["healthcheck"], &["schema"]] {
        let done = Command::new(&[command, &["--help"]].concat()).done();
        assert_eq!(done.code, 0, "{command:?}");
        assert!(done.output.contains("Example:\n  archipel"), "{}", done.output);
    }
    assert!(Command::new(&["--version"]).done().output.starts_with("archipel "));
}

/// What `archipel` prints on a terminal, made by `script`; `None` where there is none.
fn on_a_terminal(arguments: &[&str], environment: &[(&str, &str)]) -> Option<String> {
    let binary = archipel().get_program().to_str().unwrap().to_owned();
    let line = [&[binary.as_str()], arguments].concat().join(" ");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    let output = script.output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}

#[test]
fn a_terminal_gets_tables_and_json_where_asked() {
    let inspect = wasm("plain");
    let Some(table) = on_a_terminal(&["inspect", &inspect], &[("NO_COLOR", "1")]) else { return };
    assert!(table.contains("wasi:http  0.2") && !table.contains('{') && !table.contains('\u{1b}'), "{table}");
    let json = on_a_terminal(&["inspect", &inspect, "--json"], &[]).expect("ran before");
    assert!(serde_json::from_str::<Value>(&json).is_ok(), "{json}");
    let checked = on_a_terminal(&["check", &shop()], &[]).expect("ran before");
    assert!(checked.contains("shop.toml: 4 services, 7 routes, no mistakes"), "{checked}");
}

const TWO: &str = r#"
[services.hello]
component = "COMPONENTS/hello.wasm"
[services.plain]
component = "COMPONENTS/plain.wasm"
[[routes]]
path = "/"
service = "hello"
public = true
[[routes]]
path = "/plain"
service = "plain"
public = true
"#;

#[track_caller]
fn cached(host: &Host) -> Vec<bool> {
    host.report["services"].as_array().unwrap().iter().map(|service| service["cached"].as_bool().unwrap()).collect()
}

#[test]
fn a_second_start_compiles_nothing_and_a_damaged_artifact_is_compiled_again() {
    let first = Host::running(TWO);
    assert_eq!(cached(&first), [false, false]);
    let second = Host::running_in(first.stop(), TWO);
    assert_eq!(cached(&second), [true, true]);

    let folder = second.stop();
    let artifacts = fs::read_dir(folder.path().join(".archipel/artifacts")).unwrap().map(|entry| entry.unwrap().path());
    for file in artifacts.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")) {
        let mut content = fs::read(&file).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(&file, content).unwrap();
    }
    let third = Host::running_in(folder, TWO);
    assert_eq!(cached(&third), [false, false], "never loaded");
    third.log.expect_line("damaged or not ours");
    assert_eq!(third.get("/plain").status, 200);
}

/// The rows of docs/manifest.md, one for each key of the schema.
fn rows(schema: &Value, key: &str, rows: &mut Vec<String>) {
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let default = match &child["default"] {
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
            Value::String(text) => format!("`\"{text}\"`"),
            other => format!("`{other}`"),
        };
        let description = child["description"].as_str().unwrap_or_default().replace('\n', " ");
        rows.push(format!("| `{key}` | {default} | {description} |"));
        rows_below(child, &key, rows);
    }
}

fn rows_below(schema: &Value, key: &str, all: &mut Vec<String>) {
    if schema["additionalProperties"].is_object() {
        rows(&schema["additionalProperties"], &format!("{key}.NAME"), all);
    }
    if schema["items"].is_object() {
        rows(&schema["items"], &format!("{key}[]"), all);
    }
    rows(&json!({ "properties": schema["properties"] }), key, all);
    schema["anyOf"].as_array().into_iter().flatten().for_each(|branch| rows_below(branch, key, all));
}

#[test]
fn the_manifests_reference_has_every_key_that_exists_and_no_other() {
    let mut expected = Vec::new();
    rows(&Command::new(&["schema"]).json(), "", &mut expected);
    expected.sort();
    expected.dedup();
    let text = fs::read_to_string(repository().join("docs/manifest.md")).unwrap();
    let (_, reference) = text.split_once("\n## Reference\n").expect("a reference");
    let mut written: Vec<String> =
        reference.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    written.sort();
    assert_eq!(written, expected, "write this into docs/manifest.md:\n{}", expected.join("\n"));
}
