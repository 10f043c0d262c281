//! Key-value stores as guests see them: the same promises on the private Redis and on an operator's.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

mod memory;

use crate::{
    harness::{Answer, Connection, Host, Redis, exchange, place, until},
    limits::paused,
};

/// One component as four services: everything, two prefixes of the same store, one that only reads.
fn manifest(redis: &str) -> String {
    let services = [
        ("all", r#"{ cache = "read-write", short = "read-write" }"#),
        ("users", r#"{ cache = { prefix = "users:", mode = "read-write" } }"#),
        ("stars", r#"{ cache = { prefix = "*[?]\\", mode = "read-write" } }"#),
        ("reader", r#"{ cache = { prefix = "users:", mode = "read" } }"#),
    ];
    let service = |(name, grant): (&str, &str)| {
        format!(
            "[services.{name}]\ncomponent = \"COMPONENTS/probe_kv.wasm\"\npermissions = {{ keyvalue = {grant} }}\n\
             [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
        )
    };
    let services: String = services.into_iter().map(service).collect();
    format!(
        "[redis.main]\n{redis}\n[keyvalue.cache]\nredis = \"main\"\n[keyvalue.short]\nredis = \"main\"\nttl = \"300ms\"\n\
         [keyvalue.visits]\nredis = \"main\"\noptional = true\n{services}\
         [services.plain]\ncomponent = \"COMPONENTS/plain_kv.wasm\"\npermissions = {{ keyvalue = {{ visits = {{ prefix = \"p:\", mode = \"read-write\" }} }} }}\n\
         [[routes]]\nhost = \"plain.test\"\npath = \"/{{*rest}}\"\nservice = \"plain\"\npublic = true\n"
    )
}

fn ask(host: &Host, service: &str, what: &str, order: &Value) -> Answer {
    send(host, service, "POST", &format!("/kv/{what}"), &order.to_string())
}

fn send(host: &Host, service: &str, method: &str, path: &str, body: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {service}.test\r\ncontent-length: {}\r\n", body.len());
    let mut connection = Connection::open(host.gateway);
    connection.write(format!("{head}\r\n{body}").as_bytes());
    connection.answer(false).expect("an answer")
}

/// What came back of a success. `cache` unless the order names another store.
#[track_caller]
fn told(host: &Host, service: &str, what: &str, mut order: Value) -> Value {
    if order["store"].is_null() {
        order["store"] = json!("cache");
    }
    let answer = ask(host, service, what, &order);
    assert_eq!(answer.status, 200, "{what} {order}: {}", answer.text());
    answer.json()
}

#[track_caller]
fn refused(host: &Host, service: &str, what: &str, mut order: Value) -> Value {
    if order["store"].is_null() {
        order["store"] = json!("cache");
    }
    let answer = ask(host, service, what, &order);
    assert_eq!(answer.status, 409, "{what} {order}: {}", answer.text());
    answer.json()
}

#[track_caller]
fn value(host: &Host, service: &str, key: &str) -> Value {
    told(host, service, "get", json!({"key": key}))["value"].take()
}

#[test]
fn a_store_on_the_private_redis_keeps_its_promises_and_its_values() {
    let host = Host::running(&manifest(""));
    promises(&host);
    let host = Host::running_in(host.stop(), &manifest(""));
    assert_eq!(value(&host, "users", "a"), "mine", "what was written outlives the host");
}

#[test]
fn a_store_on_an_operators_redis_keeps_the_same_promises() {
    let redis = Redis::start();
    let host = Host::running(&manifest(&format!("url = \"{}\"", redis.url())));
    promises(&host);
    assert!(!host.log.text().contains(redis.secret()));
}

fn promises(host: &Host) {
    no_version_is_given_twice(host);
    one_of_many_that_want_an_absent_key_gets_it(host);
    what_is_written_for_a_time_ends_with_it(host);
    sums_are_exact_and_refused_where_they_do_not_fit(host);
    lists_keep_the_newest(host);
    an_entry_is_inserted_once_whoever_tries_however_often(host);
    a_prefix_is_a_world_of_its_own(host);
    keys_are_listed_to_the_last_in_pages(host);
    a_grant_for_reading_writes_nothing(host);
    what_is_too_large_is_refused_before_it_is_sent(host);
    a_portable_component_uses_the_same_stores(host);
    health_names_the_stores_of_a_service(host);
}

fn no_version_is_given_twice(host: &Host) {
    let mut versions = BTreeSet::new();
    let mut last = 0;
    for round in 0..3 {
        assert_eq!(told(host, "all", "set", json!({"key": "v", "value": "a"})), true);
        let version = told(host, "all", "get", json!({"key": "v"}))["version"].as_u64().unwrap();
        assert!(version > last && versions.insert(version), "round {round}");
        last = version;
        let change = |version: u64| told(host, "all", "set", json!({"key": "v", "value": "b", "if": version}));
        assert_eq!(change(version), true);
        assert_eq!(change(version), false, "somebody was faster");
        assert_eq!(change(0), false);
        assert_eq!(told(host, "all", "delete", json!({"key": "v"})), true);
        assert_eq!(told(host, "all", "delete", json!({"key": "v"})), false);
        assert_eq!(change(version), false, "what is gone has no version");
    }
    assert_eq!(told(host, "all", "get", json!({"key": "v"})), Value::Null);
    told(host, "all", "set", json!({"key": "v", "value": ""}));
    let many = told(host, "all", "get-many", json!({"keys": ["v", "none", "v"]}));
    assert_eq!((&many[0]["value"], &many[1], &many[2]["key"]), (&json!(""), &Value::Null, &json!("v")));
}

fn one_of_many_that_want_an_absent_key_gets_it(host: &Host) {
    let order = json!({"key": "race", "value": "x", "if": "absent"});
    let winners = thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(|| told(host, "all", "set", order.clone()) == true)).collect();
        all.into_iter().filter_map(|one| one.join().unwrap().then_some(())).count()
    });
    assert_eq!(winners, 1);
}

fn what_is_written_for_a_time_ends_with_it(host: &Host) {
    told(host, "all", "set", json!({"key": "t", "value": "x", "ttl": 200}));
    told(host, "all", "set", json!({"key": "kept", "value": "x", "ttl": 200}));
    told(host, "all", "set", json!({"key": "kept", "value": "for ever"}));
    told(host, "all", "set", json!({"store": "short", "key": "t", "value": "x"}));
    told(host, "all", "set", json!({"store": "short", "key": "long", "value": "x", "ttl": 600_000}));
    told(host, "all", "increment", json!({"store": "short", "key": "n", "delta": 1}));
    told(host, "all", "append", json!({"store": "short", "key": "l", "value": "x", "keep": 5}));
    told(host, "all", "insert", json!({"store": "short", "key": "s", "id": "1", "value": "x", "keep": 5}));
    let is_gone = |key: &str| told(host, "all", "get", json!({"key": key})).is_null();
    until("its own time is over", || is_gone("t"));
    let rest = || told(host, "all", "list-keys", json!({"store": "short", "prefix": "", "limit": 10}))["keys"].take();
    until("the store's time is over, but for what has its own", || rest() == json!(["long"]));
    assert!(!is_gone("kept"));
}

fn sums_are_exact_and_refused_where_they_do_not_fit(host: &Host) {
    let add = |delta: i64| json!({"key": "sum", "delta": delta});
    assert_eq!(told(host, "all", "increment", add(9_007_199_254_740_993)), 9_007_199_254_740_993_i64);
    assert_eq!(told(host, "all", "increment", add(-1)), 9_007_199_254_740_992_i64);
    assert_eq!(value(host, "all", "sum"), "9007199254740992");
    let overflow = refused(host, "all", "increment", add(i64::MAX));
    assert_eq!(overflow, json!({"error": "other", "what": "the sum does not fit in 64 bits"}));
    told(host, "all", "set", json!({"key": "word", "value": "one"}));
    let word = refused(host, "all", "increment", json!({"key": "word", "delta": 1}));
    assert_eq!(word, json!({"error": "other", "what": "the value is no whole number of 64 bits"}));
}

fn lists_keep_the_newest(host: &Host) {
    for (number, length) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        let order = json!({"key": "list", "value": number.to_string(), "keep": 3});
        assert_eq!(told(host, "all", "append", order), length);
    }
    let read = |offset: u32, limit: u32| {
        told(host, "all", "read-list", json!({"key": "list", "offset": offset, "limit": limit}))
    };
    assert_eq!(read(0, 10), json!(["4", "3", "2"]));
    assert_eq!(read(1, 1), json!(["3"]));
    assert_eq!(read(3, 1), json!([]));
    assert_eq!(read(u32::MAX, u32::MAX), json!([]));
    let wrong = refused(host, "all", "get", json!({"key": "list"}));
    assert_eq!(wrong, json!({"error": "other", "what": "the key holds something of another kind"}));
    assert_eq!(told(host, "all", "delete", json!({"key": "list"})), true);
    assert_eq!(read(0, 10), json!([]));
}

fn an_entry_is_inserted_once_whoever_tries_however_often(host: &Host) {
    let insert = |id: &str, keep: u32| {
        told(host, "all", "insert", json!({"key": "inbox", "id": id, "value": format!("of {id}"), "keep": keep}))
    };
    let read = |start: Value, limit: u32| {
        let mut order = json!({"key": "inbox", "limit": limit});
        order.as_object_mut().unwrap().extend(start.as_object().unwrap().clone());
        told(host, "all", "read-sorted", order)
    };
    let new = thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(|| insert("05", 3) == true)).collect();
        all.into_iter().filter_map(|one| one.join().unwrap().then_some(())).count()
    });
    assert_eq!(new, 1, "sixteen at once, and one entry");
    assert_eq!(insert("04", 3), true);
    assert_eq!(insert("10", 3), true);
    assert_eq!(insert("04", 3), false);
    assert_eq!(insert("06", 3), true, "drops 04");
    assert_eq!(insert("04", 3), false, "what was dropped does not come back");
    assert_eq!(insert("1", 3), true, "another id than 10, and less");
    let ids = |answer: &Value| -> Vec<String> {
        answer["items"].as_array().unwrap().iter().map(|item| item[0].as_str().unwrap().to_owned()).collect()
    };
    let all = read(json!({}), 10);
    assert_eq!(all["total"], 3);
    assert_eq!(ids(&all), ["10", "1", "06"]);
    assert_eq!(all["items"][0][1], "of 10");
    assert_eq!(ids(&read(json!({"offset": 1}), 1)), ["1"]);
    assert_eq!(ids(&read(json!({"after": "10"}), 10)), ["1", "06"]);
    assert_eq!(ids(&read(json!({"after": "1"}), 10)), ["06"]);
    assert_eq!(ids(&read(json!({"after": "07"}), 10)), ["06"], "an id that is not there");
    assert_eq!(ids(&read(json!({"after": "06"}), 10)), Vec::<String>::new());
    for number in 0..40 {
        insert(&format!("2{number:02}"), 100);
    }
    let many = ids(&read(json!({"offset": 5}), 20));
    assert_eq!((many.len(), many[0].as_str(), many[19].as_str()), (20, "234", "215"), "more than one piece");
}

fn a_prefix_is_a_world_of_its_own(host: &Host) {
    for (service, text) in [("users", "mine"), ("stars", "other"), ("all", "top")] {
        told(host, service, "set", json!({"key": "a", "value": text}));
    }
    let values = ["users", "stars", "all"].map(|service| value(host, service, "a"));
    assert_eq!(values, ["mine", "other", "top"]);
    assert_eq!(value(host, "all", "users:a"), "mine", "who has the whole store sees the prefix");
    assert_eq!(value(host, "all", "*[?]\\a"), "other");
    for trick in ["../a", "*", "?", "[a]", "users:a", "\r\nGET x", "}:kv:short:t"] {
        assert_eq!(told(host, "users", "get", json!({"key": trick})), Value::Null, "{trick:?}");
    }
    let list = |service: &str, prefix: &str| {
        told(host, service, "list-keys", json!({"prefix": prefix, "limit": 1000}))["keys"].take()
    };
    assert_eq!(list("users", ""), json!(["a"]));
    assert_eq!(list("stars", ""), json!(["a"]));
    assert_eq!(list("users", "*"), json!([]), "a star is a star");
    assert_eq!(list("stars", "?"), json!([]));
    assert_eq!(list("all", "*[?]"), json!(["*[?]\\a"]));
}

fn keys_are_listed_to_the_last_in_pages(host: &Host) {
    for number in 0..25 {
        told(host, "all", "set", json!({"key": format!("page:{number}\n"), "value": "x"}));
    }
    let (mut keys, mut cursor, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let page = told(host, "all", "list-keys", json!({"prefix": "page:", "limit": 4, "cursor": cursor}));
        let shown = page["keys"].as_array().unwrap();
        assert!(shown.len() <= 4, "{page}");
        keys.extend(shown.iter().map(|key| key.as_str().unwrap().to_owned()));
        (cursor, pages) = (page["cursor"].clone(), pages + 1);
        assert!(pages < 100, "{page}");
        if cursor.is_null() {
            break;
        }
    }
    let distinct: BTreeSet<_> = keys.into_iter().collect();
    assert_eq!(distinct, (0..25).map(|number| format!("page:{number}\n")).collect());
    let nonsense = refused(host, "all", "list-keys", json!({"prefix": "", "limit": 4, "cursor": "x"}));
    assert_eq!(nonsense["error"], "other");
}

fn a_grant_for_reading_writes_nothing(host: &Host) {
    assert_eq!(value(host, "reader", "a"), "mine");
    for (what, order) in [
        ("set", json!({"key": "a", "value": "theirs"})),
        ("delete", json!({"key": "a"})),
        ("increment", json!({"key": "n", "delta": 1})),
        ("append", json!({"key": "l", "value": "x", "keep": 1})),
        ("insert", json!({"key": "s", "id": "1", "value": "x", "keep": 1})),
    ] {
        assert_eq!(refused(host, "reader", what, order)["error"], "access-denied", "{what}");
    }
    host.log.expect_line("add `keyvalue = { cache = \\\"read-write\\\" }` to `services.reader.permissions`");
    assert_eq!(value(host, "users", "a"), "mine");
    for name in ["short", "nothing", "", &"x".repeat(1000)] {
        assert_eq!(refused(host, "users", "open", json!({"store": name}))["error"], "access-denied", "{name}");
    }
    host.log.expect_line("`users` may not reach `keyvalue short`");
}

fn what_is_too_large_is_refused_before_it_is_sent(host: &Host) {
    let mebibyte = 1 << 20;
    // So much in time takes a machine that is not too busy.
    let in_time = |what: &str, mut order: Value| {
        order["store"] = json!("cache");
        let done = || Some(ask(host, "all", what, &order)).filter(|answer| answer.status == 200);
        until("it is done in time", done).json()
    };
    assert_eq!(in_time("set", json!({"key": "big", "size": mebibyte})), true);
    assert_eq!(in_time("get", json!({"key": "big"}))["value"], mebibyte);
    let too_large = |limit: u64| json!({"error": "too-large", "limit": limit});
    let big = |what: &str, order: Value| refused(host, "all", what, order);
    assert_eq!(big("set", json!({"key": "big", "size": mebibyte + 1})), too_large(1 << 20));
    assert_eq!(big("append", json!({"key": "l", "size": mebibyte + 1, "keep": 1})), too_large(1 << 20));
    assert_eq!(big("insert", json!({"key": "s", "id": "1", "size": mebibyte + 1, "keep": 1})), too_large(1 << 20));
    assert_eq!(big("append", json!({"key": "l", "value": "x", "keep": 10_001})), too_large(10_000));
    assert_eq!(big("get-many", json!({"key": "a", "count": 1001})), too_large(1000));
    assert_eq!(told(host, "all", "get-many", json!({"key": "a", "count": 1000})).as_array().unwrap().len(), 1000);
    assert_eq!(big("get-many", json!({"key": "big", "count": 9})), too_large(8 << 20));
    let many = |what: &str, order: Value| in_time(what, order).as_array().unwrap().len();
    assert_eq!(many("get-many", json!({"key": "big", "count": 8})), 8);
    for _ in 0..9 {
        in_time("append", json!({"key": "bigs", "size": mebibyte, "keep": 20}));
    }
    assert_eq!(big("read-list", json!({"key": "bigs", "offset": 0, "limit": 9})), too_large(8 << 20));
    assert_eq!(many("read-list", json!({"key": "bigs", "offset": 1, "limit": 8})), 8);
    told(host, "all", "delete", json!({"key": "bigs"}));

    let longest = "k".repeat(1024);
    assert_eq!(told(host, "all", "set", json!({"key": longest, "value": "x"})), true);
    let longer = "k".repeat(1025);
    for (what, order) in [
        ("set", json!({"key": longer, "value": "x"})),
        ("get", json!({"key": longer})),
        ("get", json!({"key": ""})),
        ("list-keys", json!({"prefix": longer, "limit": 1})),
        ("append", json!({"key": "l", "value": "x", "keep": 0})),
        ("insert", json!({"key": "s", "id": "", "value": "x", "keep": 1})),
        ("insert", json!({"key": "s", "id": "a\0", "value": "x", "keep": 1})),
        ("insert", json!({"key": "s", "id": "i".repeat(256), "value": "x", "keep": 1})),
        ("set", json!({"key": "t", "value": "x", "ttl": 0})),
        ("set", json!({"key": "t", "value": "x", "ttl": u64::MAX})),
    ] {
        assert_eq!(big(what, order.clone())["error"], "other", "{what} {order}");
    }
}

fn a_portable_component_uses_the_same_stores(host: &Host) {
    let visit = |path: &str| send(host, "plain", "GET", path, "").text();
    visit("/a");
    let second = visit("/a");
    let expected = "visit 2; [Some((\"two\", [49 + 1])), None]; true; [\"/a\", \"count/a\"]\n".replace("49 + 1", "50");
    assert_eq!(second, expected);
    assert_eq!(refused(host, "all", "get", json!({"store": "visits", "key": "p:/a"}))["error"], "access-denied");
}

fn health_names_the_stores_of_a_service(host: &Host) {
    let checks = |service: &str| {
        let page = exchange(host.admin, "GET", &format!("/health/services/{service}"), &[], b"");
        page.json()["checks"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(checks("all"), ["keyvalue.cache", "keyvalue.short"]);
    assert_eq!(checks("plain"), ["keyvalue.visits"]);
}

#[test]
fn a_redis_that_is_away_is_found_out_fast_and_used_again_when_it_is_back() {
    let mut redis = Redis::start();
    redis.kill();
    let host = Host::running_in(place(), &manifest(&format!("url = \"{}\"", redis.url())));
    let get = |host: &Host| {
        let began = Instant::now();
        (ask(host, "all", "get", &json!({"store": "cache", "key": "a"})).json(), began.elapsed())
    };
    let away = json!({"error": "unavailable", "what": "cache"});
    let all_away = |what: &str| {
        let (pause, answers) = paused(|| (0..12).map(|_| get(&host)).collect::<Vec<_>>());
        for (answer, took) in answers {
            assert_eq!(answer, away, "{what}");
            assert!(took < pause + Duration::from_secs(1), "{what}: {took:?}, and 100 ms are promised");
        }
        until(&format!("an outage costs nobody 100 ms: {what}"), || get(&host).1 < Duration::from_millis(100));
    };
    let back = |what: &str| until(what, || get(&host).0.get("error").is_none());
    let status = |service: &str| {
        exchange(host.admin, "GET", &format!("/health/services/{service}"), &[], b"").json()["status"].clone()
    };
    all_away("away from the start");
    assert_eq!((status("all"), status("plain")), (json!("unhealthy"), json!("degraded")));
    redis.start_again();
    back("started");
    told(&host, "all", "set", json!({"key": "a", "value": "x"}));
    redis.kill();
    all_away("killed");
    redis.start_again();
    back("started again, without the scripts it knew");
    assert_eq!(told(&host, "all", "set", json!({"key": "a", "value": "y"})), true);
    redis.freeze(true);
    all_away("silent");
    redis.freeze(false);
    back("goes on");
    until("health says so", || status("all") == "healthy" && status("plain") == "healthy");
    assert!(!host.log.text().contains(redis.secret()));
}
