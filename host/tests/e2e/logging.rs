//! What guests log with levels, by `wasi:logging` and as JSON on standard output, and the spans that they make.

use serde_json::{Value, json};

use crate::harness::{Collector, Host, Span, until};

const SERVICE: &str = "[services.probe]\ncomponent = \"COMPONENTS/probe_log.wasm\"\n[[routes]]\npath = \"/{*rest}\"\nservice = \"probe\"\npublic = true\n";

fn line(host: &Host, message: &str) -> Value {
    let is = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|line| line["message"] == message);
    host.log.find(is).unwrap_or_else(|| panic!("no line `{message}` in {}", host.log.text()))
}

#[test]
fn a_components_levels_are_the_logs_and_so_are_its_json_lines() {
    let host = Host::running(SERVICE);
    let trace = host.get("/log");
    let of = |line: &Value| (line["level"].clone(), line["service"].clone(), line["context"].clone());
    let said = line(&host, "nothing left");
    assert_eq!(of(&said), (json!("error"), json!("probe"), json!("stock")));
    assert_eq!(said["traceId"].as_str(), trace.header("x-trace-id"));
    assert_eq!(of(&line(&host, "as usual")), (json!("info"), json!("probe"), Value::Null));
    host.get("/json");
    let said = line(&host, "no such product");
    assert_eq!((&said["level"], &said["fields"]), (&json!("error"), &json!({"product": 7, "tags": ["a"]})));
    assert!(!host.log.text().contains("not told"), "trace is below what is told");
    host.get("/sdk");
    let said = line(&host, "a cart was left");
    assert_eq!((&said["level"], &said["fields"]), (&json!("warn"), &json!({"cart": 7, "items": ["a", "b"]})));
    assert_eq!(line(&host, "2 carts")["level"], "info");
}

#[test]
fn a_flood_of_log_calls_is_cut_as_printed_lines_are() {
    let host = Host::running(SERVICE);
    assert_eq!(host.get("/flood").status, 200);
    host.log.expect_line("output cut");
    let told = || host.log.text().matches("\"context\":\"flood\"").count();
    until("the log is quiet", || told() > 0);
    assert!(told() < 300, "{}", told());
}

#[test]
fn spans_of_a_guest_are_within_its_run_and_its_mistakes_cost_nobody_anything() {
    let collector = Collector::start();
    let host = Host::running(&format!("{SERVICE}{}", collector.telemetry("")));
    let answer = host.get("/span");
    assert_eq!(answer.text(), "00000000000000a1", "it is in its own span while that goes on");
    assert_eq!((host.get("/odd-span").status, host.get("/many-spans").status), (200, 200));
    let named = |spans: &[Span], name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let many = || named(&collector.spans(), "one of many").len() == 192;
    until("all are told", || many() && named(&collector.spans(), "GET /{*rest}").len() == 6);
    let spans = collector.spans();
    let own = &named(&spans, "price the cart")[0];
    let run = spans.iter().find(|span| span.id == own.parent).expect("the guest's run");
    assert_eq!((&*run.service, run.kind, &*own.service, &run.trace_id), ("probe", 2, "probe", &own.trace_id));
    let said = |key: &str| own.attributes[key].clone();
    assert_eq!([said("items"), said("currency"), said("odd")], ["3", "EUR", "no json"]);
    assert!(own.is_error && own.attributes["archipel.reason"] == "out of stock", "{own:#?}");
    assert_eq!((own.began, own.ended - own.began), (1_700_000_000_000_000_005, 1_999_999_994));
    let odd = &named(&spans, "odd")[0];
    let parent = spans.iter().find(|span| span.id == odd.parent).expect("within its run");
    assert_eq!((&*parent.service, &parent.trace_id), ("probe", &odd.trace_id));
    assert!(named(&spans, "nameless").is_empty());
    assert_eq!(named(&spans, "one of many").len(), 192, "and the rest is counted");
}
