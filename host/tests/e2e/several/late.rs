//! A host that starts later runs what the others run by then, where its manifest says so.

use std::fs;

use serde_json::json;

use super::{HOSTS, TOKEN, each, live, manifest, outcomes, started, swap};
use crate::harness::{
    Consul, Failed, Host, Upstream,
    admin::{build, file, needing, wasm},
    exchange, place, until,
    upstream::Act,
};

/// The manifest of hosts that take over what the others run.
fn taking(consul: &Consul, lines: &str) -> String {
    manifest(consul, lines).replacen("tags = ", "take_builds = { token = \"ops\" }\ntags = ", 1)
}

fn starting(text: &str) -> Result<Host, Failed> {
    Host::start_with(place(), text, &[("OPS_TOKEN", TOKEN)])
}

#[track_caller]
fn late(text: &str) -> Host {
    starting(text).unwrap_or_else(|failed| panic!("{}\n{}", failed.errors, failed.log))
}

/// Two of the others and no more; the third is the one that comes late.
fn two(consul: &Consul, text: &str) -> Vec<Host> {
    let mut hosts: Vec<Host> = (1..HOSTS).map(|_| late(text)).collect();
    hosts.sort_by_key(|host| host.gateway.port());
    until("both are registered", || consul.ids().len() == HOSTS - 1);
    hosts
}

#[test]
fn a_host_that_starts_later_answers_with_the_build_that_the_others_were_given() {
    let consul = Consul::start();
    let text = taking(&consul, "");
    let mut hosts = two(&consul, &text);
    let old = live(&hosts)[0].clone();
    let new = file(&hosts[0], "new.wasm", &build(&wasm("hello"), 1));
    assert_eq!(outcomes(&swap(&hosts, &new, &[]).json()), each(&hosts, ["changed"; 2]));
    let now = live(&hosts)[0].clone();

    let third = late(&text);
    assert_eq!(third.live("users"), now);
    assert_eq!(third.get("/").header("x-service-version"), Some(&*now));
    third.log.expect_line("the build that the other hosts run is taken over");
    let versions = third.admin("GET", "/v1/services/users/versions", b"").json()["data"].clone();
    assert_eq!((&versions[0]["version"], &versions[0]["live"]), (&json!(now), &json!(true)), "{versions}");
    until("it is registered", || consul.ids().len() == HOSTS);
    let back = third.admin("POST", "/v1/services/users/rollback", b"");
    assert_eq!(
        (back.status, third.live("users")),
        (200, old.clone()),
        "what its file names was before: {}",
        back.text()
    );

    // It was away while the others changed: what most of them run is current, and not what it ran last.
    let folder = third.stop();
    until("it is gone", || consul.ids().len() == HOSTS - 1);
    let newest = file(&hosts[0], "newest.wasm", &build(&wasm("hello"), 2));
    assert_eq!(outcomes(&swap(&hosts, &newest, &[]).json()), each(&hosts, ["changed"; 2]));
    let third =
        Host::start_with(folder, &text, &[("OPS_TOKEN", TOKEN)]).unwrap_or_else(|failed| panic!("{}", failed.log));
    assert_eq!(third.live("users"), live(&hosts)[0]);
    let folder = third.stop();

    // The file of a new deployment is nobody's older build.
    let other = place();
    fs::write(other.path().join("own.wasm"), build(&wasm("hello"), 3)).unwrap();
    let deployed = text.replace("COMPONENTS/hello.wasm", "own.wasm");
    let host =
        Host::start_with(other, &deployed, &[("OPS_TOKEN", TOKEN)]).unwrap_or_else(|failed| panic!("{}", failed.log));
    assert!(!live(&hosts).contains(&host.live("users")) && host.live("users") != old);
    host.stop();

    // Nobody is there who could say anything: it starts with what it has.
    hosts.drain(..).for_each(|host| drop(host.killed()));
    let third =
        Host::start_with(folder, &text, &[("OPS_TOKEN", TOKEN)]).unwrap_or_else(|failed| panic!("{}", failed.log));
    assert!(third.live("users") != old && third.live("users") != now);
    third.log.expect_line("a host does not say what it runs");
}

#[test]
fn what_a_late_host_takes_over_gets_no_more_than_its_manifest_grants() {
    let consul = Consul::start();
    let text = taking(&consul, "");
    let hosts = two(&consul, &text);
    let old = live(&hosts)[0].clone();
    let needs = needing(&wasm("hello"), "call = [\"users\"]");
    for host in &hosts {
        let swapped = host.admin("POST", "/v1/services/users/swap?acceptPermissions=true", &needs);
        assert_eq!(swapped.status, 200, "{}", swapped.text());
    }
    let third = late(&text);
    assert_eq!(third.live("users"), old);
    third.log.expect_line("the build that was swapped in last does not start");
}

#[test]
fn a_host_that_sends_another_build_than_it_says_is_refused_and_the_log_says_so() {
    let consul = Consul::start();
    let hosts = started(&consul, "");
    let told = hosts[0].admin("GET", "/v1/status", b"").json();
    let old = live(&hosts)[0].clone();
    // They run on, but nobody knows it.
    let gone: Vec<_> = hosts.into_iter().map(Host::stop).collect();
    until("nobody is registered", || consul.ids().is_empty());
    let mut lie = told.clone();
    lie["data"]["services"][0]["digest"] = json!("ab".repeat(32));
    let said = lie.to_string();
    let other = build(&wasm("hello"), 1);
    let liar = Upstream::acting(move |_, head| {
        let body = if head.starts_with("GET /v1/status ") { said.as_bytes() } else { &*other };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        Act::Say([head.as_bytes(), body].concat())
    });
    let registration = json!({
        "ID": "liar", "Name": "users", "Address": "127.0.0.1", "Port": 1, "Tags": [],
        "Meta": { "archipel-system": told["data"]["name"], "archipel-admin": liar.url("") },
    });
    let consul_at = consul.url().trim_start_matches("http://").parse().unwrap();
    let path = "/v1/agent/service/register";
    assert_eq!(exchange(consul_at, "PUT", path, &[], registration.to_string().as_bytes()).status, 200);

    let host = late(&taking(&consul, ""));
    host.log.expect_line("a host sent another build than it says that it runs; it is refused");
    host.log.expect_line("no other host gave the build that they run");
    assert_eq!(host.live("users"), old);
    let asked = liar.requests();
    assert!(asked.iter().any(|head| head.contains("/v1/services/users/build?digest=abab")), "{asked:?}");
    drop(gone);
}
