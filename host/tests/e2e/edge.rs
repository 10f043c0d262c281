//! What comes in malformed never reaches a guest; what passes arrives as the gateway says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Connection, Host, by_quick_door, probe};

fn head(lines: &str) -> String {
    format!("GET /echo HTTP/1.1\r\nhost: a\r\n{lines}\r\n")
}

fn line(line: &str) -> String {
    format!("{line}\r\nhost: a\r\n\r\n")
}

fn post(lines: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: a\r\n{lines}")
}

/// What must be answered with this status, once, and then closed.
fn attacks() -> Vec<(u16, String)> {
    vec![
        (400, post("content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n")),
        (400, post("content-length: 3\r\ncontent-length: 3\r\n\r\nabc")),
        (400, post("content-length: 3, 3\r\n\r\nabc")),
        (400, post("content-length: +3\r\n\r\nabc")),
        (400, post("content-length: 0x3\r\n\r\nabc")),
        (400, post("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
        (400, post("transfer-encoding: identity\r\n\r\n")),
        (400, post("transfer-encoding : chunked\r\n\r\n0\r\n\r\n")),
        (400, "POST /echo HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        (400, head("x: a\nx-user-id: 1\r\n")),
        (400, head("x: a\rx-user-id: 1\r\n")),
        (400, head("x: a\r\n folded: b\r\n")),
        (400, head(" x: a\r\n")),
        (400, head("x : a\r\n")),
        (400, head("x: a\0b\r\n")),
        (400, head("host: a\r\n")),
        (400, head("host: b\r\n")),
        (400, "GET /echo HTTP/1.1\r\n\r\n".into()),
        (400, "GET /echo HTTP/1.1\nhost: a\n\n".into()),
        (400, "GET http://b/echo HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        (400, "GET http://u@a/echo HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        (400, line("GET /echo#x HTTP/1.1")),
        (400, line("GET /echo?a#x HTTP/1.1")),
        (400, line("GET  /echo HTTP/1.1")),
        (400, line("GET /echo HTTP/1.2")),
        (400, line("GET echo HTTP/1.1")),
        (400, line("CONNECT a:80 HTTP/1.1")),
        (400, line("TRACE /echo HTTP/1.1")),
        (400, line(&format!("{} /echo HTTP/1.1", "G".repeat(33)))),
        (414, line(&format!("GET /{} HTTP/1.1", "a".repeat(8 * 1024)))),
        (431, head(&"x: y\r\n".repeat(100))),
        (431, head(&format!("x: {}\r\n", "y".repeat(64 * 1024)))),
    ]
}

/// How often the access log names the guest; only routed requests do.
fn served(host: &Host) -> usize {
    host.log.text().lines().filter(|line| line.contains("\"durationMs\"") && line.contains("\"probe\"")).count()
}

#[test]
fn no_malformed_request_reaches_a_guest_nor_anything_behind_it() {
    let host = Host::probe("");
    for (status, attack) in attacks() {
        let mut connection = Connection::open(host.gateway);
        connection.write(attack.as_bytes());
        connection.write(b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = connection.answer(false).unwrap_or_else(|| panic!("no answer to {attack:?}"));
        assert_eq!(answer.status, status, "{attack:?}");
        assert_eq!(answer.header("x-service"), None, "{attack:?}");
        assert_eq!(answer.json()["success"], false);
        assert!(connection.closed(), "more than one answer to {attack:?}");
    }
    let last = host.get("/");
    host.log.expect_line(last.header("x-request-id").unwrap());
    assert_eq!(served(&host), 1, "{}", host.log.text());
}

#[test]
fn a_broken_body_reaches_a_guest_as_broken_and_nothing_follows_it() {
    let host = Host::probe("");
    for body in ["zz\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "0\r\ncontent-length: 5\r\n\r\n", "-1\r\n"]
    {
        let mut connection = Connection::open(host.gateway);
        connection.write(post("transfer-encoding: chunked\r\n\r\n").as_bytes());
        connection.write(format!("{body}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
        let answer = connection.answer(false).expect("an answer");
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
        assert!(connection.closed(), "something follows {body:?}");
    }
    assert_eq!(host.get("/").status, 200);
    assert!(!host.log.text().contains("/smuggled"), "{}", host.log.text());
}

#[test]
fn a_path_with_two_readings_is_refused_and_a_guest_sees_the_normal_form() {
    let host = Host::probe("");
    for path in [
        "/a/../echo",
        "/./echo",
        "/a/%2e%2e/echo",
        "/%2E/echo",
        "//echo",
        "/a//echo",
        "/a%2fecho",
        "/a%5cecho",
        "/a\\echo",
        "/echo;x=1",
        "/echo%3bx",
        "/echo%00",
        "/echo%0a",
        "/echo%zz",
        "/echo%2",
        "/echo%ff",
        "/echo%c0%ae",
        "/echo<",
        "/echo|",
        "/echo%7f",
    ] {
        let answer = host.get(path);
        // `%3b` is data, and stays encoded; `|` is one that browsers send as it is.
        let expected = if path.contains("%3b") || path.contains('|') { 404 } else { 400 };
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("x-service").is_some(), expected == 404, "{path}");
    }
    for (sent, seen) in
        [("/%65cho", "/echo"), ("/echo?n=%2e%2E/../;x", "/echo?n=%2e%2E/../;x"), ("/ech%6F?n=a%2fb", "/echo?n=a%2fb")]
    {
        assert_eq!(host.get(sent).json()["target"], seen, "{sent}");
    }
    assert_eq!(host.get("/%252e").status, 404, "nothing is decoded twice");
}

#[test]
fn only_the_gateways_own_hosts_are_answered() {
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\nhosts = [\"shop.test\"]\n";
    let host = Host::running(&format!("{gateway}{}", probe("")));
    let ask = |target: &str, name: &str| {
        let mut connection = Connection::open(host.gateway);
        connection.write(format!("GET {target} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n").as_bytes());
        connection.answer(false).expect("an answer")
    };
    for (target, name, status) in [
        ("/echo", "shop.test", 200),
        ("/echo", "SHOP.test:80", 200),
        ("http://shop.test/echo", "shop.test", 200),
        ("/echo", "evil.test", 421),
        ("/echo", "shop.test.evil.test", 421),
        ("http://evil.test/echo", "evil.test", 421),
        ("http://evil.test/echo", "shop.test", 400),
    ] {
        assert_eq!(ask(target, name).status, status, "{target} at {name}");
    }
    let seen = ask("http://shop.test/echo?n=1", "shop.test").json();
    assert_eq!((&seen["target"], &seen["authority"]), (&"/echo?n=1".into(), &"shop.test".into()));
}

/// The headers that `/echo` saw; panics when one came twice.
#[track_caller]
fn headers(echo: &Value) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for pair in echo["headers"].as_array().expect("a list") {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        assert_eq!(headers.insert(name.to_owned(), value.to_owned()), None, "{name} twice");
    }
    headers
}

#[test]
fn a_guest_receives_exactly_the_headers_that_may_pass() {
    let host = Host::probe("");
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let sent = [
        ("connection", "x-hop, authorization, cookie, content-type, traceparent, x-request-id, keep-alive, te"),
        ("connection", "X-Other-Hop"),
        ("x-hop", "gone"),
        ("x-other-hop", "gone"),
        ("keep-alive", "timeout=5"),
        ("te", "gzip"),
        ("trailer", "x-sum"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("proxy-authorization", "gone"),
        ("proxy-connection", "gone"),
        ("x-user-id", "1"),
        ("X-User-Roles", "admin"),
        ("x-user-anything", "1"),
        ("x-source-service", "orders"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-trace-id", "ffffffffffffffffffffffffffffffff"),
        ("traceparent", &parent),
        ("tracestate", "vendor=1"),
        ("x-request-id", "request-1"),
        ("authorization", "Bearer token"),
        ("cookie", "a=b"),
        ("content-type", "text/plain"),
        ("accept", "a/b"),
        ("x-anything", "passes"),
    ];
    let answer = host.send("POST", "/echo?n=1", &sent, b"body");
    assert_eq!(answer.header("x-trace-id"), Some(trace));
    assert_eq!(answer.header("x-request-id"), Some("request-1"));
    let seen = answer.json();
    assert_eq!((&seen["body"], &seen["scheme"]), (&"body".into(), &"http".into()));
    let mut headers = headers(&seen);

    let ours = headers.remove("traceparent").expect("one of ours");
    assert!(ours.starts_with(&format!("00-{trace}-")) && ours != parent, "{ours}");
    let address = host.gateway.to_string();
    let expected = [
        ("accept", "a/b"),
        ("authorization", "Bearer token"),
        ("content-length", "4"),
        ("content-type", "text/plain"),
        ("cookie", "a=b"),
        ("tracestate", "vendor=1"),
        ("x-anything", "passes"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", &address),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "request-1"),
    ];
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(headers, expected);
}

#[test]
fn an_invalid_trace_starts_a_new_one() {
    let host = Host::probe("");
    for invalid in [
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-xyz",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        let answer = host.send("GET", "/echo", &[("traceparent", invalid), ("tracestate", "a=1")], b"");
        let seen = headers(&answer.json());
        let trace = answer.header("x-trace-id").unwrap();
        assert!(seen["traceparent"].contains(trace) && !invalid.contains(trace), "{seen:?}");
        assert_eq!(seen.get("tracestate"), None);
    }
}

#[test]
fn a_guest_cannot_speak_for_the_connection_or_the_gateway() {
    let host = Host::probe("");
    let with = |name: &str, value: &str| host.get(&format!("/header?name={name}&value={value}"));
    // By plain values it learns of it when it has answered: `doors` has that.
    if !by_quick_door() {
        for refused in
            ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-authenticate", "http2-settings"]
        {
            assert_eq!(with(refused, "x").text(), "refused: HeaderError::Forbidden\n", "{refused}");
        }
        for (name, value) in
            [("x-a", "b%0d%0ax-evil:%201"), ("x-a", "b%0ax-evil:%201"), ("x-a%0d%0ax-evil", "1"), ("x-a", "b%0dc")]
        {
            let answer = with(name, value);
            assert_eq!(answer.text(), "refused: HeaderError::InvalidSyntax\n", "{name}: {value}");
            assert_eq!(answer.header("x-evil"), None);
        }
    }
    let reserved = [
        "te",
        "trailer",
        "x-user-id",
        "x-source-service",
        "x-service",
        "x-service-version",
        "x-trace-id",
        "x-request-id",
    ];
    for name in reserved {
        let answer = with(name, "trailers");
        assert_eq!(answer.status, 200);
        assert!(answer.headers.iter().all(|(_, value)| value != "trailers"), "{name}: {answer:?}");
    }
    let answer = with("x-probe", "passes");
    let mut names: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let expected =
        ["content-length", "date", "x-probe", "x-request-id", "x-service", "x-service-version", "x-trace-id"];
    assert_eq!(names, expected);
}
