//! What every answer carries: the envelope, the trace, the request's id, who gave it.

use serde_json::json;

use crate::harness::{
    Answer, Connection, Host, Shared,
    shop::{data, email, envelope, shop, trace_id},
};

static SHOP: Shared = Shared::new(|| shop("", ""));

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const JSON: (&str, &str) = ("content-type", "application/json");
const UNKNOWN: &str = "/api/users/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";

/// One request for each kind of answer: of the service, of the gateway, of the host's pages.
fn each_kind(host: &Host, headers: &[(&str, &str)]) -> Vec<(&'static str, Answer)> {
    let body = json!({"email": email("kind"), "name": "K"}).to_string();
    let big = vec![b' '; (2 << 20) + 1];
    let typed: Vec<_> = headers.iter().copied().chain([JSON]).collect();
    let ask = |method: &str, path: &str, body: &[u8]| host.send(method, path, &typed, body);
    let created = ask("POST", "/api/users", body.as_bytes());
    let location = created.header("location").expect("where it is").to_owned();
    vec![
        ("200", ask("GET", "/api/users", b"")),
        ("201", created),
        ("204", ask("DELETE", &location, b"")),
        ("400 of the service", ask("GET", "/api/users/7", b"")),
        ("404 of the service", ask("GET", UNKNOWN, b"")),
        ("405 of the service", ask("PATCH", UNKNOWN, b"{}")),
        ("409", {
            ask("POST", "/api/users", br#"{"email":"twice@example.com","name":"T"}"#);
            ask("POST", "/api/users", br#"{"email":"Twice@example.com","name":"T"}"#)
        }),
        ("415", host.send("POST", "/api/users", headers, b"{}")),
        ("400 of the gateway", ask("GET", "/api/../users", b"")),
        ("404 of the gateway", ask("GET", "/nowhere", b"")),
        ("405 of the gateway", ask("OPTIONS", "/api/users", b"")),
        ("405 of a page", ask("POST", "/health", b"")),
        ("413", ask("POST", "/api/users", &big)),
        ("health", ask("GET", "/health", b"")),
        ("openapi", ask("GET", "/openapi.json", b"")),
    ]
}

#[test]
fn every_answer_is_in_the_envelope_with_its_trace_and_its_request() {
    let host = SHOP.get();
    for (kind, answer) in each_kind(&host, &[]) {
        trace_id(&answer);
        let status: u16 = match kind {
            "health" | "openapi" => continue,
            "204" => {
                assert_eq!((answer.status, answer.body.len()), (204, 0));
                continue;
            }
            kind => kind[..3].parse().unwrap(),
        };
        envelope(&answer, status);
        assert_eq!(answer.header("allow").is_some(), status == 405, "{kind}");
        assert_eq!(answer.header("location").is_some(), status == 201, "{kind}");
        assert_eq!(answer.header("retry-after"), None, "{kind}");
    }
}

#[test]
fn even_what_never_became_a_request_is_answered_in_the_envelope() {
    let host = SHOP.get();
    let long = "x".repeat(20_000);
    let table = [
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /\u{7} HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx-a: {long}{long}{long}{long}\r\n\r\n"), 431),
        (
            "POST /api/users HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
            400,
        ),
    ];
    for (bytes, status) in table {
        let mut connection = Connection::open(host.gateway);
        connection.write(bytes.as_bytes());
        envelope(&connection.answer(false).expect("an answer"), status);
    }
}

#[test]
fn a_request_s_id_is_echoed_if_it_is_visible_ascii_and_replaced_if_not() {
    let host = SHOP.get();
    let longest = "x".repeat(128);
    for id in ["order-7", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", &longest] {
        for (kind, answer) in each_kind(&host, &[("x-request-id", id)]) {
            assert_eq!(answer.header("x-request-id"), Some(id), "{kind}");
        }
        host.log.expect_field("requestId", id);
    }
    for headers in [
        vec![("x-request-id", &*"x".repeat(129))],
        vec![("x-request-id", "two words")],
        vec![("x-request-id", "é")],
        vec![("x-request-id", "")],
        vec![("x-request-id", "one"), ("x-request-id", "one")],
        vec![],
    ] {
        let answer = host.send("GET", "/api/users", &headers, b"");
        let id: uuid::Uuid = answer.header("x-request-id").expect("an id").parse().expect("one of ours");
        assert_eq!(id.get_version_num(), 7, "{headers:?}");
    }
}

#[test]
fn a_trace_is_continued_or_begun_anew() {
    let host = SHOP.get();
    let parent = |version: &str, rest: &str| format!("{version}-{TRACE}-b7ad6b7169203331-01{rest}");
    let kept: [Vec<(&str, String)>; 8] = [
        vec![("x-trace-id", TRACE.into())],
        vec![("x-trace-id", TRACE.to_uppercase())],
        vec![("x-trace-id", "0af76519-16cd-43dd-8448-eb211c80319c".into())],
        vec![("x-trace-id", "0AF76519-16CD-43DD-8448-EB211C80319C".into())],
        vec![("traceparent", parent("00", ""))],
        vec![("traceparent", parent("00", "")), ("x-trace-id", "1".repeat(32))],
        vec![("traceparent", parent("cc", "-later"))],
        vec![("traceparent", parent("00", "")), ("tracestate", "vendor=1".into())],
    ];
    for headers in kept {
        assert_eq!(traced(&host, &headers), TRACE, "{headers:?}");
    }
    let ignored: [Vec<(&str, String)>; 14] = [
        vec![("x-trace-id", "0".repeat(32))],
        vec![("x-trace-id", "00000000-0000-0000-0000-000000000000".into())],
        vec![("x-trace-id", TRACE[1..].into())],
        vec![("x-trace-id", format!("{TRACE}0"))],
        vec![("x-trace-id", TRACE.replace('a', "g"))],
        vec![("x-trace-id", "0af7-651916cd-43dd-8448-eb211c80319c".into())],
        vec![("x-trace-id", "<script>alert(1)</script>".into())],
        vec![("x-trace-id", TRACE.into()), ("x-trace-id", TRACE.into())],
        vec![("traceparent", parent("ff", ""))],
        vec![("traceparent", parent("00", "-more"))],
        vec![("traceparent", parent("00", "").to_uppercase())],
        vec![("traceparent", parent("00", "")), ("traceparent", parent("00", ""))],
        vec![("traceparent", format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)))],
        // Given, though invalid: then the other one does not count.
        vec![("traceparent", "nonsense".into()), ("x-trace-id", TRACE.into())],
    ];
    for headers in ignored {
        let id = traced(&host, &headers);
        assert!(id != TRACE && headers.iter().all(|(_, value)| *value != id), "{headers:?}: {id}");
    }
    assert_ne!(traced(&host, &[]), traced(&host, &[]), "each request its own");
}

/// The trace id of three answers: in the head, in the envelope, in the log, on errors too.
#[track_caller]
fn traced(host: &Host, headers: &[(&str, String)]) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = host.send("GET", "/api/users", &headers, b"");
    data(&service, 200);
    let gateway = host.send("GET", "/nowhere", &headers, b"");
    envelope(&gateway, 404);
    let page = host.send("GET", "/health/live", &headers, b"");
    let ids = [&service, &gateway, &page].map(|answer| trace_id(answer).to_owned());
    for answer in [&service, &gateway, &page] {
        let echoed = |value: &str| answer.headers.iter().any(|(_, other)| other == value);
        assert!(headers.iter().all(|(_, value)| !echoed(value) || *value == trace_id(answer)), "{answer:?}");
    }
    host.log.expect_line(&ids[1]);
    if ids[0] != ids[1] {
        assert!(ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
    }
    ids[0].clone()
}

#[test]
fn an_answer_names_its_component_and_only_then() {
    let host = SHOP.get();
    for (kind, answer) in each_kind(&host, &[("x-service", "forged"), ("x-service-version", "forged")]) {
        let of_the_service =
            !(kind.contains("gateway") || matches!(kind, "405 of a page" | "413" | "health" | "openapi"));
        assert_eq!(answer.header("x-service"), of_the_service.then_some("users"), "{kind}");
        let version = answer.header("x-service-version");
        assert_eq!(version.is_some(), of_the_service, "{kind}");
        if let Some(digest) = version.map(|version| version.strip_prefix("1.0.0+").expect("the manifest's version")) {
            assert!(digest.len() == 12 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{digest}");
        }
    }
}

#[test]
fn nothing_names_a_component_where_the_operator_wants_it_so() {
    let host = shop("expose_version = false", "");
    for (kind, answer) in each_kind(&host, &[]) {
        let marks: Vec<_> = answer.headers.iter().filter(|(name, _)| name.starts_with("x-service")).collect();
        assert!(marks.is_empty(), "{kind}: {marks:?}");
    }
}
