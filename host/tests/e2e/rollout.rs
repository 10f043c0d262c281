//! A pod's life, played without a cluster: three hosts behind one HAProxy, each drained and started again while clients
//! ask, and its manifest swapped as a ConfigMap is.
//!
//! `ARCHIPEL_ROUNDS=20 cargo test -p host --test e2e rollout::` replaces twenty; without that it is three, each host once.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::{fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::harness::{Connection, Host, archipel, exchange, place, probe, until, wait, write_manifest};

const HOSTS: usize = 3;
const CLIENTS: usize = 4;
/// Longer than the balancer needs to see that a host drains: two checks of 100 ms.
const LINGER: &str = "1s";

fn rounds() -> usize {
    std::env::var("ARCHIPEL_ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(HOSTS)
}

/// Ports that were free a moment ago, all of them at once.
fn free(count: usize) -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// Puts a manifest in place as Kubernetes does.
fn mounted(folder: &Path, listen: SocketAddr, version: usize) {
    let inside = format!("..{version}");
    fs::create_dir(folder.join(&inside)).unwrap();
    let service = probe(&format!("env = {{ V = \"{version}\" }}\npermissions = {{ env = [\"V\"] }}"));
    let rest = format!("[gateway]\nlisten = \"{listen}\"\n[host]\nlinger = \"{LINGER}\"\n{service}");
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
    let ports = free(HOSTS + 1);
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
