//! Events of transactions: published if and only if the transaction commits, by whoever may, in order.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Answer, Connection, Host, Postgres, Redis, Session, Streams, place};

/// Services that are all the same guest; each answers under its own name, `writer.test`.
fn manifest(database: &str, redis: &str, services: &[(&str, &str)]) -> String {
    let mut manifest =
        format!("[postgres.shop]\n{database}\n[postgres.other]\n[redis.main]\n{redis}\n[events]\nredis = \"main\"\n");
    for (name, permissions) in services {
        manifest.push_str(&format!(
            "[services.{name}]\ncomponent = \"COMPONENTS/probe_outbox.wasm\"\npermissions = {{ {permissions} }}\n\
             [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
        ));
    }
    manifest
}

const WRITER: (&str, &str) = ("writer", r#"postgres = { shop = "read-write" }, publish = ["order.*"]"#);
const OTHER: (&str, &str) = ("other", r#"postgres = { shop = "read-write", other = "read" }, publish = ["other"]"#);

fn ask(host: &Host, service: &str, order: &Value) -> Answer {
    let mut connection = Connection::open(host.gateway);
    let body = order.to_string();
    let length = body.len();
    connection
        .write(format!("POST / HTTP/1.1\r\nhost: {service}.test\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes());
    connection.answer(false).expect("an answer")
}

/// What each step gave.
#[track_caller]
fn told(host: &Host, service: &str, order: &Value) -> Value {
    let answer = ask(host, service, order);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn event(topic: &str, key: &str, number: usize) -> Value {
    json!({ "topic": topic, "key": key, "body": { "number": number } })
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["body"]["number"].as_u64().unwrap()).collect()
}

#[test]
fn an_event_is_published_if_and_only_if_its_transaction_commits() {
    let host = Host::running(&manifest("", "", &[WRITER, OTHER]));
    let (streams, look) = (Streams::inside(&host), Session::inside(&host, "shop"));
    for (number, end) in ["rollback", "drop", "trap"].iter().enumerate() {
        let status = ask(&host, "writer", &json!({ "steps": [event("order.a", "k", number)], "end": end })).status;
        assert_eq!(status, if *end == "trap" { 502 } else { 200 });
    }
    let failed = json!({ "steps": [event("order.a", "k", 3), { "sql": "select 1 / 0" }] });
    assert_eq!(ask(&host, "writer", &failed).status, 409);
    let mut with_inner = json!({ "steps": [event("order.a", "k", 4)], "inner": [event("order.a", "k", 5)] });
    with_inner["innerEnd"] = json!("rollback");
    told(&host, "writer", &with_inner);
    with_inner["innerEnd"] = json!("commit");
    let ids = told(&host, "writer", &with_inner);
    let events = streams.until("order.a", 3);
    assert_eq!(numbers(&events), [4, 4, 5]);
    assert_eq!(json!([events[1]["id"], events[2]["id"]]), json!([ids[0]["id"], ids[1]["id"]]));
    assert_eq!((&events[0]["key"], &events[0]["type"]), (&json!("k"), &json!("application/json")));
    look.becomes("SELECT count(*) FROM archipel_outbox", 0);

    // The trace is the request's, whatever the guest says; other headers are its own.
    let headers = json!({ "TraceParent": "00-1", "colour": "red" });
    let mut order = event("order.b", "k", 1);
    order["headers"] = headers;
    let answer = ask(&host, "writer", &json!({ "steps": [order] }));
    let told_headers = streams.until("order.b", 1)[0]["h"].clone();
    assert_eq!(told_headers[0], json!(["colour", "red"]));
    let trace = told_headers[1][1].as_str().unwrap();
    assert_eq!(told_headers[1][0], "traceparent");
    assert_eq!(Some(&trace[3..35]), answer.header("x-trace-id"));
    assert_eq!(told_headers.as_array().unwrap().len(), 2);

    bounds_and_grants(&host);
    plain_sql_cannot_forge(&host, &streams, &look);
}

fn bounds_and_grants(host: &Host) {
    let refused = |service: &str, step: Value| told(host, service, &json!({ "steps": [step] }))[0]["error"].clone();
    assert_eq!(refused("writer", event("user.created", "k", 1)), "access-denied");
    assert_eq!(refused("writer", event("Order created", "k", 1)), "other");
    assert_eq!(refused("writer", json!({ "topic": "order.a", "size": (1 << 20) + 1 })), "too-large");
    assert_eq!(refused("writer", event("order.a", &"k".repeat(256), 1)), "other");
    host.log.expect_line("add `publish = [\\\"user.created\\\"]` to `services.writer.permissions`");
    // A database that is only read has no place for events.
    let read_only = told(host, "other", &json!({ "database": "other", "steps": [event("other", "k", 1)] }));
    assert!(read_only[0]["text"].as_str().unwrap().contains("read-write"), "{read_only}");
}

fn plain_sql_cannot_forge(host: &Host, streams: &Streams, look: &Session) {
    let sql =
        |service: &str, sql: &str| told(host, service, &json!({ "steps": [{ "sql": sql }], "end": "drop" }))[0].clone();
    for refused in [
        "insert into archipel_outbox (id, publisher, topic, headers, body) values (gen_random_uuid(), 'writer', 'order.a', '[]', '')",
        "select * from archipel_outbox",
        "update archipel_outbox set topic = 'order.a'",
        "delete from archipel_outbox",
        "select nextval('archipel_outbox_seq_seq')",
        "truncate archipel_outbox",
    ] {
        assert_eq!(sql("writer", refused)["text"], "42501", "{refused}");
    }
    // What the host calls anybody may call who publishes: under their own name, whatever they say.
    let put = |publisher: &str, topic: &str, number: u32| {
        let body = format!("convert_to('{{\"number\":{number}}}', 'UTF8')");
        let call = format!(
            "select public.archipel_publish(gen_random_uuid(), '{publisher}', '{topic}', null, null, '[]', {body}, null, null, null)"
        );
        json!({ "steps": [{ "sql": call }] })
    };
    assert_eq!(told(host, "writer", &put("other", "other", 1))[0], json!({ "changed": 1 }));
    assert_eq!(told(host, "writer", &put("other", "order.c", 2))[0], json!({ "changed": 1 }));
    assert_eq!(numbers(&streams.until("order.c", 1)), [2], "what may not be published stands in nobody's way");
    assert!(streams.of("other").is_empty());
    let kept =
        "SELECT count(*) FROM archipel_outbox WHERE publisher = 'writer' AND topic = 'other' AND refused IS NOT NULL";
    look.becomes(kept, 1);
    host.log.expect_line("an event in the outbox cannot be published");
}

#[test]
fn a_service_that_does_not_publish_cannot_call_the_function() {
    let silent = ("silent", r#"postgres = { shop = "read-write" }, publish = []"#);
    let pg = "[services.silent]\ncomponent = \"COMPONENTS/probe_pg.wasm\"\npermissions = { postgres = { shop = \"read-write\" } }\n\
              [[routes]]\nhost = \"silent.test\"\npath = \"/{*rest}\"\nservice = \"silent\"\npublic = true\n";
    let refused = Host::start(place(), &manifest("", "", &[WRITER, silent])).err().expect("`publish` is missing");
    assert!(refused.errors.contains("publish"), "{}", refused.errors);
    let host = Host::running(&format!("{}{pg}", manifest("", "", &[WRITER])));
    for sql in [
        "select archipel_publish(gen_random_uuid(), 'writer', 'order.a', null, null, '[]', '', null, null, null)",
        "select * from archipel_outbox",
    ] {
        let mut connection = Connection::open(host.gateway);
        let body = json!({ "database": "shop", "sql": sql }).to_string();
        let length = body.len();
        connection.write(
            format!("POST /pg/query HTTP/1.1\r\nhost: silent.test\r\ncontent-length: {length}\r\n\r\n{body}")
                .as_bytes(),
        );
        let answer = connection.answer(false).expect("an answer");
        assert_eq!(answer.json()["error"]["sqlstate"], "42501", "{sql}: {}", answer.text());
    }
}

#[test]
fn events_wait_while_redis_is_away_and_go_on_in_order_also_after_a_kill() {
    let mut redis = Redis::start();
    let url = format!("url = \"{}\"", redis.url());
    let host = Host::running(&manifest("", &url, &[WRITER]));
    told(&host, "writer", &json!({ "steps": [event("order.a", "k", 0)] }));
    Streams::at(&redis.url()).until("order.a", 1);
    let look = Session::inside(&host, "shop");
    // It stands in the stream before it is gone from here.
    look.becomes("SELECT count(*) FROM archipel_outbox", 0);
    redis.kill();
    let began = Instant::now();
    for number in 1..=300 {
        told(&host, "writer", &json!({ "steps": [event("order.a", "k", number)] }));
    }
    println!("300 events accepted in {} ms while Redis was away", began.elapsed().as_millis());
    assert_eq!(look.count("SELECT count(*) FROM archipel_outbox"), 300);
    let host = Host::running_in(host.killed(), &manifest("", &url, &[WRITER]));
    redis.start_again(); // with nothing in it
    let events = Streams::at(&redis.url()).until("order.a", 300);
    assert_eq!(numbers(&events), (1..=300).collect::<Vec<_>>());
    Session::inside(&host, "shop").becomes("SELECT count(*) FROM archipel_outbox", 0);
    // A server that swallows everything is no better than none, and nothing is published twice by it.
    redis.freeze(true);
    for number in 301..=310 {
        told(&host, "writer", &json!({ "steps": [event("order.a", "k", number)] }));
    }
    redis.freeze(false);
    Streams::at(&redis.url()).until("order.a", 310);
}

#[test]
fn two_hosts_carry_on_one_database_s_events_once_and_in_order() {
    let (mut server, redis) = (Postgres::start(), Redis::start());
    let (database, url) = (server.url(), format!("url = \"{}\"", redis.url()));
    // Both find no outbox and make one.
    let hosts: Vec<Host> = thread::scope(|scope| {
        let start = || Host::running(&manifest(&database, &url, &[WRITER]));
        let starting: Vec<_> = (0..2).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|host| host.join().unwrap()).collect()
    });
    // Each key is written by both, one after the other.
    thread::scope(|scope| {
        for key in 0..4 {
            let hosts = &hosts;
            scope.spawn(move || {
                for number in 0..25 {
                    let order = json!({ "steps": [event("order.a", &format!("key{key}"), number)] });
                    told(&hosts[number % 2], "writer", &order);
                }
            });
        }
    });
    let streams = Streams::at(&redis.url());
    let events = streams.until("order.a", 100);
    let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    for key in 0..4 {
        let of_key: Vec<Value> = events.iter().filter(|event| event["key"] == format!("key{key}")).cloned().collect();
        assert_eq!(numbers(&of_key), (0..25).collect::<Vec<_>>(), "key{key}");
    }
    // The database going away breaks the relays' connections; they make new ones.
    server.kill();
    assert_eq!(ask(&hosts[0], "writer", &json!({ "steps": [] })).status, 409);
    server.resume();
    let order = json!({ "steps": [event("order.b", "k", 1)] });
    let began = Instant::now();
    while ask(&hosts[1], "writer", &order).status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "the database does not come back");
    }
    streams.until("order.b", 1);
    // What is left by hand, or by a host that died, is noticed too.
    let put =
        "select archipel_publish(gen_random_uuid(), 'writer', 'order.d', null, null, '[]', '{}', null, null, null)";
    told(&hosts[0], "writer", &json!({ "steps": [{ "sql": put }] }));
    streams.until("order.d", 1);
}

#[test]
fn delay_and_dedup_id_hold_in_a_transaction_too() {
    let host = Host::running(&manifest("", "", &[WRITER]));
    let streams = Streams::inside(&host);
    let mut later = event("order.later", "k", 1);
    later["delay"] = json!(3_600_000);
    let mut once = event("order.once", "k", 1);
    once["dedup"] = json!("one");
    told(&host, "writer", &json!({ "steps": [later, once, once, event("order.now", "k", 1)] }));
    streams.until("order.now", 1);
    streams.until("order.once", 1);
    assert!(streams.of("order.later").is_empty());
    Session::inside(&host, "shop").becomes("SELECT count(*) FROM archipel_outbox", 0);

    // What Redis has no room for is set aside and stands in nobody's way.
    streams.register(&(0..1000).map(|number| format!("t{number}")).collect::<Vec<_>>());
    let steps = [event("order.now", "k", 2), event("order.over", "k", 3), event("order.now", "k", 4)];
    told(&host, "writer", &json!({ "steps": steps }));
    assert_eq!(numbers(&streams.until("order.now", 3)), [1, 2, 4]);
    assert!(streams.of("order.over").is_empty());
    let aside = "SELECT count(*) FROM archipel_outbox WHERE topic = 'order.over' AND refused LIKE '%topics already'";
    Session::inside(&host, "shop").becomes(aside, 1);
}
