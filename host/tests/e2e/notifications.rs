//! What users are told of their orders: each event once, whoever delivers it and however often.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Host, Redis,
        shop::{data, moment, notifications_part, open_folder, refused},
        until,
    },
    limits::paused,
};

const CREATED: &str = "archipel:{test}:ev:order.created";

/// The service, and a test guest that publishes in the place of orders.
fn host(redis: &Redis) -> Host {
    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\nauth = \"main\"\n\
                   [auth.main]\nissuer = \"archipel\"\naudience = \"shop\"\nkeys = { generate = true }\n";
    let publisher = "[services.publisher]\ncomponent = \"COMPONENTS/probe_events.wasm\"\npermissions = { publish = [\"order.*\"] }\n\
                     [[routes]]\npath = \"/publish\"\nservice = \"publisher\"\npublic = true\n\
                     [[routes]]\npath = \"/batch\"\nservice = \"publisher\"\npublic = true\n";
    let part = notifications_part(&format!("url = \"{}\"", redis.url()));
    Host::running_in(open_folder(), &format!("{gateway}{part}{publisher}")).for_admin()
}

fn id(number: u32) -> String {
    format!("0190b5a2-7c3e-7d4f-8a1b-{number:012}")
}

fn order(user: &str, order: u32) -> Value {
    json!({"orderId": id(order), "userId": user, "status": "pending", "total": 19.99, "at": "2026-01-01T00:00:00.000Z"})
}

/// The id of the event.
#[track_caller]
fn publish(host: &Host, topic: &str, body: &Value) -> String {
    let answer = host.json("POST", "/publish", &json!({"topic": topic, "body": body}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// An event that is there already, once more: as it is when a host dies before it has acknowledged it.
fn again(redis: &Redis, event: &str, body: &Value) {
    let body = body.to_string();
    let answer = redis.command(&["XADD", CREATED, "*", "id", event, "at", "1767225600000", "body", &body]);
    assert!(answer.starts_with('$'), "{answer}");
}

fn list(host: &Host, user: &str, rest: &str) -> Answer {
    host.get(&format!("/api/notifications?userId={user}{rest}"))
}

fn total(host: &Host, user: &str) -> u64 {
    list(host, user, "&limit=1").header("x-total-count").and_then(|count| count.parse().ok()).unwrap_or(u64::MAX)
}

/// Waits until every entry of the stream was handed over and acknowledged.
#[track_caller]
fn until_handled(redis: &Redis) {
    until("all are handled", || {
        let groups = redis.command(&["XINFO", "GROUPS", CREATED]);
        groups.contains("pending\r\n:0\r\n") && groups.contains("lag\r\n:0\r\n")
    });
}

#[test]
fn an_event_makes_one_notification_on_two_hosts_that_are_handed_it_many_times() {
    let redis = Redis::start();
    let hosts = [host(&redis), host(&redis)];
    let (ada, bob) = (id(901), id(902));
    let event = publish(&hosts[0], "order.created", &order(&ada, 1));
    let began = Instant::now();
    let (pause, ()) = paused(|| until("it appears", || total(&hosts[1], &ada) == 1));
    assert!(began.elapsed() < pause + Duration::from_secs(2), "a notification after {:?}", began.elapsed());
    let shown = data(&list(&hosts[1], &ada, ""), 200);
    moment(&shown[0]["createdAt"]);
    let expected = json!([{
        "id": event, "userId": ada, "orderId": id(1), "kind": "order.created",
        "message": format!("Your order {} was received", id(1)), "createdAt": shown[0]["createdAt"],
    }]);
    assert_eq!(shown, expected);

    let mut changed = order(&ada, 1);
    changed["status"] = json!("shipped");
    publish(&hosts[1], "order.status_changed", &changed);
    until("the newer one is first", || data(&list(&hosts[0], &ada, ""), 200)[0]["kind"] == "order.status_changed");
    assert_eq!(data(&list(&hosts[0], &ada, ""), 200)[0]["message"], format!("Your order {} is now shipped", id(1)));

    let made: Vec<(String, Value)> = (0..20)
        .map(|number| {
            let body = order(if number % 2 == 0 { &ada } else { &bob }, number);
            (publish(&hosts[0], "order.created", &body), body)
        })
        .collect();
    for _ in 0..5 {
        made.iter().for_each(|(event, body)| again(&redis, event, body));
    }
    again(&redis, &event, &order(&ada, 1));
    until_handled(&redis);
    for host in &hosts {
        assert_eq!((total(host, &ada), total(host, &bob)), (12, 10));
    }
    let ids = |user: &str| -> BTreeSet<String> {
        let shown = data(&list(&hosts[0], user, "&limit=100"), 200);
        shown.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let expected = |rest: usize| made.iter().skip(rest).step_by(2).map(|(event, _)| event.clone()).collect();
    assert_eq!(ids(&bob), expected(1));
    assert!(ids(&ada).is_superset(&expected(0)));
}

#[test]
fn the_last_thousand_are_kept_in_pages_and_an_outage_loses_nothing() {
    let redis = Redis::start();
    let host = host(&redis);
    let user = id(903);
    let mut made = Vec::new();
    for batch in 0..5 {
        let events: Vec<Value> = (0..201)
            .map(|number| json!({"topic": "order.created", "body": order(&user, batch * 201 + number)}))
            .collect();
        let answer = host.json("POST", "/batch", &json!({"events": events}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let ids = answer.json()["ids"].clone();
        made.extend(ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    until_handled(&redis);
    assert_eq!(total(&host, &user), 1000);
    let (mut shown, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = list(&host, &user, &format!("&limit=100{cursor}"));
        let page = data(&answer, 200);
        shown.extend(page.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        assert_eq!(answer.header("x-total-count"), Some("1000"));
        let Some(next) = answer.header("x-next-cursor") else { break };
        cursor = format!("&cursor={next}");
        assert!(shown.len() <= 1000);
    }
    let mut newest = made.clone();
    newest.sort();
    newest.reverse();
    let dropped = newest.split_off(1000);
    assert_eq!(shown, newest, "newest first, each once, and the oldest five are gone");
    let part = |rest: &str| data(&list(&host, &user, rest), 200).as_array().unwrap().len();
    assert_eq!((part(""), part("&offset=995&limit=10"), part("&offset=1000"), part("&offset=100000")), (10, 5, 0, 0));

    again(&redis, &dropped[0], &order(&user, 1));
    until_handled(&redis);
    assert_eq!(data(&list(&host, &user, "&limit=1&offset=999"), 200)[0]["id"].as_str(), newest.last().map(|id| &**id));

    refusals(&host, &user);
    outage(&redis, &host);
    publish(&host, "order.created", &json!({"orderId": id(1)}));
    until("what nobody understands is a dead letter", || {
        redis.command(&["XLEN", "archipel:{test}:dead:notifications"]) == ":1\r\n"
    });
}

fn refusals(host: &Host, user: &str) {
    let as_user = |path: &str| {
        let token = format!("Bearer {}", host.token(user, &["user"]));
        host.send("GET", path, &[("authorization", &token)], b"")
    };
    let (own, other) = (format!("/api/notifications?userId={user}"), format!("/api/notifications?userId={}", id(904)));
    assert_eq!(data(&as_user(&own), 200).as_array().unwrap().len(), 10);
    refused(&as_user(&other), 403, "Your token does not allow this");
    refused(&as_user(&format!("{other}&limit=0")), 403, "Your token does not allow this");
    assert_eq!(data(&host.get(&other), 200), json!([]), "nobody has told them anything");
    assert_eq!(host.send("GET", &own, &[("authorization", "")], b"").status, 401);
    refused(&host.get("/api/notifications"), 400, "Query parameter `userId` is required");
    for wrong in ["userId=7", "userId=", &format!("userId={user}&userId={user}"), &format!("userId={user}&x=1")] {
        assert_eq!(host.get(&format!("/api/notifications?{wrong}")).status, 400, "{wrong}");
    }
    for wrong in ["limit=0", "limit=101", "offset=-1", "cursor=7", &format!("cursor={user}&offset=1")] {
        assert_eq!(host.get(&format!("{own}&{wrong}")).status, 400, "{wrong}");
    }
    let posted = host.json("POST", "/api/notifications", &json!({}));
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(host.get("/api/notifications/7").status, 404);
}

fn outage(redis: &Redis, host: &Host) {
    let user = id(905);
    publish(host, "order.created", &order(&user, 1));
    redis.freeze(true);
    let answer = list(host, &user, "");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    redis.freeze(false);
    until("it goes on by itself", || total(host, &user) == 1);
}
