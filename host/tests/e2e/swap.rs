//! A new build goes live under load and nobody notices.

use std::{
    collections::HashMap,
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Connection, End, Held, Host,
        admin::{build, file, wasm},
        components, exchange,
        h2::{Client, runtime, whole},
        probe,
        spoilt::{LOOP, TRAP, starting_with},
        until,
    },
    ramp::under_load,
};

const REUSE: &str = "limits = { cpu = \"3s\", reuse = { requests = 1000, idle = \"10s\" } }";

pub fn version(answer: &Answer) -> String {
    answer.header("x-service-version").unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

#[track_caller]
fn live(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"]["version"].as_str().unwrap().to_owned()
}

#[test]
fn a_swap_is_live_when_the_command_returns_and_a_rollback_undoes_it() {
    let host = Host::probe(REUSE);
    let first = version(&host.get("/"));
    let new = file(&host, "new.wasm", &build(&wasm("probe"), 1));

    let done = host.command(&["swap", "probe", new.to_str().unwrap()]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    let swapped: Value = serde_json::from_str(&done.output).unwrap();
    assert_eq!((&swapped["service"], &swapped["replaced"]), (&json!("probe"), &json!(first)));
    let second = version(&host.get("/"));
    assert_eq!((swapped["version"].as_str(), second != first), (Some(second.as_str()), true));

    let done = host.command(&["rollback", "probe"]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(version(&host.get("/")), first);
    let refused = host.command(&["rollback", "probe"]).refused();
    assert!(refused.contains("no version before"), "{refused}");

    let done = host.command(&["versions", "probe"]).done();
    let versions: Value = serde_json::from_str(&done.output).unwrap();
    let told: Vec<_> = versions.as_array().unwrap().iter().map(|entry| (&entry["outcome"], &entry["by"])).collect();
    let (local, manifest) = (json!("local"), json!("manifest"));
    assert_eq!(told, [(&json!("rolled_back"), &local), (&json!("swapped"), &local), (&json!("started"), &manifest)]);
    assert_eq!((&versions[0]["live"], &versions[0]["version"]), (&json!(true), &json!(first)));

    let status: Value = serde_json::from_str(&host.command(&["status"]).done().output).unwrap();
    assert_eq!(status["services"][0]["version"], first);
    assert!(status["services"][0]["requests"].as_u64().unwrap() >= 3, "{status}");
}

#[test]
fn under_load_no_request_fails_and_no_connection_sees_an_older_version() {
    let host = Host::probe(REUSE);
    let probe = wasm("probe");
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let order = thread::scope(|scope| {
        let _end = End(&stop);
        let client = || {
            let mut connection = Connection::open(host.gateway);
            let mut seen: Vec<String> = Vec::new();
            while !stop.load(Relaxed) {
                connection.request("GET", "/", &[], b"");
                let answer = connection.answer(false).expect("an answer to every request");
                assert!(answer.whole && answer.status == 200, "{answer:?}");
                answers.fetch_add(1, Relaxed);
                let version = version(&answer);
                if seen.last() != Some(&version) {
                    seen.push(version);
                }
            }
            seen
        };
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(client)).collect();
        until("the load is on", || answers.load(Relaxed) > 100);
        let mut order = HashMap::from([(host.live("probe"), 0)]);
        for number in 1..=15 {
            order.insert(live(&host.swap("probe", &build(&probe, number))), number);
        }
        stop.store(true, Relaxed);
        for client in clients {
            let seen: Vec<u32> = client.join().unwrap().iter().map(|version| order[version]).collect();
            assert!(seen.is_sorted(), "versions never go back: {seen:?}");
        }
        order
    });
    assert_eq!(order[&version(&host.get("/"))], 15, "the last one wins");
}

#[test]
fn over_http_2_no_request_fails_and_no_stream_sees_an_older_version() {
    let host = Host::probe(REUSE);
    let probe = wasm("probe");
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _end = End(&stop);
        let client = || {
            runtime().block_on(async {
                let mut client = Client::open(host.gateway).await;
                let mut seen: Vec<String> = Vec::new();
                while !stop.load(Relaxed) {
                    let answer =
                        client.get("/stream?chunks=3&size=100&ms=1").await.expect("an answer to every request");
                    assert_eq!(answer.status(), 200);
                    let version = answer.headers()["x-service-version"].to_str().unwrap().to_owned();
                    assert_eq!(whole(answer).await.expect("a whole answer").len(), 300);
                    answers.fetch_add(1, Relaxed);
                    if seen.last() != Some(&version) {
                        seen.push(version);
                    }
                }
                seen
            })
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        until("the load is on", || answers.load(Relaxed) > 50);
        let mut order = HashMap::from([(host.live("probe"), 0)]);
        for number in 1..=8 {
            order.insert(live(&host.swap("probe", &build(&probe, number))), number);
        }
        stop.store(true, Relaxed);
        for client in clients {
            let seen: Vec<u32> = client.join().unwrap().iter().map(|version| order[version]).collect();
            assert!(seen.is_sorted(), "versions never go back: {seen:?}");
        }
    });
}

#[test]
fn poisoned_builds_harm_no_request() {
    let host = Host::probe(REUSE);
    let probe = wasm("probe");
    let (seen, ()) = under_load(&host, &["/", "/counter"], |_| {
        let poisoned = [
            starting_with(&probe, TRAP),
            starting_with(&probe, LOOP),
            wasm("probe_pg"),
            probe[..probe.len() / 2].to_vec(),
            b"\0asm\x01\0\0\0".to_vec(),
        ];
        poisoned.iter().for_each(|build| assert_ne!(host.swap("probe", build).status, 200));
    });
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), [(host.live("probe"), 200)], "{seen:?}");
}

#[test]
fn a_request_that_began_before_the_swap_finishes_on_its_version() {
    let host = Host::probe(&REUSE.replace("cpu", "timeout = \"9s\", cpu"));
    let first = host.live("probe");
    let mut slow = Connection::open(host.gateway);
    slow.request("GET", "/sleep?ms=5000", &[], b"");
    let stream = Held::with(host.gateway, "/stream?chunks=100&ms=50");
    until("both are in", || in_flight(&host) == 2);
    let second = live(&host.swap("probe", &build(&wasm("probe"), 1)));
    assert_eq!(version(&host.get("/")), second);
    let answer = slow.answer(false).unwrap();
    assert_eq!((answer.status, version(&answer)), (200, first));
    assert!(stream.ends_whole());
}

#[test]
fn requests_of_a_replaced_build_end_with_the_drain_limit_at_the_latest() {
    let settings = "[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"60s\"\n[host]\ndrain = \"200ms\"\n";
    let service = probe("limits = { timeout = \"60s\", cpu = \"60s\" }");
    let host = Host::running(&format!("{settings}{service}"));
    let mut waiting = Connection::open(host.gateway);
    waiting.request("GET", "/sleep?ms=50000", &[], b"");
    let mut computing = Connection::open(host.gateway);
    computing.request("GET", "/spin", &[], b"");
    let stream = Held::with(host.gateway, "/stream?chunks=1000&ms=50");
    let unread = Held::with(host.gateway, "/stream?chunks=100000&size=60000&ms=0");
    until("all are in", || in_flight(&host) == 4);
    live(&host.swap("probe", &build(&wasm("probe"), 1)));
    for mut request in [waiting, computing] {
        let answer = request.answer(false).unwrap();
        assert_eq!((answer.status, answer.whole), (504, true), "{answer:?}");
    }
    assert!(!stream.ends_whole(), "what was cut must not look whole");
    until("nobody is left, not even who is not read", || in_flight(&host) == 0);
    drop(unread);
    host.log.expect_line("its build was replaced");
    assert_eq!(host.get("/").status, 200);
}

fn in_flight(host: &Host) -> u64 {
    host.admin("GET", "/v1/services/probe", b"").json()["data"]["inFlight"].as_u64().unwrap()
}

#[test]
fn a_bad_build_is_refused_with_its_reason_and_changes_nothing() {
    let host = Host::probe(REUSE);
    let first = host.live("probe");
    let probe = wasm("probe");
    let table: [(&str, Vec<u8>, u16, &str); 8] = [
        ("traps at start", starting_with(&probe, TRAP), 409, "does not start"),
        ("never starts", starting_with(&probe, LOOP), 409, "does not start"),
        ("needs more", wasm("probe_pg"), 403, "postgres = "),
        ("truncated", probe[..probe.len() / 2].to_vec(), 422, "truncated"),
        ("empty", Vec::new(), 422, "no WebAssembly component"),
        ("no wasm", b"#!/bin/sh".to_vec(), 422, "no WebAssembly component"),
        ("core module", b"\0asm\x01\0\0\0".to_vec(), 422, "core module"),
        ("no handler", b"\0asm\x0d\0\x01\0".to_vec(), 422, "incoming-handler"),
    ];
    let count = table.len();
    for (what, wasm, status, reason) in table {
        let answer = host.swap("probe", &wasm);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!((answer.status, error.contains(reason)), (status, true), "{what}: {error}");
        assert_eq!((host.get("/").status, host.live("probe")), (200, first.clone()), "{what}");
    }
    let versions = host.admin("GET", "/v1/services/probe/versions", b"").json();
    let refused = |entry: &&Value| entry["outcome"] == "refused" && entry["reason"].is_string();
    assert_eq!(versions["data"].as_array().unwrap().iter().filter(refused).count(), count);
    let needs = host.swap("probe", &wasm("probe_pg")).json();
    assert!(needs["data"]["permissions"][0].as_str().unwrap().contains("postgres"), "{needs}");
    assert_eq!(host.swap("nobody", &probe).status, 404);
}

#[test]
fn a_build_whose_smoke_request_fails_is_never_live() {
    for (smoke, reason) in [("GET /trap", "trap"), ("GET /status?code=500", "500"), ("GET /trap-after-head", "trap")] {
        let host = Host::probe(&format!("swap = {{ smoke = \"{smoke}\" }}"));
        let first = host.live("probe");
        let answer = host.swap("probe", &build(&wasm("probe"), 1));
        let json = answer.json();
        assert_eq!((answer.status, &json["data"]["step"]), (409, &json!("smoke")), "{json}");
        let error = json["error"].as_str().unwrap();
        assert!(error.contains("smoke request") && error.contains(reason), "{error}");
        assert_eq!(host.live("probe"), first);
    }
}

#[test]
fn one_swap_runs_one_waits_and_a_newer_one_takes_its_place() {
    // The first one runs for as long as the others need to come.
    let host = Host::probe(&REUSE.replace("cpu = \"3s\"", "timeout = \"9s\", cpu = \"9s\""));
    let probe = wasm("probe");
    let pending = |key: &str| {
        let status = host.admin("GET", "/v1/services/probe", b"").json();
        status["data"]["swap"][key].as_str().map(str::to_owned)
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| host.swap("probe", &starting_with(&probe, LOOP)));
        until("the first one runs", || pending("running"));
        let waiting = scope.spawn(|| host.swap("probe", &build(&probe, 2)));
        let second = until("the second one waits", || pending("waiting"));
        let newer = scope.spawn(|| host.swap("probe", &build(&probe, 3)));
        let superseded = waiting.join().unwrap();
        let error = superseded.json()["error"].as_str().unwrap().to_owned();
        assert_eq!((superseded.status, error.starts_with("superseded by ")), (409, true), "{error}");
        assert_eq!(running.join().unwrap().status, 409);
        let third = live(&newer.join().unwrap());
        assert!(error.contains(&third) && third != second, "{error}");
        assert_eq!(version(&host.get("/")), third);
    });
}

#[test]
fn a_restart_runs_the_last_swap_until_the_manifests_file_changes() {
    let folder = crate::harness::place();
    let component = folder.path().join("own.wasm");
    fs::copy(components().join("probe.wasm"), &component).unwrap();
    let manifest = probe("").replace("COMPONENTS/probe.wasm", component.to_str().unwrap());
    let host = Host::running_in(folder, &manifest);
    let swapped = live(&host.swap("probe", &build(&wasm("probe"), 1)));

    let host = Host::running_in(host.killed(), &manifest);
    let ran = |host: &Host| (version(&host.get("/")), host.report["services"][0]["source"].clone());
    assert_eq!(ran(&host), (swapped.clone(), json!("swap")));

    // A build that cannot be started gives way to the file, and is tried again.
    let folder = host.stop();
    let digest = swapped.split('+').nth(1).unwrap();
    let builds = fs::read_dir(folder.path().join(".archipel/builds")).unwrap().map(|entry| entry.unwrap().path());
    let kept = builds.into_iter().find(|file| file.file_name().unwrap().to_str().unwrap().starts_with(digest)).unwrap();
    let away = kept.with_extension("away");
    fs::rename(&kept, &away).unwrap();
    let host = Host::running_in(folder, &manifest);
    assert_eq!(ran(&host).1, "manifest");
    let folder = host.stop();
    fs::rename(&away, &kept).unwrap();
    let host = Host::running_in(folder, &manifest);
    assert_eq!(ran(&host), (swapped, json!("swap")));

    fs::write(&component, build(&wasm("probe"), 2)).unwrap();
    let host = Host::running_in(host.stop(), &manifest);
    assert_eq!(host.report["services"][0]["source"], "manifest");
    let rebuilt = version(&host.get("/"));
    let host = Host::running_in(host.stop(), &manifest);
    assert_eq!(version(&host.get("/")), rebuilt);
    assert_eq!(host.admin("POST", "/v1/services/probe/rollback", b"").status, 200, "the swapped build is kept");
}

#[test]
fn a_start_that_fails_writes_nothing_down() {
    let folder = crate::harness::place();
    let (component, other) = (folder.path().join("own.wasm"), folder.path().join("other.wasm"));
    let original = fs::read(components().join("probe.wasm")).unwrap();
    fs::write(&component, &original).unwrap();
    let manifest = probe("").replace("COMPONENTS/probe.wasm", component.to_str().unwrap());
    let host = Host::running_in(folder, &manifest);
    let first = version(&host.get("/"));

    fs::write(&component, build(&original, 1)).unwrap();
    fs::write(&other, "no component").unwrap();
    let broken = format!("{manifest}[services.other]\ncomponent = \"{}\"\n", other.display());
    let failed = Host::start(host.stop(), &broken).err().expect("one of its services is no component");
    assert!(failed.errors.contains("cannot start service `other`"), "{}", failed.errors);

    fs::write(&component, &original).unwrap();
    let host = Host::running_in(failed.folder, &manifest);
    assert_eq!(version(&host.get("/")), first);
    let versions = host.admin("GET", "/v1/services/probe/versions", b"").json();
    assert_eq!(versions["data"].as_array().unwrap().len(), 1, "{versions}");
    assert_eq!(host.admin("POST", "/v1/services/probe/rollback", b"").status, 409, "nothing else was ever live");
}

#[test]
fn killed_at_any_point_of_a_swap_a_host_restarts_with_one_of_the_two_builds() {
    let mut folder = crate::harness::place();
    let manifest = probe(REUSE);
    let probe = wasm("probe");
    let mut number = 0;
    // `ARCHIPEL_KILLS=50` for more of them.
    let rounds = std::env::var("ARCHIPEL_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(8);
    for round in 0..rounds {
        let host = Host::running_in(folder, &manifest);
        let before = version(&host.get("/"));
        number += 1;
        let next = build(&probe, number);
        let admin = (host.admin, format!("Bearer {}", host.admin_token()));
        let after = thread::scope(|scope| {
            let swapping = scope.spawn(move || {
                // Cut off by the kill, or answered just before it.
                let mut connection = Connection::open(admin.0);
                let headers = [("authorization", admin.1.as_str()), ("content-type", "application/wasm")];
                connection.request("POST", "/v1/services/probe/swap", &headers, &next);
                connection.answer(false).map(|answer| live(&answer))
            });
            thread::park_timeout(Duration::from_millis(round % 16 * 12));
            host.signal("KILL");
            swapping.join().unwrap_or(None)
        });
        folder = host.killed();
        let host = Host::running_in(folder, &manifest);
        let now = version(&host.get("/"));
        match after {
            Some(after) => assert_eq!(now, after, "what was answered live is live"),
            None => assert!(now == before || now.ends_with(&short(&build(&probe, number))), "{now} is neither"),
        }
        folder = host.stop();
    }
}

fn short(wasm: &[u8]) -> String {
    use ring::digest::{SHA256, digest};
    digest(&SHA256, wasm).as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn only_those_whose_token_may_change_what_runs() {
    let file = crate::harness::place();
    fs::write(file.path().join("reader"), "a-token-for-reading\n").unwrap();
    let path = file.path().join("reader");
    let manifest = format!("[admin.tokens.reader]\nfile = \"{}\"\nmay = [\"read\"]\n{}", path.display(), probe(""));
    let host = Host::running(&manifest);
    let first = host.live("probe");
    let wasm = build(&wasm("probe"), 1);
    let ask = |token: Option<&str>, more: &[(&str, &str)]| {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/wasm")];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        headers.extend(more);
        exchange(host.admin, "POST", "/v1/services/probe/swap", &headers, &wasm)
    };
    assert_eq!(ask(None, &[]).status, 401);
    assert_eq!(ask(Some("wrong"), &[]).status, 401);
    let reader = ask(Some("a-token-for-reading"), &[]);
    assert_eq!((reader.status, reader.text().contains("may not `swap`")), (403, true));
    let own = host.admin_token();
    assert_eq!(ask(Some(&own), &[("origin", "https://evil.example")]).status, 403);
    let read = [("authorization", "Bearer a-token-for-reading")];
    assert_eq!(exchange(host.admin, "GET", "/v1/status", &read, b"").status, 200);
    assert_eq!(exchange(host.admin, "GET", "/v1/status", &[], b"").status, 401);
    assert_eq!(exchange(host.admin, "GET", "/health/live", &[], b"").status, 200);
    let text = [("authorization", format!("Bearer {own}")), ("content-type", "text/plain".into())];
    let text = text.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(exchange(host.admin, "POST", "/v1/services/probe/swap", &text, &wasm).status, 415);
    assert_eq!(host.live("probe"), first);
    let log = host.log.text() + &host.errors.text();
    assert!(!log.contains(&own) && !log.contains("a-token-for-reading"));
}
