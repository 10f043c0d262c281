//! Several hosts of one manifest, changed by one command: one first, then the others, and no request fails.

use std::path::Path;

use serde_json::Value;

mod late;
mod ramps;

use crate::harness::{
    Command, Consul, Host,
    admin::{build, file, needing, wasm},
    place, under_load, until,
};

const HOSTS: usize = 3;
/// Of all of them: whoever changes all has one token.
const TOKEN: &str = "a-token-that-all-hosts-know-0123456789";

/// A host of the system, with these lines in its service's table.
fn manifest(consul: &Consul, lines: &str) -> String {
    format!(
        "{}[admin.tokens.ops]\nenv = \"OPS_TOKEN\"\nmay = [\"read\", \"swap\", \"apply\"]\n\
         [services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n{lines}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
        consul.settings()
    )
}

/// Hosts of one manifest in the order in which a command that is given the first goes through them.
fn started(consul: &Consul, lines: &str) -> Vec<Host> {
    let start = || match Host::start_with(place(), &manifest(consul, lines), &[("OPS_TOKEN", TOKEN)]) {
        Ok(host) => host,
        Err(failed) => panic!("{}\n{}", failed.errors, failed.log),
    };
    let mut hosts: Vec<Host> = (0..HOSTS).map(|_| start()).collect();
    hosts.sort_by_key(|host| host.gateway.port());
    until("all are registered", || consul.ids().len() == HOSTS);
    hosts
}

fn url(host: &Host) -> String {
    format!("http://{}", host.admin)
}

/// A command to the first of them, with the token of all.
fn command(hosts: &[Host], arguments: &[&str]) -> Command {
    let url = url(&hosts[0]);
    Command::with(&[arguments, &["--admin", &url]].concat(), &[("ARCHIPEL_ADMIN_TOKEN", TOKEN)])
}

fn swap(hosts: &[Host], build: &Path, more: &[&str]) -> Command {
    command(hosts, &[&["swap", "users", build.to_str().unwrap(), "--all"], more].concat())
}

/// What became of each host.
fn outcomes(told: &Value) -> Vec<(String, String)> {
    let word = |host: &Value, key: &str| host[key].as_str().unwrap_or_default().to_owned();
    let hosts = told["hosts"].as_array().unwrap_or_else(|| panic!("{told}"));
    hosts.iter().map(|host| (word(host, "admin"), word(host, "outcome"))).collect()
}

fn each<'a>(hosts: &[Host], words: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    hosts.iter().zip(words).map(|(host, word)| (url(host), word.to_owned())).collect()
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

fn live(hosts: &[Host]) -> Vec<String> {
    hosts.iter().map(|host| host.live("users")).collect()
}

#[test]
fn a_build_and_a_manifest_go_to_every_host_one_first_and_no_request_fails() {
    let consul = Consul::start();
    let hosts = started(&consul, "");
    let front = Host::running(&format!(
        "{}[services.users]\nurl = {{ discover = \"consul:users\" }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"users\"\npublic = true\n",
        consul.settings()
    ));
    let new = file(&hosts[0], "new.wasm", &build(&wasm("hello"), 1));
    let old = live(&hosts);
    until("they are found", || front.get("/").status == 200);
    let (asked, told) = under_load(front.gateway, "GET", || {
        let told = swap(&hosts, &new, &[]).json();
        let changed = hosts[0].folder.path().join("changed.toml");
        let text = std::fs::read_to_string(hosts[0].folder.path().join("manifest.toml")).unwrap();
        std::fs::write(&changed, text.replace("[[routes]]", "limits = { timeout = \"4s\" }\n[[routes]]")).unwrap();
        let applied = command(&hosts, &["apply", changed.to_str().unwrap(), "--all"]).json();
        assert_eq!(outcomes(&applied), each(&hosts, ["changed"; HOSTS]));
        for host in applied["hosts"].as_array().unwrap() {
            assert_eq!(
                (&host["services"][0]["name"], &host["services"][0]["change"]),
                (&"users".into(), &"changed".into())
            );
        }
        told
    });
    println!("{asked} requests, none failed");
    assert_eq!(outcomes(&told), each(&hosts, ["changed"; HOSTS]));
    let now = live(&hosts);
    assert!(now.iter().zip(&old).all(|(now, old)| now != old), "{now:?}");
    assert!(now.iter().all(|version| *version == now[0]), "{now:?}");
    let since: Vec<String> = hosts
        .iter()
        .map(|host| {
            let versions = host.admin("GET", "/v1/services/users/versions", b"").json()["data"].clone();
            let swapped = versions.as_array().unwrap().iter().find(|entry| entry["outcome"] == "swapped").cloned();
            swapped.unwrap()["at"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(since.is_sorted() && since[0] != since[1], "the first was first: {since:?}");

    // Once more: there is nothing to do.
    assert_eq!(outcomes(&swap(&hosts, &new, &[]).json()), each(&hosts, ["had it"; HOSTS]));
    let status = command(&hosts, &["status", "--all"]).json();
    let told: Vec<_> = status["hosts"].as_array().unwrap().iter().map(|host| host["admin"].clone()).collect();
    assert_eq!(told, hosts.iter().map(url).collect::<Vec<_>>());
    assert!(status["hosts"].as_array().unwrap().iter().all(|host| host["status"]["services"][0]["version"] == *now[0]));
}

#[test]
fn a_host_that_refuses_ends_it_and_it_is_said_who_has_what_and_how_to_go_on_or_back() {
    let consul = Consul::start();
    let grant = "env = { LEVEL = \"1\" }\npermissions = { env = [\"LEVEL\"] }";
    let mut hosts = started(&consul, grant);
    let granted = std::fs::read_to_string(hosts[1].folder.path().join("manifest.toml")).unwrap();
    assert_eq!(hosts[1].apply(&granted.replace(grant, "")).status, 200);
    let old = live(&hosts);
    let new = file(&hosts[0], "new.wasm", &needing(&wasm("hello"), "env = [\"LEVEL\"]"));

    let stopped = swap(&hosts, &new, &[]).done();
    assert_eq!(stopped.code, 1, "{}{}", stopped.output, stopped.errors);
    assert_eq!(outcomes(&document(&stopped.output)), each(&hosts, ["changed", "refused", "untouched"]));
    let (first, second, third) = (url(&hosts[0]), url(&hosts[1]), url(&hosts[2]));
    for said in [
        format!("swapping users stopped at `{second}`"),
        "env".to_owned(),
        format!("live at {first}; not at {second}, {third}"),
        format!("to go back: archipel rollback users --admin {first}"),
    ] {
        assert!(stopped.errors.contains(&said), "no `{said}` in: {}", stopped.errors);
    }
    let now = live(&hosts);
    assert!(now[0] != old[0] && now[1..] == old[1..], "{now:?}");

    assert_eq!(command(&hosts, &["rollback", "users"]).json()["version"], *old[0]);
    let back = swap(&hosts, &new, &["--rollback"]).done();
    assert_eq!(back.code, 1, "{}{}", back.output, back.errors);
    assert_eq!(outcomes(&document(&back.output)), each(&hosts, ["taken back", "refused", "untouched"]));
    assert!(back.errors.contains("no host has the new build"), "{}", back.errors);
    assert_eq!(live(&hosts), old);

    // What was in the way is mended, and it goes on.
    assert_eq!(swap(&hosts, &new, &[]).done().code, 1);
    assert_eq!(hosts[1].apply(&granted).status, 200);
    assert_eq!(outcomes(&swap(&hosts, &new, &[]).json()), each(&hosts, ["had it", "changed", "changed"]));

    // One that is gone is no reason to change the others.
    let another = file(&hosts[0], "another.wasm", &build(&wasm("hello"), 2));
    drop(hosts.pop().unwrap().killed());
    let refused = swap(&hosts, &another, &[]).refused();
    assert!(refused.contains(&format!("nothing was changed: `{third}` does not answer")), "{refused}");
    let status = command(&hosts, &["status", "--all"]).json();
    assert!(status["hosts"][2]["error"].as_str().unwrap().contains("nothing answers"), "{status}");
}

#[test]
fn a_build_with_which_the_first_host_is_not_well_goes_no_further() {
    let consul = Consul::start();
    // What is an answer of `hello` is a trap of `probe`, which passes its smoke request.
    let hosts = started(&consul, "health = { path = \"/panic\" }");
    let old = live(&hosts);
    let ill = file(&hosts[0], "ill.wasm", &wasm("probe"));
    let stopped = swap(&hosts, &ill, &["--rollback"]).done();
    assert_eq!(stopped.code, 1, "{}{}", stopped.output, stopped.errors);
    assert_eq!(outcomes(&document(&stopped.output)), each(&hosts, ["taken back", "untouched", "untouched"]));
    assert!(stopped.errors.contains("`/health/services/users` says unhealthy"), "{}", stopped.errors);
    assert_eq!(live(&hosts), old);
}

#[test]
fn a_host_without_consul_says_that_it_knows_no_others() {
    let host = Host::probe("");
    let new = file(&host, "new.wasm", &build(&wasm("probe"), 1));
    let refused = host.command(&["swap", "probe", new.to_str().unwrap(), "--all"]).refused();
    assert!(refused.contains("its manifest has no `[discovery.consul]`"), "{refused}");
}
