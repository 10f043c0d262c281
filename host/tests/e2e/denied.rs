//! What a component imports of the standard without a grant does not stop it: each use is denied, with
//! the interface's own error, and the log names the line that would allow it.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Command, Host, Upstream, components, spoilt, upstream::quoted, write_manifest};

fn service(name: &str, component: &str, lines: &str) -> String {
    format!(
        "[services.{name}]\ncomponent = \"COMPONENTS/{component}.wasm\"\n{lines}\n\
         [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
    )
}

fn all() -> String {
    let parts = [
        ("net", "probe_net"),
        ("sockets", "probe_sockets"),
        ("files", "probe_files"),
        ("config", "probe_config"),
        ("kv", "plain_kv"),
    ];
    parts.map(|(name, component)| service(name, component, "")).concat()
}

#[track_caller]
fn ask(host: &Host, service: &str, path: &str) -> (u16, String) {
    let answer = crate::apply::ask(host, service, path);
    (answer.status, answer.text().trim().to_owned())
}

#[test]
fn each_standard_interface_runs_without_a_grant_and_denies_each_use_in_its_own_words() {
    let elsewhere = Upstream::answering("hello");
    let host = Host::running(&all());
    let to = quoted(&elsewhere.address.to_string());
    for (service, path, error, allow) in [
        (
            "net",
            format!("/fetch?url={}", quoted(&elsewhere.url("/"))),
            "HttpRequestDenied",
            format!("net = [\"{}\"]", elsewhere.address),
        ),
        ("sockets", format!("/connect?to={to}"), "Permission denied", "sockets = true".into()),
        ("sockets", format!("/udp?to={to}"), "Permission denied", "sockets = true".into()),
        ("sockets", "/lookup?to=example.com%3A80".into(), "", "sockets = true".into()),
        ("sockets", "/listen".into(), "Permission denied", "sockets = true".into()),
        ("files", "/read?path=%2Fetc%2Fpasswd".into(), "pre-opened", "read = [\"./FOLDER\"]".into()),
        ("config", "/get?key=HOME".into(), "Upstream", "secrets = [\"HOME\"]".into()),
        ("config", "/draft/all".into(), "Upstream", "secrets = [\"NAME\"]".into()),
    ] {
        assert_eq!(ask(&host, service, "/").0, 200, "{service} runs");
        let (status, told) = ask(&host, service, &path);
        assert_eq!(status, 403, "{service} {path}: {told}");
        assert!(told.contains(error), "{service} {path}: {told}");
        let line = host.log.expect_field("allow", &allow);
        assert_eq!((&line["service"], &line["level"]), (&json!(service), &json!("warn")), "{line}");
        assert!(line["target"].is_string() && line["rule"].is_string() && line["traceId"].is_string(), "{line}");
    }
    assert_eq!(ask(&host, "kv", "/a"), (500, "access denied".into()));
    assert_eq!(elsewhere.connections(), 0, "nothing may leave the host");
    let metrics = crate::harness::exchange(host.admin, "GET", "/metrics", &[], b"").text();
    for (service, permission) in [("net", "net"), ("sockets", "sockets"), ("files", "read"), ("config", "secrets")] {
        let counted = format!("archipel_permission_denials_total{{service=\"{service}\",permission=\"{permission}\"}}");
        let counted = metrics.lines().find(|line| line.starts_with(&counted)).unwrap_or_else(|| panic!("{counted}"));
        assert!(!counted.ends_with(" 0"), "{counted}");
    }
}

#[test]
fn what_is_imported_and_not_granted_is_shown_by_run_check_and_status() {
    let folder = crate::harness::place();
    let file = write_manifest(folder.path(), &all());
    let checked = Command::new(&["check", file.to_str().unwrap()]).json();
    let host = Host::running_in(folder, &all());
    let status = crate::apply::status(&host);
    let has = |told: &Value, permission: &str, import: &str| {
        let list = told.as_array().unwrap_or_else(|| panic!("{told}"));
        let found = list.iter().find(|one| one["permission"] == permission).unwrap_or_else(|| panic!("{told}"));
        let named = found["imports"].as_array().unwrap().iter().any(|name| name.as_str().unwrap().starts_with(import));
        assert!(named, "{found}");
    };
    let of = |list: &Value, service: &str| {
        let services = list["services"].as_array().unwrap();
        services.iter().find(|one| one["name"] == service).unwrap()["importedNotGranted"].clone()
    };
    for (service, permission, import) in [
        ("net", "net = [\"HOST:PORT\"] or call = [\"SERVICE\"]", "wasi:http/outgoing-handler@"),
        ("sockets", "sockets = true", "wasi:sockets/tcp@"),
        ("files", "read = [\"./FOLDER\"] or write = [\"./FOLDER\"]", "wasi:filesystem/preopens@"),
        ("config", "secrets = [\"NAME\"] or env = [\"NAME\"]", "wasi:config/store@0.2.0-draft-2024-09-27"),
        ("kv", "keyvalue = { NAME = \"read-write\" }", "wasi:keyvalue/store@"),
    ] {
        has(&checked["importedNotGranted"][service], permission, import);
        has(&of(&host.report, service), permission, import);
        has(&of(&status, service), permission, import);
    }
}

#[test]
fn a_component_for_wasi_0_3_is_told_so_in_words() {
    let plain = fs::read(components().join("plain.wasm")).unwrap();
    // As if it had been built for the next version: the same length, another number.
    let later = spoilt::renamed(&plain, "wasi:http/types@0.2.", "wasi:http/types@0.3.");
    let folder = crate::harness::place();
    let path = folder.path().join("later.wasm");
    fs::write(&path, later).unwrap();
    let refused = Command::new(&["inspect", path.to_str().unwrap()]).refused();
    assert!(refused.contains("made for WASI 0.3") && refused.contains("build it for WASI 0.2"), "{refused}");
}
