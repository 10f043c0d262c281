//! Secrets and variables through `wasi:config/store`, and secrets that only the host puts into
//! requests.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::{
    apply::{applied, service},
    harness::{
        Connection, Host, Upstream, place, until,
        upstream::{Act, ok, quoted},
    },
};

fn manifest(secrets: &str, permissions: &str) -> String {
    format!(
        "{secrets}\n[services.it]\ncomponent = \"COMPONENTS/probe_config.wasm\"\nenv = {{ LOG_LEVEL = \"debug\" }}\n\
         permissions = {{ {permissions} }}\n[[routes]]\npath = \"/{{*rest}}\"\nservice = \"it\"\npublic = true\n"
    )
}

#[track_caller]
fn told(host: &Host, path: &str) -> String {
    let answer = host.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text().trim().to_owned()
}

const TWO: &str = "[secrets]\nMAIL_KEY = { env = \"TEST_MAIL_KEY\" }\nOTHER = { env = \"TEST_OTHER\" }\n";

#[test]
fn a_granted_secret_and_a_visible_variable_are_told_in_both_versions_and_nothing_else_is() {
    let permissions = "secrets = [\"MAIL_KEY\"], env = [\"LOG_LEVEL\"]";
    let environment = [("TEST_MAIL_KEY", "canary-mail"), ("TEST_OTHER", "canary-other")];
    let host = Host::start_with(place(), &manifest(TWO, permissions), &environment).ok().expect("it runs");
    for version in ["", "/draft"] {
        assert_eq!(told(&host, &format!("{version}/get?key=MAIL_KEY")), "Some(\"canary-mail\")");
        assert_eq!(told(&host, &format!("{version}/get?key=LOG_LEVEL")), "Some(\"debug\")");
        for absent in ["OTHER", "TEST_MAIL_KEY", "TEST_OTHER", "PATH", "CANARY", "mail_key"] {
            assert_eq!(told(&host, &format!("{version}/get?key={absent}")), "None", "{absent}");
        }
        let all = told(&host, &format!("{version}/all"));
        assert_eq!(all, "[(\"MAIL_KEY\", \"canary-mail\"), (\"LOG_LEVEL\", \"debug\")]");
    }
    host.log.expect_field("allow", "secrets = [\"OTHER\"]");
    assert!(!host.log.text().contains("canary-") && !host.errors.text().contains("canary-"));
    let told_once = host.log.text().matches("secrets = [\\\"OTHER\\\"]").count();
    assert!(told_once <= 2, "one line has it twice at most: {told_once}");
}

#[test]
fn a_secret_in_a_file_is_read_again_when_it_is_rotated() {
    let place = place();
    let at = |name: &str| place.path().join("mounted").join(name);
    for (version, value) in [("..1", "one\n"), ("..2", "two\n")] {
        fs::create_dir_all(at(version)).unwrap();
        fs::write(at(version).join("key"), value).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/key", at("key")).unwrap();
    let secrets = "[secrets.MAIL_KEY]\nfile = \"./mounted/key\"";
    let host = Host::running_in(place, &manifest(secrets, "secrets = [\"MAIL_KEY\"], env = [\"LOG_LEVEL\"]"));
    assert_eq!(told(&host, "/get?key=MAIL_KEY"), "Some(\"one\")");
    let at = |name: &str| host.folder.path().join("mounted").join(name);
    symlink("..2", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    until("the new value", || told(&host, "/get?key=MAIL_KEY") == "Some(\"two\")");
    fs::remove_file(at("key")).unwrap();
    host.log.expect_line("a secret was read again");
    until("the file is missed", || {
        assert_eq!(told(&host, "/get?key=MAIL_KEY"), "Some(\"two\")", "the last value stays");
        host.log.text().contains("cannot read a secret's file")
    });
}

#[test]
fn a_secret_changed_by_apply_is_seen_at_once_and_what_was_in_flight_ends_whole() {
    let services = |variable: &str| {
        let granted = "permissions = { secrets = [\"MAIL_KEY\"] }";
        let others = [service("busy", granted), service("apart", "")].concat();
        let secrets = format!("[secrets]\nMAIL_KEY = {{ env = \"{variable}\" }}\n");
        format!("{}{others}", manifest(&secrets, "secrets = [\"MAIL_KEY\"], env = [\"LOG_LEVEL\"]"))
    };
    let environment = [("TEST_OLD", "canary-old"), ("TEST_NEW", "canary-new")];
    let host = Host::start_with(place(), &services("TEST_OLD"), &environment).ok().expect("it runs");
    assert_eq!(told(&host, "/get?key=MAIL_KEY"), "Some(\"canary-old\")");
    let mut in_flight = Connection::open(host.gateway);
    in_flight.write(b"GET /stream?chunks=40&ms=50 HTTP/1.1\r\nhost: busy.test\r\n\r\n");
    let mut answer = in_flight.begin().expect("an answer begins");

    let done = applied(&host, &services("TEST_NEW"));
    let change = |name: &str| {
        let of = done["services"].as_array().unwrap().iter().find(|service| service["name"] == name);
        of.unwrap_or_else(|| panic!("{done}"))["change"].clone()
    };
    assert_eq!(["it", "busy", "apart"].map(change), ["changed", "changed", "kept"], "{done}");
    for version in ["", "/draft"] {
        assert_eq!(told(&host, &format!("{version}/get?key=MAIL_KEY")), "Some(\"canary-new\")");
    }
    in_flight.finish(&mut answer);
    assert!(answer.whole && answer.status == 200, "the old instance ends its request: {answer:?}");
    assert!(!done.to_string().contains("canary-"), "{done}");
    assert!(!host.log.text().contains("canary-") && !host.errors.text().contains("canary-"));
}

#[test]
fn mistakes_with_secrets_are_told_with_what_to_do() {
    for (secrets, permissions, says) in [
        ("", "secrets = [\"MAIL_KEY\"]", "there is no `[secrets.MAIL_KEY]`"),
        ("[secrets.MAIL_KEY]\nenv = \"UNSET_HERE\"", "", "the variable `UNSET_HERE` is not set"),
        ("[secrets.MAIL_KEY]\nfile = \"none\"", "", "cannot read"),
        ("[secrets.MAIL_KEY]\nenv = \"CANARY\"", "env = [\"CANARY\"]", "is read by this manifest itself"),
        (
            "[secrets.A]\nenv = \"CANARY\"\nheader = { to = \"a.example\", name = \"host\" }",
            "",
            "written by the host itself",
        ),
        (
            "[secrets.A]\nenv = \"CANARY\"\nheader = { to = \"a.example\", name = \"x\", format = \"none\" }",
            "",
            "must have one `{}`",
        ),
    ] {
        let permissions =
            format!("{permissions}{}env = [\"LOG_LEVEL\"]", if permissions.is_empty() { "" } else { ", " });
        let permissions = match permissions.contains("CANARY") {
            true => "env = [\"CANARY\", \"LOG_LEVEL\"]".to_owned(),
            false => permissions,
        };
        let failed =
            Host::start(place(), &manifest(secrets, &permissions)).err().unwrap_or_else(|| panic!("{secrets} started"));
        assert!(failed.errors.contains(says), "{secrets}: {}", failed.errors);
        assert!(!failed.errors.contains("canary-of"), "{}", failed.errors);
    }
}

#[test]
fn a_secret_for_a_header_is_put_in_by_the_host_and_the_component_never_sees_it() {
    let upstream = Upstream::acting(|_, _| Act::Say(ok("paid").into_bytes()));
    let other = Upstream::answering("other");
    let secrets = format!(
        "[secrets.STRIPE]\nenv = \"TEST_STRIPE\"\nheader = {{ to = \"{}\", name = \"Authorization\", format = \"Bearer {{}}\" }}\n",
        upstream.address
    );
    let net = format!("net = [\"{}\", \"{}\"]", upstream.address, other.address);
    let dialler = |name: &str, permissions: &str| {
        format!(
            "[services.{name}]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ {permissions} }}\n\
             [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
        )
    };
    let payer = dialler("payer", &format!("{net}, secrets = [\"STRIPE\"]"));
    let rest = format!(
        "{}{payer}{}",
        manifest(&secrets, "secrets = [\"STRIPE\"], env = [\"LOG_LEVEL\"]"),
        dialler("poor", &net)
    );
    let host = Host::start_with(place(), &rest, &[("TEST_STRIPE", "canary-stripe")]).ok().expect("it runs");
    let call = |service: &str, url: &str| {
        let forged = quoted("authorization:Bearer forged");
        let path = format!("/call?url={}&headers={forged}", quoted(url));
        let answer = crate::apply::ask(&host, service, &path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told: Value = answer.json()[0].clone();
        assert_eq!(told["status"], 200, "{told}");
    };
    call("payer", &upstream.url("/charge"));
    let request = upstream.requests().remove(0);
    assert!(request.to_ascii_lowercase().contains("authorization: bearer canary-stripe\r\n"), "{request}");
    assert!(!request.contains("forged"), "{request}");
    call("payer", &other.url("/"));
    call("poor", &upstream.url("/charge"));
    for request in [&other.requests()[0], &upstream.requests()[1]] {
        assert!(request.contains("forged") && !request.contains("canary"), "{request}");
    }
    // Not by way of the configuration either.
    assert_eq!(told(&host, "/get?key=STRIPE"), "None");
    assert!(!told(&host, "/all").contains("canary"));
    assert!(!host.log.text().contains("canary-stripe"));
}
