//! `archipel explain` says what the server does, by the same code.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Command, Connection, Host, archipel, upstream::quoted, wait, write_manifest};

const MANIFEST: &str = r#"
[gateway]
listen = "127.0.0.1:0"
auth = "main"
limit = "1000/min"
body_limit = "1KiB"

[auth.main]
issuer = "archipel"
audience = "test"
keys = { generate = true }

[services.probe]
component = "COMPONENTS/hello.wasm"

[services.net]
component = "COMPONENTS/probe_net.wasm"
permissions = { net = ["api.example.com:443", "127.0.0.1:9"], call = ["probe"] }

[[routes]]
path = "/open"
service = "probe"
public = true

[[routes]]
path = "/api/items/{id}"
methods = ["GET"]
service = "probe"
limit = "5/min"
timeout = "3s"

[[routes]]
path = "/api/{*rest}"
service = "net"
"#;

/// The decision, and whether the command exits 0.
#[track_caller]
fn explained(arguments: &[&str]) -> (Value, bool) {
    let done = Command::new(&[&["explain"], arguments].concat()).done();
    let told = serde_json::from_str(&done.output).unwrap_or_else(|_| panic!("{}{}", done.output, done.errors));
    (told, done.code == 0)
}

fn token(manifest: &str, role: &str) -> String {
    let mut sign = archipel();
    sign.args(["token", "sign", manifest, "--sub", "7", "--role", role]);
    String::from_utf8(sign.output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn what_explain_says_is_what_the_server_answers() {
    let host = Host::running(MANIFEST);
    let manifest = host.folder.path().join("manifest.toml");
    let manifest = manifest.to_str().unwrap();
    let (good, bad) = (token(manifest, "admin"), "a.b.c".to_owned());
    let table = [
        ("GET", "/open", None),
        ("GET", "/open/", None),
        ("GET", "/api/items/7", None),
        ("GET", "/api/items/7", Some(&good)),
        ("HEAD", "/api/items/7?a=b", Some(&good)),
        ("GET", "/api/items/7", Some(&bad)),
        ("POST", "/api/items/7", Some(&good)),
        ("OPTIONS", "/api/items/7", Some(&good)),
        ("GET", "/nowhere", None),
        ("GET", "/nowhere", Some(&good)),
        ("GET", "/api/items/%2e%2e", Some(&good)),
        ("GET", "/api//items", Some(&good)),
        ("GET", "/health/live", None),
        ("GET", "/.well-known/jwks.json", None),
        ("POST", "/openapi.json", None),
    ];
    for (method, path, token) in table {
        let mut arguments = vec![manifest, method, path];
        arguments.extend(token.iter().flat_map(|token| ["--token", token.as_str()]));
        let (told, reached) = explained(&arguments);
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = host.send(method, path, &headers, b"");
        let status = told["status"].as_u64().unwrap();
        // Past the gateway it is the service's word: a 404 of the probe, for one.
        let by_service = answer.header("x-service").is_some() || answer.status < 400;
        assert_eq!(reached, by_service, "{method} {path}: {told} against {answer:?}");
        assert!(reached || status == u64::from(answer.status), "{method} {path}: {told} against {answer:?}");
    }
}

#[test]
fn the_winner_is_named_with_what_it_shadows_and_who_may() {
    let folder = crate::harness::place();
    let manifest = write_manifest(folder.path(), MANIFEST);
    let manifest = manifest.to_str().unwrap();
    let (told, reached) = explained(&[manifest, "GET", "/api/items/%61"]);
    assert!(!reached);
    assert_eq!((&told["path"], &told["status"]), (&json!("/api/items/a"), &json!(401)));
    let route = &told["route"];
    assert_eq!((&route["key"], &route["target"]), (&json!("routes[1]"), &json!("service probe")));
    assert_eq!((&route["timeoutMs"], &route["bodyLimitBytes"]), (&json!(3000), &json!(1024)));
    assert_eq!(told["shadowed"], json!(["/api/{*rest} (routes[2])"]));
    assert_eq!(
        told["limits"],
        json!(["1000/min for each address, over all routes", "5/min for each user, on this route"])
    );
    assert_eq!(told["authentication"], json!({"public": false, "auth": "main"}));
    assert!(!folder.path().join(".archipel").exists(), "no side effects");

    let token = token(manifest, "admin");
    let (told, reached) = explained(&[manifest, "GET", "/api/items/a", "--token", &token]);
    assert!(reached, "{told}");
    assert_eq!((&told["authentication"]["subject"], &told["authentication"]["roles"]), (&json!("7"), &json!("admin")));
    let (told, _) = explained(&[manifest, "GET", "/api/items/a", "--token", "x"]);
    assert!(told["authentication"]["refused"].is_string(), "{told}");
}

#[test]
fn an_outbound_decision_names_its_rule_and_the_line_that_would_allow_it() {
    let folder = crate::harness::place();
    let manifest = write_manifest(folder.path(), MANIFEST);
    let manifest = manifest.to_str().unwrap();
    let net = |service: &str, target: &str| explained(&[manifest, "--service", service, "--net", target]);
    let (told, allowed) = net("net", "127.0.0.1:9");
    assert_eq!((&told["allowed"], allowed), (&json!(true), true), "{told}");
    let (told, allowed) = net("net", "127.0.0.1:10");
    assert_eq!((&told["allowed"], allowed), (&json!(false), false), "{told}");
    assert!(told["add"].as_str().unwrap().contains("127.0.0.1:10"), "{told}");
    let (told, _) = net("probe", "api.example.com:443");
    assert_eq!(told["allowed"], json!(false));
    let (told, _) = net("net", "probe.internal");
    assert!(told["add"].as_str().unwrap().contains("call"), "{told}");
    let wrong = Command::new(&["explain", manifest, "--service", "nobody", "--net", "a.b:1"]).done();
    assert_eq!(wrong.code, 1);
    assert!(wrong.errors.contains("nobody"), "{}", wrong.errors);
}

#[test]
fn half_a_question_is_a_wrong_usage() {
    let folder = crate::harness::place();
    let manifest = write_manifest(folder.path(), MANIFEST);
    fs::metadata(&manifest).unwrap();
    let table: [&[&str]; 3] = [&["GET"], &["--net", "a.b:1"], &[]];
    for arguments in table {
        let mut child = archipel().arg("explain").arg(&manifest).args(arguments).spawn().unwrap();
        assert_eq!(wait(&mut child).code(), Some(2), "{arguments:?}");
    }
}

/// Numbers that are the same in every run (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn some<'a>(&mut self, of: &[&'a str], at_most: usize) -> Vec<&'a str> {
        (0..self.below(at_most + 1)).map(|_| of[self.below(of.len())]).collect()
    }
}

const ENTRIES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1:9",
    "127.0.0.0/8",
    "127.0.0.0/9:10",
    "[::1]",
    "[::1]:10",
    "localhost",
    "localhost:9",
    "http://127.0.0.1:10",
    "https://localhost:9",
    "0.0.0.0/0",
];
/// All of them on this machine, where nobody listens at ports 9 and 10.
const PLACES: &[&str] = &["127.0.0.1", "127.0.0.2", "127.200.0.1", "[::1]", "localhost", MAPPED];
/// `wasi:sockets` takes none of these, whoever asks.
const MAPPED: &str = "[::ffff:127.0.0.1]";

/// Ten services that ask over HTTP and ten that open sockets, each with permissions of its own.
fn random_services(dice: &mut Dice) -> String {
    let service = |number: usize| {
        let component = if number < 10 { "probe_net" } else { "probe_sockets" };
        let (allow, deny, sockets) = (dice.some(ENTRIES, 6), dice.some(ENTRIES, 1), dice.below(5) > 0);
        format!(
            "[services.s{number}]\ncomponent = \"COMPONENTS/{component}.wasm\"\n\
             permissions = {{ sockets = {sockets}, net = {{ allow = {allow:?}, deny = {deny:?} }} }}\n\
             [[routes]]\nhost = \"s{number}.test\"\npath = \"/{{*rest}}\"\nservice = \"s{number}\"\npublic = true\n"
        )
    };
    (0..20).map(service).collect()
}

/// What the running service says: whether it was let through, to find nobody there.
fn is_let_through(host: &Host, number: usize, target: &str) -> bool {
    let what = if number < 10 { "fetch?url=" } else { "connect?to=" };
    let mut connection = Connection::open(host.gateway);
    connection.write(format!("GET /{what}{} HTTP/1.1\r\nhost: s{number}.test\r\n\r\n", quoted(target)).as_bytes());
    let answer = connection.answer(false).expect("an answer");
    let text = answer.text();
    assert_eq!(answer.status, 403, "nobody listens there: {text}");
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match (says(&["refused", "Refused"]), says(&["enied"])) {
        (true, false) => true,
        (false, true) => false,
        _ => panic!("{target}: {text}"),
    }
}

#[test]
fn what_explain_says_of_a_thousand_random_targets_is_what_the_running_host_does() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let host = Host::running(&random_services(&mut dice));
    let manifest = host.folder.path().join("manifest.toml");
    let mut allowed = 0;
    for number in 0..20 {
        let (flag, name) = (if number < 10 { "--net" } else { "--socket" }, format!("s{number}"));
        let targets: Vec<String> = (0..50)
            .map(|_| {
                let places = if number < 10 { PLACES } else { &PLACES[..PLACES.len() - 1] };
                let (place, port) = (places[dice.below(places.len())], 9 + dice.below(2));
                let scheme = if number < 10 { ["http://", "https://"][dice.below(2)] } else { "" };
                format!("{scheme}{place}:{port}")
            })
            .collect();
        let mut arguments = vec![manifest.to_str().unwrap(), "--service", &name];
        arguments.extend(targets.iter().flat_map(|target| [flag, target]));
        let (told, _) = explained(&arguments);
        for (target, told) in targets.iter().zip(told.as_array().unwrap()) {
            let through = is_let_through(&host, number, target);
            assert_eq!(told["allowed"], json!(through), "{name} {target}: {told}\n{}", told["rule"]);
            allowed += usize::from(through);
        }
    }
    assert!((200..=800).contains(&allowed), "{allowed} of 1000 are allowed: too few of one kind");
}
