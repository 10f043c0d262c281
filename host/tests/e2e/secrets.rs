//! Words that must stay where they are: in no line of the log, in no answer, in no error,
//! however much is logged.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;

use crate::harness::{
    Connection, Host,
    h2::{END_HEADERS, HEADERS, PREFACE, SETTINGS, field, frame, get},
    shop,
};

const CANARY: &str = "canary";
const PROBE: &str = r#"
[services.probe]
component = "COMPONENTS/probe.wasm"
env = { TOKEN = "canary-of-a-guest" }
permissions = { env = ["TOKEN"] }
[[routes]]
path = "/{*rest}"
service = "probe"
public = true
"#;

const HEADERS_WITH_SECRETS: [(&str, &str); 4] = [
    ("content-type", "application/json"),
    ("cookie", "session=canary-cookie"),
    ("proxy-authorization", "Basic canary-proxy"),
    ("x-api-key", "canary-key"),
];

/// Everything that the host says to requests that hold secrets and go wrong in many ways.
fn answers(host: &Host) -> Vec<String> {
    let user = json!({ "email": "canary@shop.test", "name": "canary-name" }).to_string();
    let account = json!({ "email": "canary@shop.test", "name": "canary-name", "password": "canary-password" });
    let (account, login) = (account.to_string(), r#"{"email":"Canary@shop.test","password":"canary-password"}"#);
    // The answers that hold what was sent: the user as stored.
    assert_eq!(ask(host, true, "POST /api/auth/register?x=canary-query", &account).0, 201);
    assert_eq!(ask(host, true, "POST /api/auth/login?x=canary-query", login).0, 200);
    let mut requests = vec![
        ("POST /api/users".to_owned(), user.as_str()),
        ("POST /api/auth/register".to_owned(), &*account),
        ("POST /api/auth/login".to_owned(), "{\"email\":\"canary\",\"password\":\"canary-wrong-password\"}"),
        ("POST /api/users".to_owned(), "{\"canary-field\": \"canary-text"),
        ("GET /api/users?limit=canary-query".to_owned(), ""),
        ("GET /a#canary-fragment".to_owned(), ""),
        ("CANARY canary /".to_owned(), ""),
    ];
    for path in ["/panic", "/trap", "/trap-after-head", "/exit", "/no-answer", "/unknown", "/a/../x", "/a b"] {
        requests.push((format!("POST {path}?name=canary-query"), "canary-body"));
    }
    let asked = [true, false].into_iter().flat_map(|signed| {
        requests.iter().map(move |(start, body)| ask(host, signed, start, body).1).collect::<Vec<_>>()
    });
    asked.chain(raw(host)).collect()
}

/// The status, and everything that was said; with the operator's token or with one that is none.
fn ask(host: &Host, signed: bool, start: &str, body: &str) -> (u16, String) {
    let (method, target) = start.split_once(' ').expect("a method and a target");
    let mut connection = Connection::open(host.gateway);
    let forged = [&HEADERS_WITH_SECRETS[..], &[("authorization", "Bearer canary-token")]].concat();
    let headers = if signed { host.signed(&HEADERS_WITH_SECRETS) } else { forged };
    connection.request(method, target, &headers, body.as_bytes());
    let answer = connection.answer(false).expect("an answer");
    (answer.status, format!("{:?} {}", answer.headers, answer.text()))
}

/// Heads and frames that no proper client sends, with secrets in them.
fn raw(host: &Host) -> Vec<String> {
    let heads = [
        "GET /?canary HTTP/1.1\r\nhost: a\r\nauthorization: canary\x01\r\n\r\n".to_owned(),
        "GET /?canary HTTP/1.1\r\nhost: canary a\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz canary\r\n".to_owned(),
        "canary\r\n\r\n".to_owned(),
    ];
    let blocks = [
        get(b"/?name=canary", b"a"),
        get(b"/ ?canary", b"a"),
        get(b"/\xff?canary", b"a"),
        get(b"canary", b"a"),
        get(b"/", b"canary@a b"),
        [get(b"/", b"a"), field("Authorization", b"canary")].concat(),
        [get(b"/", b"a"), field("authorization", b"canary\0")].concat(),
        [get(b"/", b"a"), field("connection", b"canary")].concat(),
        [get(b"/", b"a"), field("content-length", b"canary")].concat(),
    ];
    let frames = blocks
        .iter()
        .map(|block| [PREFACE, &frame(SETTINGS, 0, 0, b""), &frame(HEADERS, END_HEADERS | 1, 1, block)].concat());
    let sent = heads.into_iter().map(String::into_bytes).chain(frames);
    sent.map(|bytes| {
        let mut socket = TcpStream::connect(host.gateway).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // HTTP/2 stays open: what came in time is all there is.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .collect()
}

#[test]
fn nothing_secret_is_logged_or_answered_at_any_level() {
    for level in ["info", "debug", "trace"] {
        let environment = [("ARCHIPEL_LOG", level), ("SECRET", "canary-in-the-environment")];
        let manifest = format!("{}{PROBE}", shop::manifest("", ""));
        let started = Host::start_with(shop::open_folder(), &manifest, &environment);
        let mut host = started.unwrap_or_else(|failed| panic!("{}", failed.errors)).for_admin();
        let token = host.signed(&[])[0].1.strip_prefix("Bearer ").expect("a token").to_owned();
        for answer in answers(&host) {
            let hit = answer.match_indices(CANARY).next();
            assert!(hit.is_none(), "at {level}: {answer}");
        }
        assert_eq!(host.get("/env").json(), json!({ "TOKEN": "canary-of-a-guest" }));
        host.signal("TERM");
        assert!(host.ended().success());
        let said = format!("{}\n{}", host.log.ended(), host.errors.ended());
        let hits: Vec<&str> = said.lines().filter(|line| line.contains(CANARY) || line.contains(&token)).collect();
        assert!(hits.is_empty(), "at {level}: {hits:#?}");
        assert!(said.lines().count() > 10, "something was logged");
    }
}

#[test]
fn the_password_of_a_database_is_never_told() {
    let manifest = shop::manifest("", "url = { env = \"DATABASE\" }");
    for url in [
        "postgres://canary-user:canary-password@127.0.0.1:1/canary-database",
        "postgres://canary-user:canary-password@127.0.0.1:notaport/things",
        "canary-password",
        "http://canary-user:canary-password@127.0.0.1/",
    ] {
        let environment = [("ARCHIPEL_LOG", "trace"), ("DATABASE", url)];
        let said = match Host::start_with(tempfile::tempdir().unwrap(), &manifest, &environment) {
            Ok(host) => {
                let host = host.for_admin();
                let answers = [host.get("/api/users").text(), host.get("/health").text()];
                format!("{answers:?}\n{}\n{}\n{}", host.report, host.log.text(), host.errors.text())
            }
            Err(failed) => {
                assert!(!failed.errors.is_empty(), "{url}: it says why");
                format!("{}\n{}", failed.log, failed.errors)
            }
        };
        assert!(!said.contains("canary-password"), "{url}: {said}");
    }
}
