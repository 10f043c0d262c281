//! What is told of a component that traps, panics or is stopped: functions, files, lines, and what it had asked for.

use serde_json::Value;

use super::{PARENT, TRACE, one, said, told};
use crate::harness::{Collector, Command, Host, components, place, probe};

#[test]
fn a_panic_says_its_message_function_file_and_line_and_what_was_asked_before() {
    let collector = Collector::start();
    let host = Host::running(&format!(
        "[services.sender]\ncomponent = \"COMPONENTS/probe_client.wasm\"\npermissions = {{ call = [\"callee\"] }}\n\
         [services.callee]\ncomponent = \"COMPONENTS/probe_quick.wasm\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"sender\"\npublic = true\n{}",
        collector.telemetry("")
    ));
    // It panics for `then` is no status, after its call.
    let path = "/call?url=http://callee.internal/&then=70000";
    assert_eq!(host.send("GET", path, &[("traceparent", PARENT)], b"").status, 502);
    let line =
        host.log.find(|line| (line.contains("a request failed") && line.contains(TRACE)).then(|| line.to_owned()));
    let line: Value = serde_json::from_str(&line.expect("one line for the failure")).unwrap();
    let error = line["error"].as_str().unwrap_or_else(|| panic!("{line}"));
    let at = error.split("(probe-client/src/lib.rs:").nth(1).and_then(|rest| rest.split(')').next());
    let at: usize = at.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no line in {error}"));
    let source = include_str!("../../../../components/probe-client/src/lib.rs");
    assert!(source.lines().nth(at - 1).unwrap().contains("u16::try_from(status)"), "{error}");
    for wanted in ["panicked at probe-client/src/lib.rs:", "a status: ", "handle", "it had asked for GET"] {
        assert!(error.contains(wanted), "no `{wanted}` in {error}");
    }
    assert!(!error.contains("core::panicking") && !error.contains("wasm function"), "{error}");
    let spans = collector.trace(TRACE, |spans| told(spans, &["gateway", "sender", "callee"]));
    let sender = one(&spans, "sender", "GET /{*rest}");
    said(
        sender,
        &[("error.type", "trap"), ("code.file.path", "probe-client/src/lib.rs"), ("code.line.number", &at.to_string())],
    );
    let (name, exception) = &sender.events[0];
    assert_eq!((&**name, &*exception["exception.type"]), ("exception", "panic"));
    assert!(exception["exception.message"].contains("a status: "), "{exception:?}");
    let frame = format!("at handle (probe-client/src/lib.rs:{at})\n");
    assert!(exception["exception.stacktrace"].contains(&frame), "{exception:?}");
}

#[test]
fn what_ran_for_too_long_says_where_it_was_stopped() {
    let host = Host::probe("limits = { cpu = \"500ms\" }");
    assert_eq!(host.get("/spin").status, 504);
    let line = host.log.expect_line("more CPU than `limits.cpu` allows; in ");
    assert!(line.contains("(probe/src/crash.rs:"), "{line}");
}

#[test]
fn a_stripped_component_keeps_its_lines_beside_it_and_a_swap_brings_its_own() {
    let folder = place();
    let built = components();
    let whole = std::fs::read(built.join("probe.debug")).expect("names and lines of the built component");
    let own = folder.path().join("own.wasm");
    std::fs::write(&own, &whole).unwrap();
    let told = Command::new(&["strip", own.to_str().unwrap()]).json();
    assert_eq!(told["names"], folder.path().join("own.debug").to_str().unwrap());
    assert_eq!(std::fs::read(&own).unwrap(), std::fs::read(built.join("probe.wasm")).unwrap(), "as it is shipped");
    assert_eq!(Command::new(&["strip", own.to_str().unwrap()]).json()["names"], Value::Null);
    // Without the file beside nothing is known; a build that is sent with its lines has them.
    std::fs::remove_file(folder.path().join("own.debug")).unwrap();
    let own = own.to_str().unwrap();
    let host = Host::running_in(folder, &probe_at(own));
    assert_eq!(host.get("/trap").status, 502);
    let line = host.log.expect_line("a request failed");
    assert!(line.contains("unreachable") && !line.contains("probe/src/"), "{line}");
    assert_eq!(host.swap("probe", &whole).status, 200);
    assert_eq!(host.get("/trap").status, 502);
    host.log.expect_line("probe/src/behaviour.rs:");
}

fn probe_at(file: &str) -> String {
    probe("").replace("COMPONENTS/probe.wasm", file)
}
