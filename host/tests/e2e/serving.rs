//! Components answer; what they do wrong stays with them.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{Connection, Host, until};

const HELLO: &str = r#"
[services.hello]
component = "COMPONENTS/hello.wasm"
version = "1.2.3"

[[routes]]
path = "/{*rest}"
service = "hello"
public = true
"#;

#[test]
fn a_component_answers_through_the_gateway_with_its_marks() {
    let host = Host::running(HELLO);
    let answer = host.get("/");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-service"), Some("hello"));
    let version = answer.header("x-service-version").expect("a version");
    let digest = version.strip_prefix("1.2.3+").expect("the manifest's version first");
    assert!(digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}");
    assert_eq!(answer.header("x-trace-id").map(str::len), Some(32));
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn a_standard_component_not_made_with_our_sdk_runs() {
    let host = Host::running(&HELLO.replace("hello.wasm", "plain.wasm"));
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn a_fresh_instance_for_each_request_keeps_nothing() {
    let host = Host::probe("");
    assert_eq!(host.get("/counter").text(), host.get("/counter").text());
}

#[test]
fn a_reused_instance_keeps_its_memory_as_long_as_the_manifest_says() {
    let host = Host::probe("limits = { reuse = { requests = 3, idle = \"10s\" } }");
    let counts: Vec<String> = (0..6).map(|_| host.get("/counter").text().trim().to_owned()).collect();
    assert_eq!(counts[..3], counts[3..], "every fourth request has an instance of its own: {counts:?}");
    assert_ne!(counts[0], counts[1]);
}

#[test]
fn an_idle_instance_is_given_up() {
    let host = Host::probe("limits = { reuse = { requests = 1000, idle = \"100ms\" } }");
    let first = host.get("/counter").text();
    until("the instance is reused", || host.get("/counter").text() != first);
    until("it is given up", || {
        // Longer than `idle` and the round of the one who looks for idle instances.
        thread::park_timeout(Duration::from_millis(1500));
        host.get("/counter").text() == first
    });
}

/// Each of these is the guest's failure: an error in the envelope, nothing internal in it, a
/// log line with the trace id, and the next request is answered.
#[track_caller]
fn fails_alone(host: &Host, path: &str, status: u16) {
    let answer = host.get(path);
    assert_eq!(answer.status, status, "{path}: {answer:?}");
    let body = answer.json();
    assert_eq!(body["success"], false);
    let trace = body["traceId"].as_str().expect("a trace id");
    assert_eq!(answer.header("x-trace-id"), Some(trace));
    for internal in ["wasm", "trap", "unreachable", "/work", "panicked", "backtrace"] {
        assert!(!answer.text().contains(internal), "{internal} in {}", answer.text());
    }
    let line = host.log.expect_line(trace);
    assert!(line.contains("probe"), "{line}");
    assert_eq!(host.get("/").status, 200, "after {path}");
}

#[test]
fn a_guest_that_fails_hurts_nobody() {
    let host = Host::probe("limits = { timeout = \"9s\", cpu = \"1s\" }");
    fails_alone(&host, "/trap", 502);
    fails_alone(&host, "/panic", 502);
    fails_alone(&host, "/recurse", 502);
    fails_alone(&host, "/no-answer", 502);
    fails_alone(&host, "/spin", 504);
    fails_alone(&host, "/exit", 502);
}

#[test]
fn a_guest_that_waits_past_its_timeout_is_given_up() {
    let host = Host::probe("limits = { timeout = \"4s\" }");
    fails_alone(&host, "/sleep?ms=60000", 504);
}

#[test]
fn a_panic_reaches_the_log_with_its_trace_id() {
    let host = Host::probe("");
    let trace = host.get("/panic").json()["traceId"].as_str().unwrap().to_owned();
    let line = host.log.find(|line| (line.contains(&trace) && line.contains("panicked")).then(|| line.to_owned()));
    assert!(line.is_some(), "{}", host.log.text());
}

#[test]
fn an_answer_cut_short_never_looks_whole() {
    let host = Host::probe("limits = { timeout = \"4s\" }");
    for path in ["/trap-after-head", "/spin-after-head", "/length?says=100&sends=10"] {
        let mut connection = Connection::open(host.gateway);
        connection.request("GET", path, &[], b"");
        match connection.answer(false) {
            // The host saw it before the head was sent.
            Some(answer) if answer.status >= 500 => assert!(answer.whole),
            Some(answer) => {
                assert!(!answer.whole, "{path}: {answer:?}");
                assert!(connection.closed(), "{path}: the connection goes on");
            }
            None => assert!(connection.closed(), "{path}: the connection goes on"),
        }
    }
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn the_length_in_an_answer_without_a_body_is_that_of_another_answer() {
    let host = Host::probe("limits = { reuse = { requests = 100, idle = \"1h\" } }");
    let count = || host.get("/counter").json()["count"].as_u64().unwrap();
    let before = count();
    for sends in [0, 10] {
        for (method, code) in [("HEAD", 200), ("HEAD", 404), ("GET", 304)] {
            let answer = host.send(method, &format!("/length?says=1234&sends={sends}&code={code}"), &[], b"");
            assert_eq!(
                (answer.status, answer.header("content-length")),
                (code, Some("1234")),
                "{method} {code}: {sends} bytes"
            );
        }
    }
    assert_eq!(count(), before + 1, "the same instance goes on");
}

#[test]
fn memory_is_refused_beyond_the_limit_and_the_guest_goes_on() {
    let host = Host::probe("limits = { memory = \"16MiB\" }");
    let got = host.get("/grow?mib=64").json();
    let mib = got["got"].as_u64().expect("a number");
    assert!(mib < 16, "{got}");
    assert_eq!(host.get("/grow?mib=4").status, 200);
}

#[test]
fn all_guests_together_stay_within_the_hosts_memory() {
    let host = Host::running(
        r#"
        [host]
        guest_memory = "64MiB"
        [services.probe]
        component = "COMPONENTS/probe.wasm"
        limits = { memory = "64MiB", timeout = "10s" }
        [[routes]]
        path = "/{*rest}"
        service = "probe"
        public = true
        "#,
    );
    thread::scope(|scope| {
        let greedy: Vec<_> = (0..8).map(|_| scope.spawn(|| host.get("/grow?mib=60&ms=500"))).collect();
        for answer in greedy {
            let status = answer.join().expect("answered").status;
            assert!(matches!(status, 200 | 502 | 503), "{status}");
        }
    });
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn output_goes_to_the_log_up_to_its_limit() {
    let host = Host::probe("");
    let answer = host.get("/stdout?bytes=1000000");
    assert_eq!(answer.status, 200);
    let trace = answer.header("x-trace-id").expect("a trace id").to_owned();
    let cut = host.log.find(|line| (line.contains(&trace) && line.contains("output cut")).then(|| line.to_owned()));
    assert!(cut.is_some());
    let logged: usize = host.log.text().lines().filter(|line| line.contains(&trace)).map(str::len).sum();
    assert!(logged < 128 << 10, "{logged} bytes logged");
}

#[test]
fn a_guest_sees_nothing_of_the_host() {
    let host = Host::probe("env = { GREETING = \"hi\" }\npermissions = { env = [\"GREETING\"] }");
    let env = host.get("/env").json();
    assert_eq!(env, json!({ "GREETING": "hi" }), "only what was granted");
    let files = host.get("/files").text();
    assert!(!files.contains("root:"), "{files}");
    assert!(!files.contains("written"), "{files}");
}

#[test]
fn neighbours_do_not_notice_guests_that_spin() {
    let host = Host::running(
        r#"
        [services.probe]
        component = "COMPONENTS/probe.wasm"
        limits = { timeout = "8s", cpu = "8s" }
        [services.hello]
        component = "COMPONENTS/hello.wasm"
        [[routes]]
        path = "/spin"
        service = "probe"
        public = true
        [[routes]]
        path = "/{*rest}"
        service = "hello"
        public = true
        "#,
    );
    let mut waits = Vec::new();
    let spinning = [(); 64].map(|()| {
        let mut connection = Connection::open(host.gateway);
        connection.request("GET", "/spin", &[], b"");
        connection
    });
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end || waits.is_empty() {
        let began = Instant::now();
        assert_eq!(host.get("/").status, 200);
        waits.push(began.elapsed());
    }
    drop(spinning);
    waits.sort();
    let (p99, worst) = (waits[waits.len() * 99 / 100], waits[waits.len() - 1]);
    // The bar is 50 ms and 250 ms on a quiet machine; this asserts that the neighbour is served
    // at all while 64 guests spin, which they do for eight seconds, and prints the figures.
    println!("neighbour: {} requests, p99 {p99:?}, worst {worst:?}", waits.len());
    assert!(worst < Duration::from_secs(6), "{worst:?}");
}

#[test]
fn four_hundred_traps_are_four_hundred_errors_and_a_living_host() {
    let host = Host::probe("");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| assert!(matches!(host.get("/trap").status, 502 | 503))));
        }
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    while host.get("/").status != 200 {
        assert!(Instant::now() < deadline, "the breaker never closed");
    }
}
