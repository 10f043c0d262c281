//! A service in TypeScript: what it may use, what goes wrong in one, and what frameworks find.

mod apps;
mod failures;

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Answer, Collector, Host, Shared, Span, foreign, in_typescript, place, tree, until};

/// One host for all: compiling the component takes seconds.
static HOST: Shared = Shared::new(beside_a_peer);

fn start() -> Host {
    granting("", "")
}

/// With a second service that it may call, which answers and handles events by `serve` and `consumer`. It is the same
/// for both engines.
fn beside_a_peer() -> Host {
    let peer = foreign("served_quick");
    let last = format!(
        r#"
[services.peer]
component = "{peer}"
limits = {{ timeout = "30s" }}
[services.peer.permissions]
postgres = {{ shop = "read-write" }}
keyvalue = {{ cache = "read-write" }}
publish = ["note.*"]
subscribe = ["note.*"]
"#
    );
    granting("call = [\"peer\"]", &last)
}

/// With this line among its permissions, and this at the end of its manifest.
fn granting(line: &str, last: &str) -> Host {
    let folder = place();
    fs::create_dir(folder.path().join("sql")).unwrap();
    fs::write(folder.path().join("sql/1.sql"), "create table notes (text text not null unique);").unwrap();
    let component = in_typescript("typescript");
    let manifest = format!(
        r#"
[postgres.shop]
migrations = "sql"
[redis.main]
[keyvalue.cache]
redis = "main"
[events]
redis = "main"
[services.guest]
component = "{component}"
env = {{ GREETING = "hello" }}
limits = {{ memory = "128MiB", reuse = {{ requests = 64, idle = "60s" }}, cpu = "2s", timeout = "30s" }}
events = {{ tries = 3, backoff = "10ms" }}
[services.guest.permissions]
postgres = {{ shop = "read-write" }}
keyvalue = {{ cache = "read-write" }}
publish = ["note.*"]
subscribe = ["note.*"]
env = ["GREETING"]
{line}
[[routes]]
path = "/{{*rest}}"
service = "guest"
public = true
{last}
"#
    );
    Host::running_in(folder, &manifest)
}

#[track_caller]
fn of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn what_the_web_has_is_there_and_what_is_not_granted_is_absent() {
    let all = of(&HOST.get().get("/web/all"));
    let expected = json!({
        "url": "http://host/b?c=1", "query": "2", "headers": [["a", "b"]], "clone": 2, "text": "é", "base64": "aGk=hi",
        "digest": [0xba, 0x78], "random": true, "id": true, "waited": true, "aborted": false,
        "env": "hello", "hidden": null,
    });
    assert_eq!(all, expected);
}

#[test]
fn a_line_of_the_log_has_its_level_and_its_fields() {
    let host = HOST.get();
    assert!(host.get("/web/log").status < 300);
    let line: Value = serde_json::from_str(&host.log.expect_line("look here=1")).unwrap();
    assert_eq!((&line["level"], &line["service"]), (&json!("warn"), &json!("guest")));
    assert_eq!(line["message"], json!("look here=1 text=a\\nb"), "a value stays in its line");
}

#[test]
fn bodies_come_whole_and_go_whole_or_as_a_stream() {
    let host = HOST.get();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let echoed = of(&host.send("POST", "/web/echo", &form, "a=1&b=%C3%A9".as_bytes()));
    assert_eq!(echoed, json!({ "type": form[0].1, "form": [["a", "1"], ["b", "é"]] }));
    let large = format!("a={}", "x".repeat(1 << 20));
    let echoed = host.send("POST", "/web/echo", &form, large.as_bytes());
    assert_eq!(of(&echoed)["form"][0][1].as_str().map(str::len), Some(1 << 20));
    assert_eq!(echoed.header("content-length"), Some(&*echoed.text().len().to_string()));
    let streamed = host.get("/web/stream");
    assert_eq!((streamed.status, streamed.text()), (200, "one\ntwo\n".to_owned()));
}

#[test]
fn another_service_is_called_and_answers_by_what_serve_was_given() {
    let host = HOST.get();
    let called = of(&host.send("POST", "/web/call", &[], "é".as_bytes()));
    assert_eq!(called, json!({ "status": 200, "said": "POST /peer?of=call: é" }));
}

#[test]
fn an_instance_is_used_again_until_something_fails_in_it() {
    let host = start();
    let count = || of(&host.get("/web/count"))["requests"].as_u64().unwrap();
    assert_eq!([count(), count(), count()], [1, 2, 3]);
    host.get("/fail/told");
    assert_eq!(count(), 4, "an answer that was meant is none");
    host.get("/fail/throw");
    assert_eq!([count(), count()], [1, 2]);
    host.json("POST", "/fail/throw", &json!({ "read": "to its end" }));
    assert_eq!(count(), 1);
    assert_eq!(host.send("POST", "/web/json", &[], b"{\"a\":").status, 400);
    assert_eq!(count(), 2, "nor is what a client has broken");
}

#[test]
fn a_database_gives_and_takes_every_type_exactly() {
    let host = HOST.get();
    let types = host.get("/data/types");
    assert!(types.text().contains("\"big\":9007199254740993,"), "all of its digits: {}", types.text());
    let expected = json!({
        "big": 9_007_199_254_740_993_u64, "whole": i32::MAX, "half": 0.5, "money": "12.50",
        "at": "2026-01-02T03:04:05.678Z", "id": "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071", "none": null,
        "doc": { "a": [1, "b"] }, "texts": ["a", "b"], "numbers": [1, 2], "yes": true, "day": "2026-01-02",
        "hour": "03:04:05.000006", "local": "2026-01-02T03:04:05.000006", "bytes": [1, 2],
    });
    assert_eq!(of(&types), expected);
    assert_eq!(of(&host.get("/data/injection"))[0]["text"], "'; drop table notes; --");
    assert_eq!(of(&host.get("/data/error")), json!({ "code": "23505", "unique": true, "status": 500 }));
    assert_eq!(of(&host.get("/data/undone")), json!({ "failed": "on purpose", "done": 1, "notes": ["done"] }));
}

#[test]
fn spans_of_time_and_arrays_of_moments_come_and_go_exactly() {
    let expected = json!({
        "span": "P1Y2M3DT14706.000007S", "back": "PT-1.5S", "moments": ["2026-01-02T03:04:05.678Z", null],
        "days": ["2026-01-02", null], "hours": ["03:04:05.000006"], "locals": ["2026-01-02T03:04:05.000006"],
        "spans": ["P1M", "P2D"], "flags": [true, null, false], "floats": [0.5, -1e300], "none": [], "moment": true,
        "endless": 1185, "deep": 1022,
    });
    assert_eq!(of(&HOST.get().get("/data/times")), expected, "what a Date cannot hold stays as it came");
}

#[test]
fn arrays_of_numbers_and_booleans_come_and_go_with_all_their_digits() {
    let expected = json!({
        "digits": ["12345678901234567890.123456789", "-0.00050", "0", "100000", "0.0", null, "NaN",
            "-0.00000000000000000007", "10000.00001"],
        "floats": [1.5, 0, 1e300, null, 2], "whole": [1, 2], "small": [0.5, 3], "flags": [true, null, false],
        "big": [1, null, 3], "computed": ["10000", "9999.9999"], "none": [],
    });
    assert_eq!(of(&HOST.get().get("/data/arrays")), expected);
}

#[test]
fn a_store_keeps_values_conditions_and_sums() {
    let kept = of(&HOST.get().get("/data/kv"));
    let expected = json!({
        "first": true, "second": false, "text": "one", "changed": true, "json": { "n": 3 }, "sum": 41, "more": 42,
        "gone": true, "none": null,
    });
    assert_eq!(kept, expected);
}

#[test]
fn a_span_has_its_fields_its_failure_and_what_was_asked_meanwhile() {
    let collector = Collector::start();
    let host = granting("", &collector.telemetry(""));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = host.send("GET", "/data/span", &[("traceparent", &parent)], b"");
    assert_eq!(of(&answer), json!({ "failed": "no way", "given": 7 }));
    let all = ["look around", "give up", "give", "GET /{*rest}"];
    let is_there = |spans: &[Span], name: &str| spans.iter().any(|span| span.service == "guest" && span.name == name);
    let spans = collector.trace(trace, |spans| all.iter().all(|name| is_there(spans, name)));
    let one = |name: &str| {
        let found = spans.iter().find(|span| span.service == "guest" && span.name == name);
        found.unwrap_or_else(|| panic!("no `{name}` in\n{}", tree(&spans)))
    };
    let (run, around) = (one("GET /{*rest}"), one("look around"));
    assert_eq!((around.kind, &around.parent, around.is_error), (1, &run.id, false), "{around:#?}");
    let said = ["notes", "deep", "seen"].map(|name| &*around.attributes[name]);
    assert_eq!(said, ["3", "{\"a\":\"b\"}", "true"]);
    let asked: Vec<_> = spans.iter().filter(|span| span.attributes.contains_key("db.query.text")).collect();
    assert_eq!(asked.len(), 1, "{}", tree(&spans));
    for within in [asked[0], one("give up"), one("give")] {
        assert_eq!(within.parent, around.id, "{within:#?}");
        assert!(around.began <= within.began && within.ended <= around.ended, "{around:#?} {within:#?}");
    }
    let failed = one("give up");
    assert_eq!((failed.is_error, &*failed.attributes["archipel.reason"]), (true, "RangeError: no way"));

    // What nobody catches is an exception of the guest's run.
    let other = trace.replace("319c", "319d");
    let parent = format!("00-{other}-b7ad6b7169203331-01");
    assert_eq!(host.send("GET", "/fail/throw", &[("traceparent", &parent)], b"").status, 500);
    let spans = collector.trace(&other, |spans| is_there(spans, "GET /{*rest}"));
    let run = spans.iter().find(|span| span.service == "guest").expect("its run");
    let (name, said) = run.events.first().unwrap_or_else(|| panic!("no event in {run:#?}"));
    let told = ["type", "message", "stacktrace"].map(|name| &*said[&format!("exception.{name}")]);
    let wanted = ["Error", "no price of tea", "at price src/failures.ts:5\n"];
    assert_eq!((&**name, told, run.is_error), ("exception", wanted, true));
}

#[test]
fn an_event_is_handled_tried_again_or_rejected() {
    let host = HOST.get();
    for text in ["wrong", "later", "now"] {
        let published = host.json("POST", "/data/publish", &json!({ "text": text }));
        assert_eq!(published.status, 202, "{published:?}");
    }
    let handled = until("two are handled", || {
        let told = host.get("/data/handled");
        // On a machine with much else to do its database may be late.
        let handled = if told.status == 503 { json!([]) } else { of(&told) };
        (handled.as_array().unwrap().len() == 2).then_some(handled)
    });
    let found = |text: &str| handled.as_array().unwrap().iter().find(|note| note["text"] == text).unwrap();
    assert_eq!((&found("now")["attempt"], &found("now")["key"]), (&json!(1), &json!("k")));
    assert_eq!(found("later")["attempt"], 2);
    host.log.expect_line("Error: not yet (at handled src/events.ts:7)");
    let dead = || host.admin("GET", "/v1/events/dead?service=guest", b"").text();
    until("the other one is dead", || dead().contains("a note is not wrong"));
    // The peer has each of them, too, by what `consumer` was given.
    let peers = || host.send("POST", "/web/call", &[("x-path", "/handled")], b"").text();
    until("the peer has handled all", || peers().matches("note.made: ").count() >= 3);
}
