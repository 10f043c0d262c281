//! A collector that is away, slow or busy while the host has as many requests as it can serve: they notice nothing, memory
//! stays where it is, what is lost is counted, and it ends by itself.
//!
//! `ARCHIPEL_STORM=60` makes each of them last a minute, and prints what was measured.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{PARENT, TRACE, export::metric};
use crate::harness::{Collector, Connection, End, Host, probe, until};

/// Who ask at once.
const CLIENTS: usize = 4;

/// How long each trouble lasts.
fn lasting() -> Duration {
    let seconds = std::env::var("ARCHIPEL_STORM").ok().and_then(|text| text.parse().ok());
    seconds.map_or(Duration::from_millis(1_200), Duration::from_secs)
}

/// Requests one after the other on connections that stay, until `over`; gives what each took, sorted.
fn load(host: SocketAddr, over: &AtomicBool) -> Vec<Duration> {
    let client = || {
        let (mut connection, mut took) = (Connection::open(host), Vec::new());
        while !over.load(Relaxed) {
            let began = Instant::now();
            connection.request("GET", "/", &[], b"");
            let answer = connection.answer(false).expect("an answer");
            assert_eq!(answer.status, 200);
            took.push(began.elapsed());
        }
        took
    };
    let mut all: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("every request is answered")).collect()
    });
    all.sort_unstable();
    all
}

/// Loads the host for as long as a trouble lasts, and then until `enough`.
fn storm(host: &Host, enough: impl Fn() -> bool) -> Vec<Duration> {
    let (over, address) = (AtomicBool::new(false), host.gateway);
    thread::scope(|scope| {
        let _end = End(&over);
        let loading = scope.spawn(|| load(address, &over));
        thread::sleep(lasting());
        let deadline = Instant::now() + Duration::from_secs(60);
        let was_enough = until_or(deadline, enough);
        over.store(true, Relaxed);
        let took = loading.join().expect("all clients end well");
        assert!(was_enough, "it lasted for long enough");
        took
    })
}

fn until_or(deadline: Instant, enough: impl Fn() -> bool) -> bool {
    while !enough() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

#[test]
fn a_collector_in_trouble_costs_spans_and_neither_requests_nor_memory() {
    let good = Collector::start();
    let settings = "limits = { concurrency = 16 }\n";
    let host = Host::running(&format!("{}{}", probe(settings), good.telemetry("")));
    let calm = storm(&host, || metric(&host, "archipel_spans_sent_total") > 0);
    let resident = || metric(&host, "process_resident_memory_bytes") >> 20;
    let lost = || metric(&host, "archipel_spans_dropped_total");
    let (before, mut lost_before) = (resident(), lost());
    println!("well: {} requests, p50 {:?}, p99 {:?}, {before} MiB", calm.len(), at(&calm, 0.5), at(&calm, 0.99));
    let troubles: [(&str, u16, u64); 4] = [("slow", 200, 5_000), ("429", 429, 0), ("503", 503, 0), ("away", 200, 0)];
    for (name, status, delay_ms) in troubles {
        let asked_before = good.heads().len();
        good.away(name == "away");
        good.answer(status);
        good.delay(Duration::from_millis(delay_ms));
        let took = storm(&host, || lost() > lost_before && good.heads().len() > asked_before);
        let (now, queued) = (resident(), metric(&host, "archipel_spans_queued"));
        let (p50, p99) = (at(&took, 0.5), at(&took, 0.99));
        println!("{name}: {} requests, p50 {p50:?}, p99 {p99:?}, {now} MiB, {} lost", took.len(), lost() - lost_before);
        assert!(queued <= 2048, "{name}: {queued} wait");
        assert!(now < before + 64, "{name}: {before} MiB, then {now} MiB");
        // Nobody waits for a collector, which takes five seconds at its slowest.
        let (usual, longest) = (at(&calm, 0.5), at(&took, 1.0));
        assert!(p50 < usual * 3 + Duration::from_millis(200), "{name}: {p50:?}, when all was well {usual:?}");
        assert!(longest < Duration::from_secs(5), "{name}: {longest:?}");
        lost_before = lost();
    }
    // It ends by itself: what is asked then arrives.
    good.away(false);
    good.answer(200);
    good.delay(Duration::ZERO);
    let began = Instant::now();
    until("the collector has it again", || {
        host.send("GET", "/", &[("traceparent", PARENT)], b"");
        good.spans().iter().any(|span| span.trace_id == TRACE)
    });
    println!("taken again after {:?}", began.elapsed());
    let told = host.log.text();
    assert!(told.matches("the collector takes no spans").count() <= troubles.len(), "said once for each: {told}");
}
