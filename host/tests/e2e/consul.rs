//! Consul's API beside what others make of it: its makers' own double answers a host, and Traefik finds our hosts in the
//! agent that the other tests have.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

use crate::harness::{
    Connection, Consul, Host, Upstream, exchange, free, under_load, until, upstream::Act, wait, write_manifest,
};

const ROUTE: &str = "[[routes]]\npath = \"/{*rest}\"\nservice = \"users\"\npublic = true\n";

/// Where `scripts/setup.sh consul` puts them.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/consul")
}

/// A program of others that listens at an address; ended with the test.
struct Program {
    child: Child,
    at: SocketAddr,
}

impl Program {
    fn of(mut command: Command, at: SocketAddr) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("it is there: `scripts/setup.sh consul`");
        let program = Self { child, at };
        until("it listens", || TcpStream::connect(at).is_ok());
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        wait(&mut self.child);
    }
}

/// How many addresses the double says a service has; others each time it is asked.
const ADDRESSES: &str = "7";

/// The double of Consul's makers: every answer is as Consul's by its shape, and another one.
fn double() -> Program {
    let (folder, at) = (installed().join("node_modules"), free());
    let mut command = Command::new("node");
    command.arg(folder.join("@hashicorp/api-double/bin/index.js"));
    command.arg("--dir").arg(folder.join("@hashicorp/consul-api-double"));
    command.arg("--port").arg(at.port().to_string());
    // How long it holds a question back that has an index, in milliseconds.
    command.env("CONSUL_NODE_COUNT", ADDRESSES).env("CONSUL_CHECK_COUNT", "2").env("CONSUL_LATENCY", "250");
    Program::of(command, at)
}

/// What was asked about services, and what was answered.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// Hands on every question and keeps it with its answer.
fn listening(to: SocketAddr) -> (Upstream, Heard) {
    let heard = Heard::default();
    let kept = heard.clone();
    let between = Upstream::acting(move |_, request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let mut connection = Connection::open(to);
        connection.request(method, path, &[("content-type", "application/json")], body.as_bytes());
        // The double ends with the test.
        let Some(answer) = connection.answer(false) else { return Act::Pause(Vec::new(), Duration::ZERO) };
        let index = answer.header("x-consul-index").unwrap_or("0");
        let text = answer.text();
        let said = format!(
            "HTTP/1.1 {} Answered\r\nx-consul-index: {index}\r\ncontent-length: {}\r\n\r\n{text}",
            answer.status,
            text.len()
        );
        if path.starts_with("/v1/health/") {
            kept.lock().unwrap().push((path.to_owned(), answer.json()));
        }
        Act::Say(said.into_bytes())
    });
    (between, heard)
}

/// The addresses in an answer of the double, by the fields that Consul's reference names.
fn addresses(answer: &Value) -> BTreeSet<String> {
    let services = answer.as_array().unwrap().iter().map(|entry| &entry["Service"]);
    services.map(|service| format!("{}:{}", service["Address"].as_str().unwrap(), service["Port"])).collect()
}

#[test]
fn a_host_reads_what_the_double_of_consuls_makers_answers_and_follows_it() {
    let double = double();
    let (between, heard) = listening(double.at);
    // Nobody is asked for anything at those addresses: no request is sent there, and nothing checks them.
    let host = Host::running(&format!(
        "[discovery.consul]\nurl = \"http://{}\"\n[services.orders]\nurl = {{ discover = \"consul:orders\" }}\n\
         [services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n{ROUTE}\
         [[routes]]\npath = \"/orders\"\nservice = \"orders\"\npublic = true\n",
        between.address
    ));
    let known = || -> BTreeSet<String> {
        let status = host.admin("GET", "/v1/services/orders", b"").json()["data"].clone();
        let all = status["addresses"].as_array().unwrap().clone();
        let text = |one: &Value| one["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
        all.iter().map(text).collect()
    };
    let mut seen = BTreeSet::new();
    until("three answers were taken as they are", || {
        let (now, told) = (known(), heard.lock().unwrap());
        let answered = told.iter().position(|(_, answer)| addresses(answer) == now);
        seen.extend(answered);
        seen.len() >= 3
    });
    let asked: Vec<String> = heard.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(asked[0], "/v1/health/service/orders?passing=true");
    for (number, path) in asked.iter().enumerate().skip(1) {
        // It counts from 2, and held is what has an index.
        assert_eq!(*path, format!("/v1/health/service/orders?passing=true&index={}&wait=60s", number + 1));
    }
    let registered = |request: &String| request.starts_with("PUT /v1/agent/service/register ");
    until("it is told of our own", || between.requests().iter().any(registered));
    assert_eq!(host.get("/").text(), "hello from archipel\n");
    assert!(!host.log.text().contains("makes no sense"), "{}", host.log.text());
}

/// Traefik, which finds services in the agent and sends everything to `users`.
fn traefik(consul: &Consul) -> Program {
    let at = free();
    let mut command = Command::new(installed().join("venv/bin/traefik"));
    command.arg(format!("--entryPoints.web.address={at}"));
    command.arg(format!("--providers.consulCatalog.endpoint.address={}", consul.url().trim_start_matches("http://")));
    command.args(["--providers.consulCatalog.watch=true", "--providers.consulCatalog.defaultRule=PathPrefix(`/`)"]);
    // A change goes live as soon as it is heard, and not two seconds after the one before it.
    command.args(["--providers.providersThrottleDuration=100ms", "--log.level=ERROR"]);
    command.args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]);
    Program::of(command, at)
}

#[test]
fn traefik_finds_our_hosts_in_consul_and_one_that_stops_or_gives_a_service_away_costs_no_request() {
    let consul = Consul::start();
    let having = format!("{}[services.users]\ncomponent = \"COMPONENTS/hello.wasm\"\n{ROUTE}", consul.settings());
    let (one, two) = (Host::running(&having), Host::running(&having));
    until("both are registered", || consul.ids().len() == 2);
    let traefik = traefik(&consul);
    until("Traefik has found them", || exchange(traefik.at, "GET", "/", &[], b"").status == 200);
    let served = |host: &Host| host.admin("GET", "/v1/services/users", b"").json()["data"]["requests"].as_u64();
    let is_asked = |host: &Host| served(host).is_some_and(|requests| requests > 0);
    until("both are asked", || {
        exchange(traefik.at, "GET", "/", &[], b"");
        is_asked(&one) && is_asked(&two)
    });
    let third = Host::running(&consul.settings());
    let (asked, ()) = under_load(traefik.at, "POST", || {
        drop(one.stop());
        write_manifest(third.folder.path(), &having);
        assert_eq!(third.admin("POST", "/v1/reload", b"").status, 200);
        until("it is asked, too", || is_asked(&third));
        write_manifest(two.folder.path(), &consul.settings());
        assert_eq!(two.admin("POST", "/v1/reload", b"").status, 200);
    });
    println!("{asked} requests through Traefik, none failed");
    assert_eq!(consul.ids(), [format!("users-127.0.0.1-{}", third.gateway.port())]);
}
