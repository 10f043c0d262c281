//! Every key that is live by the reference: a changed manifest is applied, and its effect is there.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    apply::{applied, apply, status},
    harness::{Connection, Held, Host, exchange, place, until},
};

/// Lines for `[gateway]`, for the service `one`, and for everything else.
#[derive(Default)]
struct Lines<'a> {
    gateway: &'a str,
    one: &'a str,
    route: &'a str,
    rest: &'a str,
}

impl Lines<'_> {
    fn manifest(&self) -> String {
        let Self { gateway, one, route, rest } = self;
        let limit = if gateway.contains("limit = ") { "" } else { "limit = \"off\"\n" };
        let route = if route.is_empty() { "public = true" } else { route };
        format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\n{limit}{gateway}\n[redis.main]\n\
             [services.one]\ncomponent = \"COMPONENTS/probe.wasm\"\n{one}\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"one\"\n{route}\n{rest}\n"
        )
    }
}

/// Applies it and sees that nothing of it waits for a restart.
#[track_caller]
fn live(host: &Host, lines: &Lines<'_>) {
    let done = applied(host, &lines.manifest());
    assert_eq!(done["restart"], json!([]), "{done}");
}

fn count(host: &Host) -> Value {
    host.get("/counter").json()["count"].clone()
}

#[test]
fn what_is_said_of_the_gateway_is_live() {
    let host = Host::running(&Lines::default().manifest());
    let gateway = |gateway: &str| live(&host, &Lines { gateway, ..Lines::default() });
    let from = |address: &str| host.send("GET", "/", &[("x-forwarded-for", address)], b"").status;

    assert_eq!(host.send("POST", "/echo-body", &[], &[b'x'; 2048]).status, 200);
    gateway("body_limit = \"1KiB\"");
    assert_eq!(host.send("POST", "/echo-body", &[], &[b'x'; 2048]).status, 413);
    gateway("timeout = \"100ms\"");
    assert_eq!(host.get("/sleep?ms=30000").status, 504);
    gateway("requests_max = 1");
    let held = Held::upload(host.gateway);
    assert_eq!(host.get("/").status, 503);
    gateway("");
    assert_eq!(host.get("/").status, 200);
    assert!(held.ends_whole(), "what was in flight is not disturbed");
    gateway("limit = \"1/h\"\ntrusted_proxies = [\"127.0.0.0/8\"]");
    assert_eq!(["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(from), [200, 200, 429]);
    gateway("limit = \"1/h\"\nlimit_store = \"redis.main\"");
    assert_eq!(from("192.0.2.3"), 200);
    // While a Redis takes longer than it may, the host counts by itself.
    let mut others = (4..255).map(|last| from(&format!("192.0.2.{last}")));
    until("nobody is believed, and counted elsewhere", || others.next().expect("a Redis in time") == 429);
    assert!(host.get("/health").text().contains("redis.main"), "{}", host.get("/health").text());
    gateway("");

    more_and_fewer_connections(&host, &gateway);
    the_time_to_drain(host);
}

fn more_and_fewer_connections(host: &Host, gateway: &dyn Fn(&str)) {
    gateway("connections_max = 4"); // two from one address
    let ask = |connection: &mut Connection| {
        connection.request("GET", "/", &[], b"");
        connection.answer(false).map(|answer| answer.status)
    };
    // Those before count until the host has seen their end.
    let mut open = until("there is room for two", || {
        let mut open: Vec<Connection> = (0..2).map(|_| Connection::open(host.gateway)).collect();
        let is_room = open.iter_mut().map(ask).collect::<Vec<_>>() == [Some(200), Some(200)];
        is_room.then_some(open)
    });
    assert!(Connection::open(host.gateway).closed(), "it is one too many");
    gateway("connections_max = 6");
    let mut third = Connection::open(host.gateway);
    assert_eq!(ask(&mut third), Some(200));
    gateway("connections_max = 1");
    assert_eq!(open.iter_mut().map(ask).collect::<Vec<_>>(), [Some(200), Some(200)], "none is closed");
    drop(open);
    let mut late = Connection::open(host.gateway);
    late.request("GET", "/", &[], b"");
    drop(third);
    assert_eq!(late.answer(false).map(|answer| answer.status), Some(200), "when there is room");
    drop(late);
    gateway("");
}

fn the_time_to_drain(host: Host) {
    let host_lines = "[host]\ndrain = \"100ms\"\nlinger = \"0s\"\nartifacts_max = \"512MiB\"";
    live(
        &host,
        &Lines {
            gateway: "timeout = \"60s\"",
            one: "limits = { timeout = \"60s\" }",
            rest: host_lines,
            ..Lines::default()
        },
    );
    let mut slow = Connection::open(host.gateway);
    slow.request("GET", "/sleep?ms=40000", &[], b"");
    let in_flight = || host.admin("GET", "/v1/services/one", b"").json()["data"]["inFlight"].as_u64();
    until("it is in", || in_flight() == Some(1));
    let began = Instant::now();
    let mut host = host;
    host.signal("TERM");
    host.ended();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}: the time to drain is the new one", began.elapsed());
}

#[test]
fn what_is_said_of_a_service_is_live() {
    let host = Host::running(&Lines::default().manifest());
    let one = |one| live(&host, &Lines { one, ..Lines::default() });
    let grown = || host.get("/grow?mib=40").json()["got"].as_u64().unwrap();

    assert_eq!(grown(), 40);
    one("limits = { memory = \"16MiB\" }");
    assert!(grown() < 16);
    one("limits = { timeout = \"100ms\" }");
    assert_eq!(host.get("/sleep?ms=30000").status, 504);
    one("limits = { cpu = \"2s\" }");
    let began = Instant::now();
    assert!(host.get("/spin").status >= 500);
    assert!(began.elapsed() >= Duration::from_millis(1500), "twice of what it is without a word");
    one("limits = { concurrency = 1, queue = { length = 0, wait = \"1ms\" } }");
    let held = Held::upload(host.gateway);
    assert_eq!(host.get("/").status, 503);
    one("limits = { concurrency = 1, queue = { length = 8, wait = \"10s\" } }");
    let (asked, is_whole) = thread::scope(|scope| {
        let asking = scope.spawn(|| host.get("/").status);
        let is_whole = held.ends_whole();
        (asking.join().unwrap(), is_whole)
    });
    assert_eq!((asked, is_whole), (200, true));

    assert_eq!(count(&host), 1);
    one("limits = { reuse = { requests = 1000, idle = \"60s\" } }");
    let counts = [(); 2].map(|()| count(&host).as_u64().unwrap());
    assert!(counts[1] > counts[0], "{counts:?}");
    one("");
    assert_eq!(count(&host), 1);

    one("health = { path = \"/status?code=500\" }");
    until("its own page counts", || host.get("/health").status == 503);
    one("");
    until("and does not any more", || host.get("/health").status == 200);
    one("swap = { smoke = \"GET /counter\", ramp = { steps = [\"50%\"], step = \"1s\", min_requests = 10 } }");
    let bad = apply(&host, &Lines { one: "swap = { smoke = \"GET /trap\" }", ..Lines::default() }.manifest());
    assert_eq!(bad.status, 409, "{}", bad.text());

    // A permission that needs the operator's word first.
    let net = "permissions = { net = true }";
    let refused = apply(&host, &Lines { one: net, ..Lines::default() }.manifest());
    assert_eq!((refused.status, refused.text().contains("allow_unrestricted")), (422, true), "{}", refused.text());
    live(&host, &Lines { one: net, rest: "[host]\nallow_unrestricted = true", ..Lines::default() });
    let route = |route| live(&host, &Lines { route, ..Lines::default() });
    route("public = true\ntimeout = \"100ms\"\nbody_limit = \"1KiB\"");
    assert_eq!(host.get("/sleep?ms=30000").status, 504);
    assert_eq!(host.send("POST", "/echo-body", &[], &[b'x'; 2048]).status, 413);
    route("public = true\nlimit = \"1/h\"");
    assert_eq!([(); 2].map(|()| host.get("/").status), [200, 429]);

    // More than the engine was started for is named: its slots are made once.
    let beyond = Lines { one: "limits = { memory = \"2GiB\", concurrency = 1500 }", ..Lines::default() };
    let done = applied(&host, &beyond.manifest());
    let keys = done["restart"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
    let keys: Vec<_> = keys.map(|key| key.split_once(',').unwrap().0).collect();
    assert_eq!(keys, ["services.*.limits.concurrency", "services.*.limits.memory"], "{done}");
    assert_eq!(status(&host)["manifest"]["restart"], done["restart"]);
}

#[test]
fn who_is_asked_for_a_token_and_how_stores_are_kept_is_live() {
    let host = Host::running_in(place(), &Lines::default().manifest());
    let auth = |audience: &str, leeway: &str| {
        format!("[auth.main]\nissuer = \"archipel\"\naudience = \"{audience}\"\nkeys = {{ generate = true }}\n{leeway}")
    };
    let asked = |rest: &str| {
        live(&host, &Lines { gateway: "auth = \"main\"", route: "methods = [\"GET\"]", rest, ..Lines::default() })
    };
    let with = |token: &str| {
        let authorization = format!("Bearer {token}");
        exchange(host.gateway, "GET", "/", &[("authorization", &authorization)], b"").status
    };
    assert_eq!(host.get("/").status, 200);
    asked(&auth("one", ""));
    assert_eq!(host.get("/").status, 401);
    let token = host.token("ada", &[]);
    assert_eq!(with(&token), 200);
    asked(&auth("another", "leeway = \"0s\""));
    assert_eq!(with(&token), 401, "it is for another audience");
    assert_eq!(with(&host.token("ada", &[])), 200);

    let kv = |settings: &str| {
        let text = format!(
            "[keyvalue.notes]\nredis = \"main\"\n{settings}\n[services.kv]\ncomponent = \"COMPONENTS/probe_kv.wasm\"\n\
             permissions = {{ keyvalue = {{ notes = \"read-write\" }} }}\n\
             [[routes]]\npath = \"/kv/{{*rest}}\"\nservice = \"kv\"\npublic = true"
        );
        live(&host, &Lines { rest: &text, ..Lines::default() });
    };
    let told = |what: &str, key: &str| {
        let order = json!({ "store": "notes", "key": key, "value": "x" });
        let answer = || Some(host.json("POST", &format!("/kv/{what}"), &order)).filter(|answer| answer.status == 200);
        until("Redis answers in time", answer).json()
    };
    kv("");
    told("set", "kept");
    kv("ttl = \"100ms\"\noptional = true");
    told("set", "gone");
    until("what was written since is gone", || told("get", "gone").is_null());
    assert!(!told("get", "kept").is_null());

    // A store that is another Redis, and one that is not there yet.
    let away = "[keyvalue.notes]\nredis = \"later\"\n[redis.later]";
    let answer = apply(&host, &Lines { rest: away, ..Lines::default() }.manifest());
    assert_eq!((answer.status, answer.text().contains("restart")), (409, true), "{}", answer.text());
}
