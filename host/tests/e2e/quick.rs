//! What was never compiled begins on quickly made code, and nobody notices when better code takes its place.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{
    Host,
    admin::{build, file, wasm},
    place, until,
};

/// The probe, as large as what is worth it.
fn large(number: u32) -> Vec<u8> {
    let mut wasm = build(&wasm("probe"), number);
    let padding = 1 << 20;
    // A section of its own that nothing reads: its name is `x`.
    wasm.extend([0, 0x82, 0x80, 0x40, 1, b'x']);
    wasm.resize(wasm.len() + padding, 0);
    wasm
}

fn manifest(lines: &str) -> String {
    format!(
        "{lines}\n[services.probe]\ncomponent = \"large.wasm\"\nlimits = {{ cpu = \"3s\", reuse = {{ requests = 1000, idle = \"10s\" }} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"probe\"\npublic = true\n"
    )
}

fn started(lines: &str) -> Host {
    let folder = place();
    fs::write(folder.path().join("large.wasm"), large(1)).unwrap();
    Host::running_in(folder, &manifest(lines))
}

fn status(host: &Host) -> Value {
    host.admin("GET", "/v1/services/probe", b"").json()["data"].clone()
}

fn refined(host: &Host) {
    until("better code", || status(host)["compiler"] == "cranelift");
}

const LINE: &str = "compiled in full";

fn told(host: &Host) -> usize {
    host.log.text().lines().filter(|line| line.contains(LINE)).count()
}

#[test]
fn a_component_that_was_never_compiled_answers_on_quick_code_until_the_full_compilation_is_done() {
    let host = started("");
    assert_eq!(host.report["services"][0]["cached"], false);
    let version = host.live("probe");
    let mut before = 0;
    until("better code, and some answers", || {
        assert_eq!(host.get("/").status, 200);
        before += 1;
        before > 20 && status(&host)["compiler"] == "cranelift"
    });
    host.log.expect_line(LINE);
    assert_eq!(host.get("/").status, 200);

    // It is the same build, and nothing has happened to it.
    assert_eq!(host.live("probe"), version);
    assert_eq!(host.get("/").header("x-service-version"), Some(&*version));
    let versions = host.admin("GET", "/v1/services/probe/versions", b"").json()["data"].clone();
    let told_of: Vec<&Value> = versions.as_array().unwrap().iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(told_of, [&json!("started")]);
    assert_eq!(status(&host)["rollback"], Value::Null);
    assert!(status(&host)["requests"].as_u64().unwrap() > before, "it goes on counting");

    // The quick code is kept no longer, and the next start begins on the other one.
    let artifacts = host.data().join("artifacts");
    until("the quick code is gone", || {
        let files = fs::read_dir(&artifacts).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|is| is == "cwasm")).count() == 1
    });
    let again = Host::running_in(host.stop(), &manifest(""));
    let service = &again.report["services"][0];
    assert_eq!((&service["cached"], &service["compiler"]), (&json!(true), &json!("cranelift")));
}

#[test]
fn a_swap_and_whoever_wants_no_quick_code_wait_for_the_full_compilation() {
    let host = started("[host]\nquick_compiler = false");
    assert_eq!(host.report["services"][0]["compiler"], "cranelift");
    drop(host);

    let host = started("");
    refined(&host);
    host.log.expect_line(LINE);
    let new = file(&host, "new.wasm", &large(2));
    let swapped = host.command(&["swap", "probe", new.to_str().unwrap()]).json();
    assert_eq!((&swapped["cached"], &status(&host)["compiler"]), (&json!(false), &json!("cranelift")));
    assert_eq!(told(&host), 1, "what ran went on until the new build had its best code");
}
