//! Rate limits: exact, by whom, over several hosts, and while the Redis is away.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Answer, Connection, End, Host, Redis, place, probe, until};

const CONNECTIONS: usize = 25;
/// What the log says when the Redis does not answer: once for each outage, of late answers every ten seconds at most.
const BY_ITSELF: &str = "until it does, limits are counted in memory";

/// A gateway with these lines, a probe behind every path.
fn limited(gateway: &str) -> Host {
    Host::running(&manifest(gateway))
}

fn manifest(gateway: &str) -> String {
    format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n{gateway}\n{}",
        probe("limits = { reuse = { requests = 1000, idle = \"10s\" } }")
    )
}

fn shared(redis: &Redis, limit: &str) -> String {
    format!("limit = \"{limit}\"\nlimit_store = \"redis.main\"\n[redis.main]\nurl = \"{}\"\n", redis.url())
}

/// How many of `each` requests on each of 25 connections were accepted; the others are 429.
fn accepted(hosts: &[&Host], each: usize) -> usize {
    let start = Barrier::new(CONNECTIONS);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|client| {
                let (start, to) = (&start, hosts[client % hosts.len()].gateway);
                scope.spawn(move || {
                    let mut connection = Connection::open(to);
                    start.wait();
                    let answers = (0..each).map(|_| {
                        connection.request("GET", "/", &[], b"");
                        connection.answer(false).expect("an answer")
                    });
                    answers.filter(|answer| is_accepted(answer)).count()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

#[track_caller]
fn is_accepted(answer: &Answer) -> bool {
    match answer.status {
        200 => true,
        429 => false,
        other => panic!("{other}: {answer:?}"),
    }
}

/// The longest that this machine let nothing go on meanwhile: a request may have lost as much.
pub fn paused<T>(meanwhile: impl FnOnce() -> T) -> (Duration, T) {
    let (stop, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let done = thread::scope(|scope| {
        let _end = End(&stop);
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let began = Instant::now();
                thread::park_timeout(Duration::from_millis(1));
                longest.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap(), Relaxed);
            }
        });
        meanwhile()
    });
    (Duration::from_micros(longest.into_inner()), done)
}

fn header(answer: &Answer, name: &str) -> u64 {
    answer.header(name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).parse().unwrap()
}

#[test]
fn over_25_connections_exactly_the_limit_is_accepted() {
    let host = limited("limit = \"100/min\"");
    let began = Instant::now();
    let accepted = accepted(&[&host], 20);
    let refill = began.elapsed().as_millis() / 600 + 1;
    println!("{accepted} of 500 accepted, refill at most {refill}");
    assert!((100..=100 + usize::try_from(refill).unwrap()).contains(&accepted), "{accepted}, refill {refill}");

    let asked = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    // One has come back each 600 ms.
    let refused = until("one is refused", || Some(host.get("/")).filter(|answer| answer.status == 429));
    assert!(header(&refused, "retry-after") >= 1);
    assert_eq!((header(&refused, "x-ratelimit-limit"), header(&refused, "x-ratelimit-remaining")), (100, 0));
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    assert!((asked + 55..now + 62).contains(&header(&refused, "x-ratelimit-reset")), "{refused:?}");
    assert_eq!(refused.json()["success"], false);
}

#[test]
fn everything_counts_but_health() {
    let host = limited("limit = \"4/h\"");
    for path in ["/openapi.json", "/", "/status?code=500", "/no-such-behaviour"] {
        assert!(host.get(path).header("x-ratelimit-remaining").is_some(), "{path}");
    }
    for path in ["/openapi.json", "/", "/no-such-behaviour"] {
        assert_eq!(host.get(path).status, 429, "{path}");
    }
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, None), "{path}");
    }
}

#[test]
fn the_default_is_100_a_minute_and_off_is_off() {
    let host = limited("# limit = \"100/min\"\nlimit = \"100/min\"");
    assert_eq!(header(&host.get("/"), "x-ratelimit-limit"), 100);
    let host = limited("limit = \"off\"");
    assert_eq!(host.get("/").header("x-ratelimit-limit"), None);
}

#[test]
fn who_says_where_it_comes_from_is_believed_only_as_a_trusted_proxy() {
    let from = |host: &Host, address: &str| host.send("GET", "/echo", &[("x-forwarded-for", address)], b"");
    let host = limited("limit = \"2/h\"");
    let statuses: Vec<_> = (1..=3).map(|n| from(&host, &format!("203.0.113.{n}")).status).collect();
    assert_eq!(statuses, [200, 200, 429], "an invented address is no other client");

    let host = limited("limit = \"2/h\"\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]");
    for n in 1..=3 {
        let answer = from(&host, &format!("198.51.100.9, 203.0.113.{n}, 10.1.1.1"));
        assert_eq!(answer.status, 200, "the right-most untrusted address is the client");
        let told =
            answer.json()["headers"].as_array().unwrap().iter().find(|pair| pair[0] == "x-forwarded-for").cloned();
        assert_eq!(told.unwrap()[1], format!("203.0.113.{n}"), "the service is told the same");
    }
    let statuses = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "[2001:db8:0:1::3]:80", "2001:db8:0:2::1"]
        .map(|address| from(&host, address).status);
    assert_eq!(statuses, [200, 200, 429, 200], "IPv6 clients count by /64");
}

#[test]
fn a_routes_own_limit_is_no_other_routes() {
    let route =
        |path: &str| format!("[[routes]]\npath = \"{path}\"\nservice = \"probe\"\npublic = true\nlimit = \"2/h\"\n");
    let services = probe("");
    let rest = format!("{services}{}{}", route("/echo"), route("/random"));
    let host = Host::running(&format!("[gateway]\nlisten = \"127.0.0.1:0\"\nlimit = \"10/h\"\n{rest}"));
    let asked = |path: &str| (0..3).map(|_| host.get(path).status).collect::<Vec<_>>();
    assert_eq!(asked("/echo"), [200, 200, 429]);
    assert_eq!(asked("/random"), [200, 200, 429]);
    let told = host.get("/");
    assert_eq!((told.status, header(&told, "x-ratelimit-limit"), header(&told, "x-ratelimit-remaining")), (200, 10, 3));
}

#[test]
fn two_hosts_with_one_redis_count_together() {
    let redis = Redis::start();
    let hosts = [limited(&shared(&redis, "100/h")), limited(&shared(&redis, "100/h"))];
    let began = Instant::now();
    let accepted = accepted(&[&hosts[0], &hosts[1]], 12);
    assert!(began.elapsed() < Duration::from_secs(36), "the machine is too slow to tell refill from mistake");
    let by_itself = |host: &Host| host.log.text().contains(BY_ITSELF);
    match accepted {
        100 => {}
        // A Redis that is late for one makes the host count that one by itself, and say so.
        101..=200 => until("a host has counted by itself", || hosts.iter().any(by_itself)),
        _ => panic!("{accepted} of 300 over both"),
    }
    for host in &hosts {
        assert_eq!(host.get("/").status, 429);
        assert_eq!(host.get("/health").json()["checks"]["redis.main"]["status"], "healthy");
        assert!(!host.log.text().contains(redis.secret()));
    }
}

/// Asks on and on until told to stop; the longest time and how many answers.
fn load<T>(host: &Host, meanwhile: impl FnOnce(&AtomicU64) -> T) -> (Duration, T) {
    let (stop, slowest, answers) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let done = thread::scope(|scope| {
        let _end = End(&stop);
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = Connection::open(host.gateway);
                while !stop.load(Relaxed) {
                    let began = Instant::now();
                    connection.request("GET", "/", &[], b"");
                    let answer = connection.answer(false).expect("an answer");
                    slowest.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap(), Relaxed);
                    answers.fetch_add(1, Relaxed);
                    assert!(answer.header("x-ratelimit-limit").is_some() && is_accepted(&answer));
                }
            });
        }
        let done = meanwhile(&answers);
        stop.store(true, Relaxed);
        done
    });
    (Duration::from_micros(slowest.load(Relaxed)), done)
}

#[test]
fn a_redis_that_goes_away_under_load_delays_nobody_and_is_used_again_when_it_is_back() {
    let mut redis = Redis::start();
    let host = limited(&shared(&redis, "1000000/h"));
    let degraded = |status: &str| host.get("/health").json()["checks"]["redis.main"]["status"] == status;
    let loaded = Instant::now();
    let during = |answers: &AtomicU64| {
        let more = |count: u64| {
            let enough = answers.load(Relaxed) + count;
            until("the load goes on", || answers.load(Relaxed) >= enough);
        };
        more(200);
        redis.kill();
        more(500);
        host.log.expect_line(BY_ITSELF);
        until("health says so", || degraded("degraded"));
        assert_eq!(host.get("/health/ready").status, 200, "a host that counts by itself is ready");
        redis.start_again();
        let began = Instant::now();
        host.log.expect_line("the Redis answers again");
        println!("used again after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}: two seconds are promised", began.elapsed());
        more(200);
        // Now it hangs instead: connected, and silent.
        redis.freeze(true);
        more(500);
        until("health says so again", || degraded("degraded"));
        redis.freeze(false);
        until("it is back", || degraded("healthy"));
        more(200);
    };
    let (pause, (slowest, ())) = paused(|| load(&host, during));
    println!("slowest of all requests: {slowest:?}; nothing went on for {pause:?} at most");
    assert!(slowest < pause + Duration::from_millis(600), "{slowest:?}: nobody waits for a Redis over 100 ms");
    let (said, late) = (host.log.text().matches(BY_ITSELF).count(), loaded.elapsed().as_secs() / 10);
    assert!((1..=3 + late).contains(&(said as u64)), "said once for each outage, not {said} times");
    assert!(!host.log.text().contains(redis.secret()));
}

#[test]
fn a_host_starts_without_its_redis_and_counts_by_itself() {
    let mut redis = Redis::start();
    redis.kill();
    let host = Host::running_in(place(), &manifest(&shared(&redis, "5/h")));
    assert_eq!((0..6).map(|_| host.get("/").status).collect::<Vec<_>>(), [200, 200, 200, 200, 200, 429]);
    host.log.expect_line("a Redis cannot be reached");
    redis.start_again();
    until("the Redis counts", || host.get("/").status == 200);
    assert!(!host.log.text().contains(redis.secret()));
}
