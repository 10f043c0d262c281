//! A new build gets its share of the requests, and loses it when it does worse.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Connection, End, Host,
        admin::{build, file, wasm},
        place, probe, until, write_manifest,
    },
    swap::version,
};

/// Long enough for a share to be seen, short enough to wait for.
const BRISK: &str = "swap = { ramp = { steps = [\"20%\", \"60%\"], step = \"400ms\", min_requests = 20 }, \
                     rollback = { error_rate = \"5%\", latency = \"10000%\", window = \"5s\" } }";
/// Never ends by itself, and is never judged: one answer that a busy machine held up would make its build slow.
const ENDLESS: &str = "swap = { ramp = { steps = [\"50%\"], step = \"10m\", min_requests = 1000000 } }";

/// A service `probe` that is `hello`, which answers whatever it is asked.
fn hello(lines: &str) -> String {
    probe(lines).replace("probe.wasm", "hello.wasm")
}

/// What a load has seen, by version and status.
type Seen = BTreeMap<(String, u16), usize>;

/// Asks for these paths in turn, on several connections, until `then` is done.
pub fn under_load<T>(host: &Host, paths: &[&str], then: impl FnOnce(&AtomicUsize) -> T) -> (Seen, T) {
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen = Mutex::new(Seen::new());
    let done = thread::scope(|scope| {
        let _end = End(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(host.gateway);
                for path in paths.iter().cycle() {
                    if stop.load(Relaxed) {
                        return;
                    }
                    connection.request("GET", path, &[], b"");
                    let answer = connection.answer(false).expect("an answer to every request");
                    assert!(answer.whole, "{answer:?}");
                    let label = answer.header("x-service-version").unwrap_or("none").to_owned();
                    *seen.lock().unwrap().entry((label, answer.status)).or_default() += 1;
                    answers.fetch_add(1, Relaxed);
                }
            });
        }
        let done = then(&answers);
        stop.store(true, Relaxed);
        done
    });
    (seen.into_inner().unwrap(), done)
}

#[track_caller]
fn begun(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = answer.json()["data"].clone();
    assert!(data["ramp"].is_array(), "{data}");
    data["version"].as_str().unwrap().to_owned()
}

fn ramp(host: &Host, wasm: &[u8]) -> Answer {
    host.admin("POST", "/v1/services/probe/swap?ramp=true", wasm)
}

fn service(host: &Host) -> Value {
    host.admin("GET", "/v1/services/probe", b"").json()["data"].clone()
}

/// How the last try ended, when it has.
fn last(host: &Host, version: &str) -> Option<(String, String)> {
    let versions = host.admin("GET", "/v1/services/probe/versions", b"").json()["data"].clone();
    let entry = versions.as_array().unwrap().iter().find(|entry| entry["version"] == version)?.clone();
    let word = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    Some((word("outcome"), word("reason"))).filter(|(outcome, _)| outcome != "ramping")
}

#[test]
fn a_good_build_gets_its_shares_and_then_everything() {
    // Its first share is there for as long as it is looked at.
    let host = Host::probe(&BRISK.replace("400ms", "10m"));
    let old = version(&host.get("/"));
    under_load(&host, &["/"], |_| {
        let new = begun(&ramp(&host, &build(&wasm("probe"), 1)));
        assert_eq!(host.live("probe"), old, "the old one is live until the end");
        let status = until("a share is seen", || {
            Some(service(&host)["ramp"].clone()).filter(|ramp| ramp["new"]["requests"].as_u64() > Some(0))
        });
        assert_eq!((&status["version"], &status["percent"]), (&json!(new), &json!(20)), "{status}");
    });
    drop(host);

    let host = Host::probe(BRISK);
    let (seen, new) = under_load(&host, &["/"], |_| {
        let new = begun(&ramp(&host, &build(&wasm("probe"), 1)));
        until("the ramp is over", || last(&host, &new));
        new
    });
    assert_eq!(host.live("probe"), new);
    assert_eq!(last(&host, &new).unwrap().0, "swapped");
    assert_eq!(version(&host.get("/")), new);
    let count = |label: &str| seen.get(&(label.to_owned(), 200)).copied().unwrap_or(0);
    assert_eq!(count(&old) + count(&new), seen.values().sum::<usize>(), "no request failed: {seen:?}");
    assert!(count(&old) > 0 && count(&new) > 0, "{seen:?}");
    assert_eq!(host.admin("POST", "/v1/services/probe/rollback", b"").status, 200);
    assert_eq!(version(&host.get("/")), old);
}

#[test]
fn a_build_that_fails_on_every_tenth_request_is_taken_back_by_itself() {
    // What is a trap of `probe` is an answer of `hello`.
    for failing in ["/panic", "/trap-after-head", "/status?code=500"] {
        // So many that a tenth of them is never by chance as few as are allowed.
        let host = Host::running(&hello(&BRISK.replace("min_requests = 20", "min_requests = 200")));
        let old = version(&host.get("/"));
        let mut paths = vec!["/"; 9];
        paths.push(failing);
        let (stop, failed) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _end = End(&stop);
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut connection = Connection::open(host.gateway);
                    for path in paths.iter().cycle() {
                        if stop.load(Relaxed) {
                            return;
                        }
                        connection.request("GET", path, &[], b"");
                        let answer = connection.answer(false);
                        if !answer.is_some_and(|answer| answer.whole && answer.status == 200) {
                            failed.fetch_add(1, Relaxed);
                            connection = Connection::open(host.gateway);
                        }
                    }
                });
            }
            let new = begun(&ramp(&host, &wasm("probe")));
            let (outcome, reason) = until("the ramp is over", || last(&host, &new));
            assert_eq!(outcome, "reverted", "{failing}: {reason}");
            assert!(reason.contains("requests failed"), "{failing}: {reason}");
            assert_eq!(service(&host)["ramp"], Value::Null);
            let failed_then = failed.load(Relaxed);
            (0..50).for_each(|_| assert_eq!(host.get(failing).status, 200, "the old one answers everything again"));
            stop.store(true, Relaxed);
            println!("{failing}: {failed_then} requests failed before it was taken back");
        });
        assert!(failed.load(Relaxed) > 0, "{failing}");
        assert_eq!(host.live("probe"), old);
        host.log.expect_line("a ramp was taken back");
    }
}

#[test]
fn a_build_that_fails_at_all_but_its_smoke_request_is_taken_back_at_once() {
    let host = Host::running(&hello("swap = { ramp = { steps = [\"20%\"], step = \"400ms\" } }"));
    let old = version(&host.get("/"));
    let new = begun(&ramp(&host, &wasm("probe")));
    let (outcome, reason) = until("the ramp is over", || {
        (0..50).for_each(|_| _ = host.get("/panic"));
        last(&host, &new)
    });
    assert_eq!(outcome, "reverted", "{reason}");
    assert!(reason.contains("requests failed"), "{reason}");
    assert_eq!((host.live("probe"), host.get("/panic").status), (old, 200));
}

#[test]
fn a_build_that_is_much_slower_is_taken_back_and_wait_says_so() {
    let lines = BRISK.replace("10000%", "100%");
    let host = Host::running(&hello(&lines));
    let old = version(&host.get("/"));
    let new = file(&host, "slow.wasm", &wasm("probe"));
    let (seen, refused) = under_load(&host, &["/sleep?ms=400"], |_| {
        host.command(&["swap", "probe", new.to_str().unwrap(), "--ramp", "--wait"]).refused()
    });
    assert!(refused.contains("was taken back") && refused.contains("on average"), "{refused}");
    assert_eq!(host.live("probe"), old);
    assert!(seen.keys().all(|(_, status)| *status == 200), "{seen:?}");
}

#[test]
fn the_same_trace_meets_the_same_build() {
    let host = Host::probe(ENDLESS);
    begun(&ramp(&host, &build(&wasm("probe"), 1)));
    let mut met = BTreeMap::<String, usize>::new();
    for trace in 1..=40 {
        let parent = format!("00-{trace:032x}-00f067aa0ba902b7-01");
        let ask = || version(&host.send("GET", "/", &[("traceparent", &parent)], b""));
        let first = ask();
        assert!((0..3).all(|_| ask() == first), "trace {trace}");
        *met.entry(first).or_default() += 1;
    }
    assert!(met.len() == 2 && met.values().all(|count| *count >= 8), "about half each: {met:?}");
}

#[test]
fn whatever_comes_during_a_ramp_has_its_answer() {
    let folder = place();
    let host = Host::running_in(folder, &probe(ENDLESS));
    let probe_wasm = wasm("probe");
    let old = version(&host.get("/"));

    let first = begun(&ramp(&host, &build(&probe_wasm, 1)));
    let done = host.admin("POST", "/v1/services/probe/rollback", b"");
    assert_eq!((done.status, &done.json()["data"]["version"]), (200, &json!(old)), "{}", done.text());
    assert_eq!(until("it is written down", || last(&host, &first)), ("reverted".into(), "rolled back by local".into()));
    assert!((0..20).all(|_| version(&host.get("/")) == old));

    let second = begun(&ramp(&host, &build(&probe_wasm, 2)));
    assert_eq!(host.swap("probe", b"no component").status, 422);
    assert_eq!(service(&host)["ramp"]["version"], second, "a bad build disturbs no ramp");
    let third = begun(&ramp(&host, &build(&probe_wasm, 3)));
    let superseded = until("it is written down", || last(&host, &second));
    assert_eq!(superseded, ("reverted".into(), format!("superseded by {third}")));

    let fourth = host.swap("probe", &build(&probe_wasm, 4)).json()["data"]["version"].as_str().unwrap().to_owned();
    assert_eq!(until("it is written down", || last(&host, &third)).1, format!("superseded by {fourth}"));
    assert!((0..20).all(|_| version(&host.get("/")) == fourth));

    let fifth = begun(&ramp(&host, &build(&probe_wasm, 5)));
    let manifest = |lines: &str| std::fs::read_to_string(write_manifest(host.folder.path(), &probe(lines))).unwrap();
    assert_eq!(host.apply(&manifest(ENDLESS)).status, 200);
    assert_eq!(service(&host)["ramp"]["version"], fifth, "what is the same is not touched");
    let changed = host.apply(&manifest(&format!("version = \"9.0.0\"\n{ENDLESS}")));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert!(until("it is written down", || last(&host, &fifth)).1.contains("applied manifest"));
    assert!(version(&host.get("/")).starts_with("9.0.0+"));

    // A restart in the middle runs the build that was live.
    let live = version(&host.get("/"));
    begun(&ramp(&host, &build(&probe_wasm, 6)));
    let host = Host::running_in(host.killed(), &probe(&format!("version = \"9.0.0\"\n{ENDLESS}")));
    assert!((0..20).all(|_| version(&host.get("/")) == live));
}
