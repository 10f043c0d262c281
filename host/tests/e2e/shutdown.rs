//! How a host ends: in order, in time, and with nothing left behind.

use std::{
    fs,
    path::Path,
    process::Child,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Instant,
};

use crate::harness::{Answer, Connection, Held, Host, archipel, exchange, probe, until, wait, write_manifest};

fn manifest(host: &str, rest: &str) -> String {
    let service = probe("limits = { reuse = { requests = 1000, idle = \"10s\" } }");
    format!("[host]\n{host}\n{rest}\n{service}")
}

/// Asks again and again on one connection until it is told to close it. Counts the answers.
fn busy(host: &Host, answers: &AtomicUsize) {
    let mut connection = Connection::open(host.gateway);
    loop {
        connection.request("GET", "/sleep?ms=10", &[], b"");
        let answer = connection.answer(false).expect("an answer to every request");
        assert!(answer.whole && answer.status == 200, "{answer:?}");
        answers.fetch_add(1, Relaxed);
        if answer.header("connection") == Some("close") {
            assert!(connection.closed());
            return;
        }
    }
}

fn slow(host: &Host) -> Answer {
    let mut connection = Connection::open(host.gateway);
    connection.request("GET", "/sleep?ms=1500", &[], b"");
    connection.answer(false).expect("an answer")
}

#[test]
fn sigterm_under_load_breaks_no_answer_and_is_not_ready_at_once() {
    let mut host = Host::running(&manifest("linger = \"5s\"\ndrain = \"10s\"", ""));
    let answers = AtomicUsize::new(0);
    let (began, at_signal) = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| busy(&host, &answers))).collect();
        until("the load is on", || answers.load(Relaxed) > 200);
        let slow_ones: Vec<_> = (0..6).map(|_| scope.spawn(|| slow(&host))).collect();
        let at_signal = answers.load(Relaxed);
        host.signal("TERM");
        let began = Instant::now();
        host.log.expect_line("draining");

        for address in [host.gateway, host.admin] {
            let ready = exchange(address, "GET", "/health/ready", &[], b"");
            assert_eq!((ready.status, &ready.json()["status"]), (503, &"shutting_down".into()));
            assert_eq!(exchange(address, "GET", "/health/live", &[], b"").status, 200);
        }
        assert_eq!(host.get("/").status, 200, "while lingering, requests are still taken");

        for client in slow_ones {
            let answer = client.join().expect("not broken");
            assert!(answer.whole && answer.status == 200, "{answer:?}");
        }
        clients.into_iter().for_each(|client| client.join().expect("not broken"));
        (began, at_signal)
    });
    assert!(host.ended().success());
    println!(
        "{at_signal} answers before SIGTERM, {} in all, 0 broken; ended after {:?}",
        answers.into_inner(),
        began.elapsed()
    );
    assert!(host.log.ended().contains("\"stragglers\":0"), "{}", host.log.text());
}

#[test]
fn the_drain_limit_cuts_who_is_left_and_the_host_still_ends_well() {
    let mut host = Host::running(&manifest("drain = \"300ms\"", ""));
    let held = [Held::open(host.gateway, 4500), Held::with(host.gateway, "/stream?chunks=100&size=10&ms=100")];
    host.signal("TERM");
    let began = Instant::now();
    for held in held {
        assert!(!held.ends_whole(), "half an answer never looks whole");
    }
    assert!(host.ended().success());
    println!("cut and ended after {:?}", began.elapsed());
    assert!(host.log.ended().contains("\"stragglers\":2"), "{}", host.log.text());
}

#[test]
fn a_second_signal_ends_the_host_at_once() {
    let mut host = Host::probe("");
    let held = Held::open(host.gateway, 4500);
    host.signal("TERM");
    host.log.expect_line("draining");
    host.signal("INT");
    let began = Instant::now();
    assert_eq!(host.ended().code(), Some(1));
    println!("ended {:?} after the second signal", began.elapsed());
    assert!(!held.ends_whole());
}

const DATABASE: &str = "[postgres.things]";

/// The process number of the private server, once it runs.
fn server(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join(".archipel/postgres/postmaster.pid")).ok()?;
    let server = text.lines().next()?.trim().parse().ok()?;
    runs(server).then_some(server)
}

fn runs(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_private_postgresql_ends_with_its_host_however_that_ends() {
    let mut host = Host::running(&manifest("", DATABASE));
    let process = server(host.folder.path()).expect("it runs");
    host.signal("TERM");
    assert!(host.ended().success());
    assert!(!runs(process), "stopped in order before the host ended");

    // In order, so nothing has to be recovered; then at once.
    let folder = std::mem::replace(&mut host.folder, tempfile::tempdir().unwrap());
    let mut host = Host::running_in(folder, &manifest("", DATABASE));
    let process = server(host.folder.path()).expect("it runs again");
    let held = Held::open(host.gateway, 4500);
    host.signal("TERM");
    host.log.expect_line("draining");
    host.signal("TERM");
    assert!(!host.ended().success());
    drop(held);
    until("it is gone", || !runs(process));
}

fn starting(folder: &Path) -> Child {
    let manifest = write_manifest(folder, &manifest("", DATABASE));
    archipel().arg("run").arg(manifest).spawn().unwrap()
}

#[test]
fn sigterm_during_the_start_ends_it_and_the_next_start_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join(".archipel/postgres");
    // Before its data is made whole, and when it is there.
    for moment in ["data", "server"] {
        let mut child = starting(folder.path());
        until(moment, || match moment {
            "data" => mark.exists() || fs::read_dir(folder.path().join(".archipel")).is_ok_and(|all| all.count() > 1),
            _ => server(folder.path()).is_some(),
        });
        let process = server(folder.path());
        let kill = |name: &str| {
            std::process::Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap()
        };
        assert!(kill("TERM").success());
        let began = Instant::now();
        let status = wait(&mut child);
        println!("SIGTERM at {moment}: ended after {:?} with {status}", began.elapsed());
        assert!(status.success(), "{status}");
        if let Some(process) = process {
            until("the server is gone", || !runs(process));
        }
    }
    let host = Host::running_in(folder, &manifest("", DATABASE));
    assert_eq!(host.get("/").status, 200);
    host.stop();
}
