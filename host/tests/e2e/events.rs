//! Events from `publish` to the end of a handler: handed over at least once, in the end handled or among the
//! dead letters, whatever dies in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    apply::applied,
    harness::{
        End, Host, Redis, Streams,
        admin::{build, wasm},
        place, redis_pid, until,
    },
};

const DEADLINE: Duration = Duration::from_secs(30);

/// Services `NAME`, each with its `subscribe` and the lines of its own; all of them publish to `order.*`.
fn manifest(redis: &str, services: &[(&str, &str, &str)]) -> String {
    let head = format!("[redis.main]\n{redis}\n[events]\nredis = \"main\"\n");
    let service = |(name, subscribe, lines): &(&str, &str, &str)| {
        format!(
            "[services.{name}]\ncomponent = \"COMPONENTS/probe_events.wasm\"\n\
             permissions = {{ publish = [\"order.*\"], subscribe = [\"{subscribe}\"] }}\n{lines}\n\
             [[routes]]\npath = \"/{name}/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
        )
    };
    let route = "[[routes]]\npath = \"/{*rest}\"\nservice = \"a\"\npublic = true\n";
    head + &services.iter().map(service).collect::<String>() + route
}

/// Publishes through the guest; tries again when Redis took too long, as it may on a busy machine.
#[track_caller]
fn publish(host: &Host, order: &Value) -> String {
    let mut order = order.clone();
    if order["dedup"].is_null() {
        order["dedup"] = json!(format!("{:?}", Instant::now()));
    }
    let began = Instant::now();
    loop {
        let answer = host.json("POST", "/publish", &order);
        if answer.status == 200 {
            return answer.json()["id"].as_str().unwrap().to_owned();
        }
        let variant = answer.json()["error"]["variant"].clone();
        assert!(variant == "timeout" || variant == "unavailable", "{}", answer.text());
        assert!(began.elapsed() < DEADLINE, "Redis never answers in time");
    }
}

/// What a guest of `service` has logged of its events: `began` or `handled`, and the document.
fn told(host: &Host, service: &str) -> Vec<(String, Value)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).ok().filter(|line: &Value| line["service"] == service)?;
        let (what, document) = line["message"].as_str()?.split_once(' ')?;
        let mut document: Value = serde_json::from_str(document).ok()?;
        document["trace"] = line["traceId"].clone();
        Some((what.to_owned(), document))
    };
    host.log.text().lines().filter_map(line).collect()
}

/// The attempts of an event that began, and whether one was handled.
fn attempts(host: &Host, service: &str, id: &str) -> (Vec<u64>, usize) {
    let all = told(host, service);
    let of = |wanted: &'static str| all.iter().filter(move |(what, told)| what == wanted && told["id"] == id);
    (of("began").map(|(_, told)| told["attempt"].as_u64().unwrap()).collect(), of("handled").count())
}

#[track_caller]
fn handled(host: &Host, service: &str, id: &str, expected: &[u64]) {
    until(&format!("{service} handles {id}"), || attempts(host, service, id).1 > 0);
    assert_eq!(attempts(host, service, id), (expected.to_vec(), 1));
}

#[track_caller]
fn letters(host: &Host, service: &str) -> Vec<Value> {
    let done = host.command(&["events", "dead", service]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    let page: Value = serde_json::from_str(&done.output).unwrap();
    page["letters"].as_array().unwrap().clone()
}

#[track_caller]
fn pending(host: &Host, service: &str) -> Value {
    let done = host.command(&["events", "pending", service]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    serde_json::from_str::<Value>(&done.output).unwrap()["events"].take()
}

const QUICK: &str = "events = { tries = 5, backoff = \"10ms\", timeout = \"4s\" }\nlimits = { cpu = \"200ms\", reuse = { requests = 100, idle = \"10s\" } }";

#[test]
fn an_event_is_handed_to_each_subscriber_and_what_cannot_be_handled_is_a_dead_letter() {
    let host = Host::running(&manifest("", &[("a", "order.*", QUICK), ("b", "order.created", QUICK)]));

    // To each of the two, once, in the trace of the request that published it.
    let order = json!({ "topic": "order.created", "body": {}, "key": "7", "headers": { "traceparent": "bogus" } });
    let answer = until("Redis answers in time", || {
        Some(host.json("POST", "/publish", &order)).filter(|answer| answer.status == 200)
    });
    let (id, trace) = (answer.json()["id"].as_str().unwrap().to_owned(), answer.header("x-trace-id").unwrap());
    for service in ["a", "b"] {
        handled(&host, service, &id, &[1]);
        let (_, told) = told(&host, service).into_iter().find(|(_, told)| told["id"] == id).unwrap();
        assert_eq!((&told["key"], &told["maxAttempts"], &told["trace"]), (&json!("7"), &json!(5), &json!(trace)));
        let parent = told["traceparent"].as_str().unwrap();
        assert!(parent.starts_with(&format!("00-{trace}-")), "{parent}");
    }

    // What fails in any way is tried again; a topic is found when it is new.
    for body in [
        json!({ "do": "trap", "until": 3 }),
        json!({ "do": "hang", "until": 2 }),
        json!({ "do": "spin", "until": 2 }),
        json!({ "do": "retry", "ms": 300, "until": 2 }),
    ] {
        let id = publish(&host, &json!({ "topic": "order.changed", "body": body }));
        let tries = body["until"].as_u64().unwrap();
        handled(&host, "a", &id, &(1..=tries).collect::<Vec<_>>());
    }
    host.log.expect_line("it ran past its deadline while it waited");
    host.log.expect_line("an event was not handled; it is tried again");

    // A poison event is a dead letter after its tries; replayed, it is the same event and new.
    let poison = publish(&host, &json!({ "topic": "order.changed", "body": { "do": "fail" } }));
    let letter = until("the dead letter", || letters(&host, "a").pop());
    assert_eq!(
        (&letter["id"], &letter["attempts"], &letter["topic"]),
        (&json!(poison), &json!(5), &json!("order.changed"))
    );
    assert!(letter["reason"].as_str().unwrap().contains("another attempt"), "{letter}");
    assert_eq!(attempts(&host, "a", &poison).0, [1, 2, 3, 4, 5]);
    let done = host.command(&["events", "replay", "a", &poison]).done();
    assert_eq!(done.code, 0, "{}", done.errors);
    until("it is a dead letter again", || {
        letters(&host, "a").pop().filter(|again| again["letter"] != letter["letter"])
    });
    assert_eq!(attempts(&host, "a", &poison).0, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);

    // A rejected one at once, with its reason.
    let rejected =
        publish(&host, &json!({ "topic": "order.changed", "body": { "do": "reject", "reason": "no such user" } }));
    let letter = until("the rejected one", || letters(&host, "a").into_iter().find(|letter| letter["id"] == rejected));
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("rejected: no such user"), &json!(1)));
    assert_eq!(letters(&host, "b"), Vec::<Value>::new());
    let replayed = host.command(&["events", "replay", "a", "--all"]).done();
    assert_eq!(serde_json::from_str::<Value>(&replayed.output).unwrap()["replayed"], 2, "{}", replayed.errors);
    let counts = host.command(&["events", "dead"]).done();
    assert!(counts.output.contains("\"letters\""), "{}", counts.output);

    // Not before its time; once, under one name; not after its time.
    let began = Instant::now();
    let late = publish(&host, &json!({ "topic": "order.changed", "body": {}, "delay": 900, "dedup": "one" }));
    let twin = publish(&host, &json!({ "topic": "order.changed", "body": {}, "dedup": "one" }));
    assert_eq!(late, twin);
    let expired = publish(&host, &json!({ "topic": "order.changed", "body": {}, "delay": 300, "ttl": 1 }));
    handled(&host, "a", &late, &[1]);
    assert!(began.elapsed() >= Duration::from_millis(900));
    assert_eq!(attempts(&host, "a", &expired), (vec![], 0));

    // Nothing is left, and operators see that.
    until("all is settled", || pending(&host, "a") == json!([]));
    let topics: Value = serde_json::from_str(&host.command(&["events", "topics"]).done().output).unwrap();
    assert_eq!((&topics["delayed"], &topics["expired"]), (&json!(0), &json!(1)), "{topics}");
    let created = topics["topics"].as_array().unwrap().iter().find(|topic| topic["topic"] == "order.created").unwrap();
    let lags: BTreeMap<_, _> = created["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["service"].as_str().unwrap(), of["lag"].as_u64()))
        .collect();
    assert_eq!(lags, BTreeMap::from([("a", Some(0)), ("b", Some(0))]));
}

#[test]
fn a_guest_publishes_only_what_it_was_granted_and_no_more_than_the_bounds() {
    let host = Host::running(&manifest("", &[("a", "order.*", "")]));
    let refused = |order: Value| {
        let answer = host.json("POST", "/publish", &order);
        assert_eq!(answer.status, 409, "{}", answer.text());
        answer.json()["error"].clone()
    };
    let denied = refused(json!({ "topic": "user.created", "body": {} }));
    assert_eq!(denied["variant"], "access-denied", "{denied}");
    host.log.expect_line("add `publish = [\\\"user.created\\\"]` to `services.a.permissions`");
    assert_eq!(refused(json!({ "topic": "Order", "body": {} }))["variant"], "other");
    let large = refused(json!({ "topic": "order.created", "size": (1 << 20) + 1 }));
    assert_eq!(large, json!({ "variant": "too-large", "limit": 1 << 20 }));
    let nul = refused(json!({ "topic": "order.created", "key": "a\u{0}b", "body": {} }));
    assert_eq!(nul["variant"], "other", "PostgreSQL keeps no such text: {nul}");
    let batch =
        json!({ "events": [{ "topic": "order.created", "body": {} }, { "topic": "user.created", "body": {} }] });
    assert_eq!(host.json("POST", "/batch", &batch).status, 409, "all or none");
    assert_eq!(told(&host, "a").len(), 0);

    let nobody = host.command(&["events", "dead", "nobody"]).done();
    assert_eq!(nobody.code, 1);
    assert!(nobody.errors.contains("there is no service `nobody`"), "{}", nobody.errors);
    let none = host.command(&["events", "replay", "a", "0199a8c0-7e1d-7f3a-b1c2-0123456789ab"]).done();
    assert!(none.code == 1 && none.errors.contains("has no dead letter"), "{}", none.errors);
}

#[test]
fn a_component_that_subscribes_must_export_a_handler() {
    let text = manifest("", &[("a", "order.*", "")]).replace("probe_events", "probe");
    let failed = Host::start(place(), &text).err().expect("refused");
    assert!(failed.errors.contains("does not export `archipel:messaging/consumer@0.1.0`"), "{}", failed.errors);
    assert!(failed.errors.contains("`sdk::consumer!`"), "{}", failed.errors);
}

#[test]
fn what_is_being_handled_outlives_a_swap_and_a_stop() {
    let host = Host::running(&manifest("", &[("a", "order.*", "")]));
    let slow = |ms: u64| publish(&host, &json!({ "topic": "order.created", "body": { "do": "sleep", "ms": ms } }));
    let first = slow(1500);
    until("it began", || attempts(&host, "a", &first).0 == [1]);
    let swapped = host.swap("a", &build(&wasm("probe_events"), 1));
    assert_eq!(swapped.status, 200, "{}", swapped.text());
    let second = publish(&host, &json!({ "topic": "order.created", "body": {} }));
    handled(&host, "a", &second, &[1]);
    handled(&host, "a", &first, &[1]);

    let last = slow(1000);
    until("it began", || attempts(&host, "a", &last).0 == [1]);
    let text = manifest("", &[("a", "order.*", "")]);
    let log = host.log.clone();
    let folder = host.stop();
    let ended = log.ended();
    let ends = ended.lines().filter(|line| line.contains("handled {") && line.contains(&last)).count();
    assert_eq!(ends, 1, "it was finished: {ended}");
    assert!(!ended.contains("cannot be reached"), "its own Redis ends with it, and is not missed: {ended}");
    let host = Host::running_in(folder, &text);
    assert_eq!(pending(&host, "a"), json!([]));
    let after = publish(&host, &json!({ "topic": "order.created", "body": {} }));
    handled(&host, "a", &after, &[1]);
    assert_eq!(attempts(&host, "a", &last), (vec![], 0), "it was acknowledged");
}

#[test]
fn a_swap_that_cuts_a_handler_takes_no_attempt_from_its_event() {
    let settings = "[host]\ndrain = \"100ms\"\n";
    let host = Host::running(&format!("{settings}{}", manifest("", &[("a", "order.*", "events = { tries = 1 }")])));
    // Compiled beforehand, so that a swap takes far less than the handler.
    let swap = |number| {
        let swapped = host.swap("a", &build(&wasm("probe_events"), number));
        assert_eq!(swapped.status, 200, "{}", swapped.text());
    };
    (1..=3).for_each(swap);
    let id = publish(&host, &json!({ "topic": "order.created", "body": { "do": "sleep", "ms": 10_000 } }));
    for number in 1..=2 {
        until("it began", || attempts(&host, "a", &id).0.len() == number);
        swap(u32::try_from(number).unwrap());
    }
    handled(&host, "a", &id, &[1, 1, 1]);
    until("nothing waits", || pending(&host, "a") == json!([]));
}

#[test]
fn a_service_that_is_removed_and_comes_back_takes_its_events_once() {
    let (kept, comes) = (("a", "none.*", QUICK), ("b", "order.*", QUICK));
    let (with, without) = (manifest("", &[kept, comes]), manifest("", &[kept]));
    let host = Host::running(&with);
    let streams = Streams::inside(&host);
    let taking = || {
        let clients = streams.command::<String>(&["CLIENT", "LIST"]);
        let blocked = |line: &&str| line.contains("cmd=xreadgroup") && line.contains(" flags=b");
        clients.lines().filter(blocked).count()
    };
    until("both take", || (taking() == 2).then_some(()));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&done);
        let most = scope.spawn(|| {
            let mut most = 0;
            let began = Instant::now();
            while !done.load(Relaxed) && began.elapsed() < DEADLINE {
                most = most.max(taking());
            }
            most
        });
        for _ in 0..5 {
            applied(&host, &without);
            applied(&host, &with);
        }
        done.store(true, Relaxed);
        assert_eq!(most.join().unwrap(), 2, "one for each service");
    });
    let id = publish(&host, &json!({ "topic": "order.a", "body": {} }));
    handled(&host, "b", &id, &[1]);
}

#[test]
fn a_host_that_dies_while_handling_leaves_the_event_to_another() {
    let redis = Redis::start();
    let text =
        manifest(&format!("url = \"{}\"", redis.url()), &[("a", "order.created", "events = { timeout = \"60s\" }")]);
    let hosts = [Host::running(&text), Host::running(&text)];
    let id = publish(&hosts[0], &json!({ "topic": "order.created", "body": { "do": "hang", "until": 2 } }));
    let at = until("one of them begins", || hosts.iter().position(|host| attempts(host, "a", &id).0 == [1]));
    let [first, second] = hosts;
    let (dies, lives) = if at == 0 { (first, second) } else { (second, first) };
    let began = Instant::now();
    drop(dies.killed());
    handled(&lives, "a", &id, &[2]);
    println!("taken over {} ms after the kill", began.elapsed().as_millis());
    until("its consumer is gone", || pending(&lives, "a") == json!([]));
}

#[test]
fn a_redis_that_dies_loses_nothing_that_was_published_and_delays_nobody() {
    let host =
        Host::running(&manifest("", &[("a", "order.*", "limits = { reuse = { requests = 1000, idle = \"10s\" } }")]));
    let stop = AtomicBool::new(false);
    let (published, refused, slowest) = thread::scope(|scope| {
        let _end = End(&stop);
        let publisher = scope.spawn(|| {
            let (mut published, mut refused, mut slowest) = (BTreeSet::new(), 0, Duration::ZERO);
            while !stop.load(Relaxed) {
                let began = Instant::now();
                let answer = host.json("POST", "/publish", &json!({ "topic": "order.created", "body": {} }));
                slowest = slowest.max(began.elapsed());
                match answer.status {
                    200 => _ = published.insert(answer.json()["id"].as_str().unwrap().to_owned()),
                    409 => refused += 1,
                    status => panic!("{status}: {}", answer.text()),
                }
            }
            (published, refused, slowest)
        });
        for hangs in [true, false] {
            let pid = redis_pid(&host.data());
            if hangs {
                assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
                host.log.expect_line("events pause");
            }
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
            until("another is started", || {
                fs::read_to_string(host.data().join("redis/redis.pid")).ok().filter(|now| now.trim() != pid)
            });
            let id = publish(&host, &json!({ "topic": "order.created", "body": {} }));
            handled_at_least_once(&host, &id);
        }
        stop.store(true, Relaxed);
        publisher.join().unwrap()
    });
    let done = || told(&host, "a").into_iter().filter(|(what, _)| what == "handled");
    let ids = || done().map(|(_, told)| told["id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    until("all that was published is handled", || published.is_subset(&ids()));
    until("nothing is left", || pending(&host, "a") == json!([]));
    let again = done().count() - ids().len();
    println!(
        "{} published, {refused} refused, {again} handled again, the slowest answer after {} ms",
        published.len(),
        slowest.as_millis()
    );
    assert!(slowest < Duration::from_secs(5), "no request waits for a Redis: {slowest:?}");
    host.log.expect_line("events go on");
}

#[track_caller]
fn handled_at_least_once(host: &Host, id: &str) {
    until(&format!("{id} is handled"), || attempts(host, "a", id).1 > 0);
}

#[test]
fn the_command_and_the_api_are_for_those_who_may() {
    let tokens = "[admin.tokens]\nreader = { env = \"READER\", may = [\"read\"] }\n";
    let text = format!("{}{tokens}", manifest("", &[("a", "order.*", "")]));
    let Ok(host) = Host::start_with(place(), &text, &[("READER", "a-token-that-only-reads-0123456789")]) else {
        panic!("does not start")
    };
    let ask = |method: &str, path: &str| {
        let headers = [("authorization", "Bearer a-token-that-only-reads-0123456789")];
        crate::harness::exchange(host.admin, method, path, &headers, b"").status
    };
    assert_eq!(ask("GET", "/v1/events/topics"), 200);
    assert_eq!(ask("GET", "/v1/events/dead?service=a&limit=0"), 400);
    assert_eq!(ask("POST", "/v1/events/replay?service=a&all=true"), 403);
}
