//! More requests than fit: refused at once, counted, and forgotten when it is over.
//!
//! The bars of the design (refused in 20 ms, goodput 90 %) are for a quiet machine: here the
//! order of things is asserted and the figures are printed.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Answer, Connection, Held, Host, exchange, probe};

const DEADLINE: Duration = Duration::from_secs(20);
/// So long somebody is at work, in milliseconds, while others come: far longer than they take.
const HELD: u32 = 6000;

/// Asks until the answer has this status.
#[track_caller]
fn until(host: &Host, path: &str, status: u16) -> Duration {
    let began = Instant::now();
    while host.get(path).status != status {
        assert!(began.elapsed() < DEADLINE, "{path} never answered {status}");
    }
    began.elapsed()
}

#[track_caller]
fn is_refusal(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["success"], false);
}

#[test]
fn a_full_service_refuses_at_once_while_health_answers() {
    let host = Host::probe("limits = { concurrency = 1, queue = { length = 0, wait = \"250ms\" }, timeout = \"9s\" }");
    let held = Held::open(host.gateway, HELD);
    let mut waits: Vec<Duration> = (0..50)
        .map(|_| {
            let began = Instant::now();
            is_refusal(&host.get("/"));
            began.elapsed()
        })
        .collect();
    for page in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(host.get(page).status, 200, "{page}");
        assert_eq!(exchange(host.admin, "GET", page, &[], b"").status, 200, "{page} for the operator");
    }
    is_refusal(&host.get("/")); // all of that while the one request still ran
    waits.sort();
    println!("refused in {:?} (median), {:?} (worst of 50)", waits[25], waits[49]);
    assert!(held.ends_whole());
    println!("served again after {:?}", until(&host, "/", 200));
}

#[test]
fn a_short_queue_bridges_a_moment_and_no_more() {
    let host = Host::probe("limits = { concurrency = 1, queue = { length = 2, wait = \"8s\" }, timeout = \"9s\" }");
    let held = Held::open(host.gateway, 4000);
    let mut statuses: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..12).map(|_| scope.spawn(|| host.get("/").status)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [&[200; 2][..], &[503; 10]].concat());
    assert!(held.ends_whole());
}

#[test]
fn nobody_waits_in_the_queue_longer_than_it_allows() {
    let host = Host::probe("limits = { concurrency = 1, queue = { length = 10, wait = \"100ms\" }, timeout = \"9s\" }");
    let held = Held::open(host.gateway, HELD);
    let began = Instant::now();
    is_refusal(&host.get("/"));
    println!("refused after {:?} in the queue", began.elapsed());
    assert!(began.elapsed() >= Duration::from_millis(100), "it waited its time");
    is_refusal(&host.get("/"));
    assert!(held.ends_whole());
}

#[test]
fn the_whole_gateway_has_a_limit_that_health_does_not_share() {
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\nrequests_max = 2\n";
    let host = Host::running(&format!("{gateway}{}", probe("limits = { timeout = \"9s\" }")));
    let held = [Held::open(host.gateway, HELD), Held::open(host.gateway, HELD)];
    is_refusal(&host.get("/"));
    is_refusal(&host.get("/unknown/path"));
    assert_eq!(host.get("/health/ready").status, 200);
    assert_eq!(host.get("/health/live").status, 200);
    for held in held {
        assert!(held.ends_whole());
    }
    until(&host, "/", 200);
}

#[test]
fn a_place_is_taken_until_the_last_byte_or_the_client_is_gone() {
    let host = Host::probe("limits = { concurrency = 1, queue = { length = 0, wait = \"1ms\" }, timeout = \"60s\" }");
    // Far more than the socket's buffers hold, and nobody reads it; then one that waits.
    for path in ["/stream?chunks=10000&size=10000", "/stream?chunks=2&size=1&ms=50000"] {
        let unread = Held::with(host.gateway, path);
        is_refusal(&host.get("/"));
        drop(unread);
        println!("free {:?} after its client went", until(&host, "/", 200));
    }
}

/// Requests answered and refused in a second and a half by so many clients.
fn load(host: &Host, clients: usize) -> (usize, usize) {
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let until = Instant::now() + Duration::from_millis(1500);
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = Connection::open(host.gateway);
                while Instant::now() < until {
                    connection.request("GET", "/sleep?ms=20", &[], b"");
                    match connection.answer(false).expect("an answer").status {
                        200 => answered.fetch_add(1, Relaxed),
                        503 => {
                            // The pace of a client that was told to come later.
                            thread::park_timeout(Duration::from_millis(30));
                            refused.fetch_add(1, Relaxed)
                        }
                        status => panic!("{status}"),
                    };
                }
            });
        }
        while Instant::now() < until {
            assert_eq!(host.get("/health/live").status, 200);
            thread::park_timeout(Duration::from_millis(50));
        }
    });
    (answered.into_inner(), refused.into_inner())
}

#[test]
fn ten_times_the_load_gets_the_same_work_done_and_leaves_nothing_behind() {
    let host = Host::probe(
        "limits = { concurrency = 4, queue = { length = 4, wait = \"2s\" }, reuse = { requests = 1000, idle = \"10s\" } }",
    );
    let (capacity, refused) = load(&host, 4);
    assert_eq!(refused, 0);
    let before = host.memory_mib();
    // While the machine stands still nothing is done: the second and a half after it shows what can be.
    let mut loads = (0..4).map(|_| load(&host, 40));
    let (goodput, refused) = loads.find(|(goodput, _)| goodput * 2 > capacity).unwrap_or_default();
    let recovered = until(&host, "/", 200);
    let growth = host.memory_mib().saturating_sub(before);
    println!(
        "capacity {capacity}, at 10 x: {goodput} answered, {refused} refused; recovered in {recovered:?}; +{growth} MiB"
    );
    assert!(goodput * 2 > capacity, "never half of {capacity}");
    assert!(refused > 0, "more came than fitted");
    assert!(growth <= 64, "{growth} MiB");
}

#[test]
fn slow_clients_delay_only_themselves() {
    let host = Host::probe("limits = { concurrency = 64, queue = { length = 16, wait = \"250ms\" } }");
    let before = host.memory_mib();
    let mut slow: Vec<Connection> = (0..500)
        .map(|n| {
            let mut connection = Connection::open(host.gateway);
            match n % 5 {
                0 => {}
                1 => connection.write(b"GET / HTTP/1.1\r\nhost: a\r\nx: "),
                // More than there are places for.
                2 => connection.write(b"POST /echo-body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"),
                _ => connection.write(b"POST /echo-body HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n"),
            }
            connection
        })
        .collect();
    let mut waits = Vec::new();
    for _ in 0..10 {
        // A byte of a field, of a body, of a chunk's size.
        slow.iter_mut().for_each(|connection| connection.write(b"1"));
        for _ in 0..20 {
            let began = Instant::now();
            assert_eq!(host.get("/").status, 200);
            waits.push(began.elapsed());
        }
    }
    waits.sort();
    let growth = host.memory_mib().saturating_sub(before);
    println!("beside 500 slow clients: median {:?}, worst {:?}, +{growth} MiB", waits[100], waits[199]);
}
