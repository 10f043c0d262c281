//! `run --audit` lets through what is not granted, tells it once, and prints the least permissions; `status`
//! shows grants that nobody uses.

use serde_json::{Value, json};

use crate::harness::{Command, Host, Upstream, place, upstream::quoted, write_manifest};

fn service(permissions: &str) -> String {
    format!(
        "[redis.main]\n[keyvalue.cache]\nredis = \"main\"\n\
         [services.dialler]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ {permissions} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"dialler\"\npublic = true\n"
    )
}

fn fetched(host: &Host, to: &Upstream) -> u16 {
    host.get(&format!("/fetch?url={}", quoted(&to.url("/")))).status
}

#[test]
fn an_audit_lets_through_and_its_manifest_is_enough_for_the_same_requests() {
    let (used, denied) = (Upstream::answering("hello"), Upstream::answering("hello"));
    let rest = service(&format!("net = {{ deny = [\"{}\"] }}, passwords = true", denied.address));
    let mut host = match Host::start_as(place(), &rest, &["--audit"], &[]) {
        Ok(host) => host,
        Err(failed) => panic!("the host did not start: {}\n{}", failed.errors, failed.log),
    };
    assert_eq!((fetched(&host, &used), fetched(&host, &used)), (200, 200));
    assert_eq!(fetched(&host, &denied), 403, "what a manifest denies in so many words stays denied");
    let line: Value = serde_json::from_str(&host.log.expect_line("would be denied")).unwrap();
    let allow = format!("net = [\"{}\"]", used.address);
    assert_eq!((&line["service"], &line["allow"]), (&json!("dialler"), &json!(allow)), "{line}");
    host.signal("TERM");
    assert!(host.ended().success());
    let log = host.log.ended();
    assert_eq!(log.matches("would be denied").count(), 1, "each is told once: {log}");
    let least = format!("[services.dialler.permissions]\n{allow}\n");
    assert!(!log.contains("may reach everything"), "the audit itself was told: {log}");
    assert!(log.contains(&least) && !log.contains("passwords = true"), "{log}");

    let host = Host::running(&service(&allow));
    assert_eq!(fetched(&host, &used), 200, "the least permissions are enough");
    assert_eq!(fetched(&host, &denied), 403, "and no more than that");
}

#[test]
fn an_audit_goes_with_no_ceiling() {
    let folder = place();
    let manifest = write_manifest(folder.path(), &service(""));
    let run = ["run", manifest.to_str().unwrap(), "--audit", "--ceiling", "c.toml"];
    let done = Command::new(&run).done();
    assert_eq!(done.code, 2, "{}", done.errors);
    assert!(done.errors.contains("--audit") && done.errors.contains("--ceiling"), "{}", done.errors);
}

#[test]
fn grants_that_nobody_uses_are_shown_with_since_when() {
    let used = Upstream::answering("hello");
    let net = format!("net = [\"{}\", \"unused.example:443\"], keyvalue = {{ cache = \"read\" }}", used.address);
    let host = Host::running(&service(&net));
    let unused = || host.admin("GET", "/v1/services/dialler", b"").json()["data"]["unused"].clone();
    let word = format!("net {}", used.address);
    assert_eq!(unused()["grants"], json!(["keyvalue cache (read)", word, "net unused.example:443"]));
    assert_eq!(fetched(&host, &used), 200);
    let now = unused();
    assert_eq!(now["grants"], json!(["keyvalue cache (read)", "net unused.example:443"]));
    let since: jiff::Timestamp = now["since"].as_str().unwrap().parse().unwrap();
    assert!(since <= jiff::Timestamp::now(), "{now}");
    let metrics = host.admin("GET", "/metrics", b"").text();
    assert!(metrics.contains("archipel_grants_unused{service=\"dialler\"} 2"), "{metrics}");
}
