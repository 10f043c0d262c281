//! What can be seen of a running host: traces and log lines as they come, and how much the log tells.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{
    Collector, Host,
    admin::{build, wasm},
    archipel, probe, until,
};

/// A command that goes on, and what it prints.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let mut command = archipel();
        command.args(arguments).args(["--admin", &format!("http://{}", host.admin)]);
        command.env("ARCHIPEL_ADMIN_TOKEN", host.admin_token()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no document: {line:?}"))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until somebody follows: whoever comes later misses what was before.
fn until_followed(host: &Host, paths: &[&str], mut follower: Following) -> Value {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let _ = sender.send(follower.next());
    });
    let found = until("a line for who follows", || {
        paths.iter().for_each(|path| drop(host.get(path)));
        receiver.try_recv().ok()
    });
    reading.join().unwrap();
    found
}

#[test]
fn requests_are_shown_as_they_end_filtered_by_route_time_and_failure() {
    let host = Host::running(&format!("{}[telemetry]\notlp = false\n", probe("")));
    let trace = until_followed(&host, &["/"], Following::start(&host, &["trace", "--count", "1"]));
    let names: Vec<_> = trace["spans"].as_array().unwrap().iter().map(|span| span["name"].clone()).collect();
    assert_eq!(names, ["GET /{*rest}", "GET /{*rest}"], "of the service and of the gateway");
    assert_eq!(trace["traceId"].as_str().unwrap().len(), 32);
    let failed = Following::start(&host, &["trace", "--errors"]);
    // Most requests must go well: the breaker would turn the next ones away, and those are failures of another kind.
    let trace = until_followed(&host, &["/trap", "/", "/"], failed);
    assert!(trace["spans"].as_array().unwrap().iter().any(|span| span["error"] == "trap"), "{trace}");
    let elsewhere = Following::start(&host, &["trace", "--route", "/{*rest}", "--slow", "30ms"]);
    let trace = until_followed(&host, &["/sleep?ms=40"], elsewhere);
    assert!(trace["spans"][0]["durationMs"].as_f64().unwrap() >= 30.0, "{trace}");
}

#[test]
fn the_log_is_followed_from_anywhere_and_tells_more_when_it_is_told_to() {
    let host = Host::probe("");
    let line = until_followed(&host, &["/"], Following::start(&host, &["logs", "--follow"]));
    assert_eq!((&line["message"], &line["path"]), (&json!("request"), &json!("/")));
    let done = |level: &str| host.command(&["log", level]).done();
    assert_eq!(done("warn").code, 0);
    assert_eq!(host.command(&["log"]).json()["level"], "warn");
    host.log.expect_line("what the log tells was changed");
    host.get("/not-told");
    let refused = done("loud");
    assert_eq!(refused.code, 1);
    assert!(refused.errors.contains("`loud` is no level"), "{}", refused.errors);
    assert_eq!(done("debug,access=info").code, 0);
    host.get("/told");
    host.log.expect_line("\"/told\"");
    assert!(!host.log.text().contains("/not-told"));
}

#[test]
fn swaps_are_traces_of_their_own_and_a_refused_one_says_why() {
    let collector = Collector::start();
    let host = Host::running(&format!("{}{}", probe(""), collector.telemetry("")));
    let wasm = wasm("probe");
    assert_eq!(host.swap("probe", &build(&wasm, 1)).status, 200);
    assert_ne!(host.swap("probe", b"no component").status, 200);
    until("both are told", || collector.spans().iter().filter(|span| span.name == "swap probe").count() == 2);
    let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "swap probe").collect();
    assert_eq!(spans.iter().map(|span| span.is_error).collect::<Vec<_>>(), [false, true]);
    assert!(spans[0].attributes["archipel.version"].starts_with("0.0.0+"), "{spans:#?}");
    assert_eq!(spans[1].attributes["error.type"], "compile");
}

#[test]
fn whoever_may_not_read_sees_nothing() {
    let token = "a-token-that-may-only-swap";
    let lines = format!("{}[admin.tokens.ci]\nenv = \"CI_TOKEN\"\nmay = [\"swap\"]\n", probe(""));
    let host = Host::start_with(crate::harness::place(), &lines, &[("CI_TOKEN", token)]).ok().expect("started");
    let header = format!("Bearer {token}");
    for (method, path) in [("GET", "/v1/traces"), ("GET", "/v1/logs"), ("GET", "/v1/log"), ("PUT", "/v1/log")] {
        let headers = [("authorization", &*header), ("content-type", "application/json")];
        let answer = crate::harness::exchange(host.admin, method, path, &headers, b"{\"level\":\"debug\"}");
        assert_eq!(answer.status, 403, "{method} {path}");
    }
}
