//! A build gets its share on all hosts together: they are judged by what all of them answered.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{TOKEN, document, each, live, outcomes, started, swap, url};
use crate::harness::{
    Consul, Host,
    admin::{build, file, wasm},
    exchange, until,
};

/// One step, which is over when the build has answered so many requests, on all hosts together.
fn judged_after(requests: usize) -> String {
    format!(
        "swap = {{ ramp = {{ steps = [\"50%\"], step = \"400ms\", min_requests = {requests} }}, \
         rollback = {{ error_rate = \"5%\", latency = \"1000%\", window = \"10m\" }} }}"
    )
}

/// One step that does not end by itself.
const ENDLESS: &str = "swap = { ramp = { steps = [\"50%\"], step = \"10m\", min_requests = 40 }, \
                       rollback = { error_rate = \"5%\", latency = \"1000%\", window = \"10m\" } }";

fn ramp(host: &Host) -> Value {
    host.admin("GET", "/v1/services/users", b"").json()["data"]["ramp"].clone()
}

fn have_a_share(hosts: &[Host]) {
    until("all hosts give it a share", || hosts.iter().all(|host| ramp(host)["percent"] == 50));
}

/// Asks a host until its new build has answered so many requests.
fn answered(host: &Host, requests: u64) {
    until("the new build has answered", || {
        assert_eq!(host.get("/").status, 200);
        let ramp = ramp(host);
        assert!(ramp["led"] == true, "{ramp}");
        ramp["new"]["requests"].as_u64() >= Some(requests)
    });
}

/// How the last try at a host ended, and why.
fn last(host: &Host) -> (String, String) {
    let versions = host.admin("GET", "/v1/services/users/versions", b"").json()["data"].clone();
    let word = |key: &str| versions[0][key].as_str().unwrap_or_default().to_owned();
    (word("outcome"), word("reason"))
}

#[test]
fn shares_grow_by_what_all_hosts_have_answered_together() {
    let consul = Consul::start();
    let hosts = started(&consul, &judged_after(60));
    let new = file(&hosts[0], "new.wasm", &build(&wasm("hello"), 1));
    let old = live(&hosts);
    let swapping = swap(&hosts, &new, &["--ramp"]);
    have_a_share(&hosts);
    hosts[..2].iter().for_each(|host| answered(host, 25));
    // Some fifty of sixty: nothing is decided, however long ago they were.
    assert!(hosts.iter().all(|host| ramp(host)["percent"] == 50), "{:?}", hosts.iter().map(ramp).collect::<Vec<_>>());
    assert_eq!(live(&hosts), old);
    until("it is live everywhere", || {
        assert_eq!(hosts[2].get("/").status, 200);
        live(&hosts).iter().zip(&old).all(|(now, old)| now != old)
    });
    assert_eq!(outcomes(&swapping.json()), each(&hosts, ["changed"; 3]));
    let now = live(&hosts);
    assert!(now.iter().all(|version| *version == now[0]) && now[0] != old[0], "{now:?}");
    assert_eq!(
        hosts.iter().map(last).collect::<Vec<_>>(),
        vec![("swapped".to_owned(), "after its ramp".to_owned()); 3]
    );
    assert_eq!(outcomes(&swap(&hosts, &new, &["--ramp"]).json()), each(&hosts, ["had it"; 3]));
}

#[test]
fn a_build_that_fails_on_one_host_is_taken_back_on_all() {
    let consul = Consul::start();
    let hosts = started(&consul, ENDLESS);
    let old = live(&hosts);
    // What is an answer of `hello` is a trap of `probe`.
    let ill = file(&hosts[0], "ill.wasm", &wasm("probe"));
    let swapping = swap(&hosts, &ill, &["--ramp"]);
    have_a_share(&hosts);
    hosts[1..].iter().for_each(|host| answered(host, 15));
    until("it is taken back", || {
        (0..7).for_each(|_| assert_eq!(hosts[0].get("/").status, 200));
        hosts[0].get("/panic");
        ramp(&hosts[0]).is_null()
    });
    let stopped = swapping.done();
    assert_eq!(stopped.code, 1, "{}{}", stopped.output, stopped.errors);
    assert_eq!(outcomes(&document(&stopped.output)), each(&hosts, ["taken back"; 3]));
    for said in ["swapping users stopped: ", "points more are allowed", "no host has the new build"] {
        assert!(stopped.errors.contains(said), "no `{said}` in: {}", stopped.errors);
    }
    for host in &hosts {
        let (outcome, reason) = until("it is written down", || Some(last(host)).filter(|last| last.0 != "ramping"));
        assert_eq!(outcome, "reverted");
        assert!(reason.contains("of its") && reason.contains("requests failed"), "{reason}");
    }
    assert_eq!(live(&hosts), old);
}

#[test]
fn when_the_command_is_gone_every_host_takes_the_build_back_by_itself() {
    let consul = Consul::start();
    let hosts = started(&consul, ENDLESS);
    let old = live(&hosts);
    let new = file(&hosts[0], "new.wasm", &build(&wasm("hello"), 1));
    let swapping = swap(&hosts, &new, &["--ramp"]);
    have_a_share(&hosts);
    swapping.killed();
    let killed = Instant::now();
    until("their patience is nearly over", || killed.elapsed() > Duration::from_secs(40));
    for host in &hosts {
        let (outcome, reason) = until("it is taken back", || Some(last(host)).filter(|last| last.0 != "ramping"));
        assert_eq!((&*outcome, &*reason), ("reverted", "whoever leads its ramp was not heard of for 45s"));
        assert_eq!(ramp(host), Value::Null);
    }
    assert_eq!(live(&hosts), old);
}

#[test]
fn a_host_that_is_gone_meanwhile_ends_it_on_the_others() {
    let consul = Consul::start();
    let mut hosts = started(&consul, ENDLESS);
    let old = live(&hosts);
    let new = file(&hosts[0], "new.wasm", &build(&wasm("hello"), 1));
    let swapping = swap(&hosts, &new, &["--ramp"]);
    have_a_share(&hosts);
    let gone = hosts.pop().unwrap();
    let at = url(&gone);
    drop(gone.killed());
    until("it is taken back", || last(&hosts[0]).0 == "reverted");
    let stopped = swapping.done();
    assert_eq!(stopped.code, 1, "{}{}", stopped.output, stopped.errors);
    let told = outcomes(&document(&stopped.output));
    assert_eq!(told[..2], each(&hosts, ["taken back"; 2]));
    assert_eq!(told[2], (at.clone(), "refused".to_owned()));
    // It may have been killed before the command had heard that it gives the build a share: then that broke off.
    let said = [format!("`{at}` was not heard of for 30s"), format!("stopped at `{at}`")];
    assert!(said.iter().any(|said| stopped.errors.contains(said)), "{}", stopped.errors);
    assert_eq!(live(&hosts), old[..2]);
}

#[test]
fn a_ramp_is_led_by_its_version_and_its_share_only_grows() {
    let consul = Consul::start();
    let hosts = started(&consul, ENDLESS);
    let host = &hosts[0];
    let say = |word: &str| {
        let headers = [("authorization", format!("Bearer {TOKEN}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        exchange(host.admin, "POST", "/v1/services/users/ramp", &headers, word.as_bytes())
    };
    let sent = |how: &str, number| {
        let swapped = host.admin("POST", &format!("/v1/services/users/swap{how}"), &build(&wasm("hello"), number));
        assert_eq!(swapped.status, 200, "{}", swapped.text());
        swapped.json()["data"]["version"].as_str().unwrap().to_owned()
    };
    let word = |version: &str, more: &str| say(&format!("{{\"version\": \"{version}\"{more}}}"));
    let alone = sent("?ramp=true", 1);
    assert_eq!(word(&alone, "").status, 409, "that one leads itself");
    let led = sent("?ramp=true&led=true", 2);
    assert_eq!(word(&alone, "").status, 409);
    assert_eq!(word(&led, ", \"percent\": 101").status, 400);
    assert_eq!(word(&led, "").json()["data"]["percent"], 50);
    assert_eq!(word(&led, ", \"percent\": 70").status, 200);
    until("it has that share", || ramp(host)["percent"] == 70);
    assert_eq!(word(&led, ", \"percent\": 60").json()["data"]["percent"], 70);
    assert_eq!(word(&led, ", \"back\": \"a reason\"").status, 200);
    assert_eq!(ramp(host), Value::Null);
    let (outcome, reason) = until("it is written down", || Some(last(host)).filter(|last| last.0 != "ramping"));
    assert_eq!((&*outcome, &*reason), ("reverted", "a reason"));
    assert_eq!(word(&led, "").status, 409);
}
