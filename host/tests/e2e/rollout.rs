//! A pod's life, played without a cluster: three hosts behind one HAProxy, each drained and started again while clients
//! ask, and its manifest swapped as a ConfigMap is.
//!
//! `ARCHIPEL_ROUNDS=20 cargo test --workspace --test e2e rollout::` replaces twenty; without that it is three, each host once.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::unix::{fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{
    Connection, End, Host, Redis,
    admin::{build, wasm},
    archipel, exchange, free, place, probe, until, wait, write_manifest,
};

const HOSTS: usize = 3;
const CLIENTS: usize = 4;
/// Longer than the balancer needs to see that a host drains: two checks of 100 ms.
const LINGER: &str = "1s";

fn rounds() -> usize {
    std::env::var("ARCHIPEL_ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(HOSTS)
}

/// Puts a manifest in place as Kubernetes does.
fn mounted(folder: &Path, listen: SocketAddr, version: usize) {
    let service = probe(&format!("env = {{ V = \"{version}\" }}\npermissions = {{ env = [\"V\"] }}"));
    mounted_with(folder, listen, version, &service);
}

/// The same with tables of the test's own.
fn mounted_with(folder: &Path, listen: SocketAddr, version: usize, tables: &str) {
    let inside = format!("..{version}");
    fs::create_dir(folder.join(&inside)).unwrap();
    let rest = format!("[gateway]\nlisten = \"{listen}\"\n[host]\nlinger = \"{LINGER}\"\n{tables}");
    write_manifest(&folder.join(&inside), &rest);
    symlink(inside, folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
}

fn started(folder: TempDir) -> Host {
    let mut run = archipel();
    run.arg("run").arg(folder.path().join("manifest.toml")).arg("--apply-on-change");
    Host::spawned(run, folder).unwrap_or_else(|failed| panic!("{}\n{}", failed.errors, failed.log))
}

/// HAProxy, ended with the test.
struct Balancer {
    child: Child,
    stats: PathBuf,
}

impl Balancer {
    fn before(hosts: &[SocketAddr], listen: SocketAddr, folder: &Path) -> Self {
        let stats = folder.join("stats");
        let servers = hosts.iter().enumerate().map(|(number, at)| format!("  server host{number} {at} check\n"));
        let file = folder.join("haproxy.cfg");
        let text = format!(
            "global\n  stats socket {stats} mode 600\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n  timeout check 5s\n\
             frontend shop\n  bind {listen}\n  default_backend hosts\n\
             backend hosts\n  balance roundrobin\n  option httpchk GET /health/ready\n  option redispatch\n  retry-on conn-failure empty-response\n\
             \x20 default-server inter 100ms fall 2 rise 1\n{servers}",
            stats = stats.display(),
            servers = servers.collect::<String>()
        );
        fs::write(&file, text).unwrap();
        let mut run = Command::new("haproxy");
        run.env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin").arg("-f").arg(&file);
        let child = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        Self { child: child.expect("HAProxy is installed by `scripts/setup.sh balancer`"), stats }
    }

    /// Whether it sends requests to that host.
    fn is_up(&self, number: usize) -> bool {
        let Ok(mut socket) = UnixStream::connect(&self.stats) else { return false };
        socket.write_all(b"show stat\n").unwrap();
        let mut told = String::new();
        socket.read_to_string(&mut told).unwrap();
        let line = told.lines().find(|line| line.starts_with(&format!("hosts,host{number},")));
        line.is_some_and(|line| line.split(',').any(|word| word == "UP"))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        wait(&mut self.child);
    }
}

/// Asks until it is told to stop; how many were answered, all of them whole and well.
fn client(to: SocketAddr, keeps: bool, stop: &AtomicBool, answers: &AtomicUsize) {
    let mut connection = Connection::open(to);
    while !stop.load(Relaxed) {
        connection.request("GET", "/env", &[], b"");
        let answer = connection.answer(false).expect("an answer to every request");
        assert!(answer.whole && answer.status == 200, "{answer:?}");
        answers.fetch_add(1, Relaxed);
        if !keeps || answer.header("connection") == Some("close") {
            connection = Connection::open(to);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn hosts_behind_a_balancer_are_replaced_and_reconfigured_and_no_request_fails() {
    let ports = [(); HOSTS + 1].map(|()| free());
    let (listen, at) = (ports[HOSTS], &ports[..HOSTS]);
    let place_of = |number: usize| {
        let folder = place();
        mounted(folder.path(), at[number], 0);
        symlink("..data/manifest.toml", folder.path().join("manifest.toml")).unwrap();
        folder
    };
    let mut hosts: Vec<Option<Host>> = (0..HOSTS).map(|number| Some(started(place_of(number)))).collect();
    let own = tempfile::tempdir().unwrap();
    let balancer = Balancer::before(at, listen, own.path());
    until("all hosts get requests", || (0..HOSTS).all(|number| balancer.is_up(number)));
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        let _end = End(&stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let (stop, answers) = (&stop, &answers);
                    move || client(listen, number % 2 == 0, stop, answers)
                })
            })
            .collect();
        until("the load is on", || answers.load(Relaxed) > 50);
        for round in 1..=rounds() {
            let number = round % HOSTS;
            let host = hosts[number].take().unwrap();
            mounted(host.folder.path(), at[number], round);
            let value = || exchange(at[number], "GET", "/env", &[], b"").json()["V"].clone();
            until("the swapped manifest runs", || value() == round.to_string().as_str());
            // As the kubelet: told to end, waited for, another one in its place.
            let folder = host.stop();
            hosts[number] = Some(started(folder));
            until("it gets requests again", || balancer.is_up(number));
        }
        stop.store(true, Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    println!("{} rounds, {} requests in {:?}, none failed", rounds(), answers.load(Relaxed), began.elapsed());
    assert!(answers.load(Relaxed) > rounds() * 50);
}

/// A service that publishes what it is told, and handles it.
fn eventful(redis: &Redis, version: usize) -> String {
    format!(
        "[redis.main]\nurl = \"{}\"\n[events]\nredis = \"main\"\n\
         [services.a]\ncomponent = \"COMPONENTS/probe_events.wasm\"\nenv = {{ V = \"{version}\" }}\n\
         permissions = {{ env = [\"V\"], publish = [\"order.*\"], subscribe = [\"order.*\"] }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"a\"\npublic = true\n",
        redis.url()
    )
}

/// Publishes until it is told to stop; the ids, each of one event.
fn publisher(to: SocketAddr, number: usize, stop: &AtomicBool, answers: &AtomicUsize) -> Vec<String> {
    let (mut connection, mut ids) = (Connection::open(to), Vec::new());
    while !stop.load(Relaxed) {
        let order = format!("{{\"topic\":\"order.created\",\"body\":{{}},\"dedup\":\"{number}-{}\"}}", ids.len());
        // A Redis that was late on a busy machine is asked again: what is published twice under one name is one event.
        ids.push(until("it is published", || {
            connection.request("POST", "/publish", &[("content-type", "application/json")], order.as_bytes());
            let answer = connection.answer(false).expect("an answer to every request");
            assert!(answer.whole, "{answer:?}");
            answers.fetch_add(1, Relaxed);
            if answer.header("connection") == Some("close") {
                connection = Connection::open(to);
            }
            let told = answer.json();
            let variant = &told["error"]["variant"];
            assert!(answer.status == 200 || variant == "timeout" || variant == "unavailable", "{answer:?}");
            (answer.status == 200).then(|| told["id"].as_str().unwrap().to_owned())
        }));
        thread::sleep(Duration::from_millis(5));
    }
    ids
}

#[test]
fn events_of_two_hosts_are_neither_lost_nor_handled_twice_while_builds_manifests_and_hosts_are_replaced() {
    let redis = Redis::start();
    let ports = [(); 3].map(|()| free());
    let (listen, at) = (ports[2], &ports[..2]);
    let place_of = |number: usize| {
        let folder = place();
        mounted_with(folder.path(), at[number], 0, &eventful(&redis, 0));
        symlink("..data/manifest.toml", folder.path().join("manifest.toml")).unwrap();
        folder
    };
    let mut hosts: Vec<Option<Host>> = (0..2).map(|number| Some(started(place_of(number)))).collect();
    let mut logs: Vec<_> = hosts.iter().flatten().map(|host| host.log.clone()).collect();
    let own = tempfile::tempdir().unwrap();
    let balancer = Balancer::before(at, listen, own.path());
    until("both get requests", || balancer.is_up(0) && balancer.is_up(1));
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rounds = if std::env::var_os("ARCHIPEL_ROUNDS").is_some() { rounds() } else { 2 };
    let ids: Vec<String> = thread::scope(|scope| {
        let _end = End(&stop);
        let publishers: Vec<_> = (0..2)
            .map(|number| {
                let (stop, answers) = (&stop, &answers);
                scope.spawn(move || publisher(listen, number, stop, answers))
            })
            .collect();
        until("the load is on", || answers.load(Relaxed) > 20);
        for round in 1..=rounds {
            // A build, first on one host and then on the other, beside a manifest that only one of them has yet.
            for host in hosts.iter().flatten() {
                let swapped = host.swap("a", &build(&wasm("probe_events"), u32::try_from(round).unwrap()));
                assert_eq!(swapped.status, 200, "{}", swapped.text());
            }
            let number = round % 2;
            let host = hosts[number].take().unwrap();
            let applied = host.log.text().matches("a changed manifest runs").count();
            mounted_with(host.folder.path(), at[number], round, &eventful(&redis, round));
            until("the changed manifest is applied", || {
                host.log.text().matches("a changed manifest runs").count() > applied
            });
            let host = started(host.stop());
            logs.push(host.log.clone());
            hosts[number] = Some(host);
            until("it gets requests again", || balancer.is_up(number));
        }
        stop.store(true, Relaxed);
        publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect()
    });
    let ends = || logs.iter().map(|log| log.text().matches("handled {").count()).sum::<usize>();
    until("all are handled", || ends() >= ids.len());
    let mut handled: BTreeMap<String, usize> = ids.iter().map(|id| (id.clone(), 0)).collect();
    for line in logs.iter().flat_map(|log| log.text().lines().map(str::to_owned).collect::<Vec<_>>()) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(told) = line["message"].as_str().and_then(|message| message.strip_prefix("handled ")) else {
            continue;
        };
        let told: Value = serde_json::from_str(told).unwrap();
        *handled.entry(told["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let odd: Vec<_> = handled.iter().filter(|(_, count)| **count != 1).collect();
    println!("{rounds} rounds, {} events, none lost or handled twice", ids.len());
    assert!(odd.is_empty() && handled.len() == ids.len(), "not once: {odd:?}");
}
