//! What goes wrong in a service in TypeScript: what a client is told of it, and what the log has.

use serde_json::{Value, json};

use super::HOST;
use crate::harness::{Answer, by_quick_engine};

/// The line of the log about a failure, which answers a 500 that tells nothing of it.
#[track_caller]
fn fails(path: &str, line: &str) {
    fails_with(&HOST.get().get(path), |told| told == line, line);
}

/// The same, where the engines have words of their own for what happened.
#[track_caller]
fn fails_at(path: &str, place: &str) {
    fails_with(&HOST.get().get(path), |told| told.ends_with(&format!("(at {place})")), place);
}

#[track_caller]
fn fails_with(answer: &Answer, is_it: impl Fn(&str) -> bool, line: &str) {
    let host = HOST.get();
    assert_eq!(answer.status, 500, "{line}: {answer:?}");
    let error = answer.json();
    assert_eq!(error["error"], "The service failed; quote the trace id when you report it");
    assert_eq!(error["traceId"].as_str(), answer.header("x-trace-id"));
    let trace = error["traceId"].as_str().unwrap();
    let told = |text: &str| {
        let told: Value = serde_json::from_str(text).ok()?;
        (told["traceId"] == trace && is_it(told["message"].as_str()?)).then_some(())
    };
    assert!(host.log.find(told).is_some(), "no `{line}` in\n{}", host.log.text());
}

#[test]
fn a_failure_is_a_500_and_one_line_with_its_place_in_the_source() {
    let host = HOST.get(); // one host, and so one log, from here to the end
    fails("/fail/throw", "Error: no price of tea (at price src/failures.ts:5)");
    fails(
        "/fail/reject",
        "TypeError: too late (at src/failures.ts:12); caused by Error: the clock (at src/failures.ts:12)",
    );
    fails("/fail/text", "thrown: two lines");
    fails_at("/fail/absent", "src/failures.ts:32");
    let denied = |to: &str, place: &str| match by_quick_engine() {
        true => format!(
            "TypeError: fetch of {to} failed: HTTP-request-denied: the host's log has the line that would allow it (at {place})"
        ),
        false => "TypeError: NetworkError when attempting to fetch resource".to_owned(),
    };
    fails("/fail/fetch", &denied("http://example.com/", "src/failures.ts:21"));
    fails("/fail/call", &denied("http://users.internal/", "src/failures.ts:22"));
    host.log.expect_line("net = [\\\"example.com:80\\\"]");
    host.log.expect_line("call = [\\\"users\\\"]");
    let told = host.get("/fail/told");
    assert_eq!((told.status, &told.json()["error"]), (418, &json!("It is a teapot")));
    // What adapts an engine to the host asks for folders when it prints its first line; nobody wanted a file.
    assert!(!host.log.text().contains("the file system"), "{}", host.log.text());
}

#[test]
fn a_body_that_is_no_json_is_the_clients_mistake_and_a_text_that_is_none_is_ours() {
    let host = HOST.get();
    for body in ["{\"a\":", "", "nul"] {
        let refused = host.send("POST", "/web/json", &[], body.as_bytes());
        let error = refused.json();
        assert_eq!((refused.status, &error["error"]), (400, &json!("The body is not JSON")), "{body:?}");
        assert_eq!(error["traceId"].as_str(), refused.header("x-trace-id"));
    }
    assert_eq!(host.json("POST", "/web/json", &json!([1])).json(), json!({ "given": [1] }));
    let failed = host.send("POST", "/web/parse", &[], b"{\"a\":");
    let is_it = |told: &str| told.starts_with("SyntaxError: ") && told.ends_with("(at src/web.ts:30)");
    fails_with(&failed, is_it, "SyntaxError: … (at src/web.ts:30)");
}

#[test]
fn a_loop_and_a_leak_end_with_one_line_and_the_next_request_is_answered() {
    let host = HOST.get();
    for (path, statuses) in [("/fail/loop", [504, 504]), ("/fail/memory", [502, 500])] {
        let failed = host.get(path);
        assert!(statuses.contains(&failed.status), "{path}: {failed:?}");
        assert_eq!(host.get("/").text(), "typescript\n");
        let words: &[&str] = match failed.status {
            504 => &["it used more CPU than `limits.cpu` allows", "it ran past its deadline"],
            502 => &["service `guest` trapped"],
            _ if by_quick_engine() => &["out of memory (at src/failures.ts:28)"],
            _ => &["out of memory"],
        };
        let trace = failed.header("x-trace-id").unwrap();
        let told = |text: &str| {
            let told: Value = serde_json::from_str(text).ok()?;
            let said = |of: &str| told[of].as_str().is_some_and(|said| words.iter().any(|word| said.contains(word)));
            (told["traceId"] == trace && told["level"] == "warn" && (said("error") || said("message"))).then_some(())
        };
        assert!(host.log.find(told).is_some(), "{path}: none of {words:?} in\n{}", host.log.text());
    }
}
