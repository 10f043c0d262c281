//! The host killed again and again while orders are placed: what was answered holds, once, and
//! nothing else is left behind.
//!
//! `just crash 50` kills it fifty times; without that it is twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Connection, Host,
    shop::{self, Member, data, member},
    until,
};

const STOCK: u64 = 1_000_000;
const BUYERS_AT_ONCE: usize = 3;
/// Orders that a kill left unfinished are given up after this long, instead of a minute.
const CHECK_AFTER_MS: &str = "1500";
const PATIENCE: Duration = Duration::from_secs(60);

/// One attempt to order, as its client remembers it.
struct Placed {
    key: String,
    quantity: u64,
    /// The order's id, if there was an answer.
    order: Option<String>,
}

fn rounds() -> u32 {
    std::env::var("ARCHIPEL_CRASHES").ok().and_then(|count| count.parse().ok()).unwrap_or(2)
}

#[test]
fn every_order_answered_is_there_with_one_notification_and_all_stock_is_accounted_for() {
    let manifest = shop::whole_manifest(&format!("env = {{ CHECK_AFTER_MS = \"{CHECK_AFTER_MS}\" }}"));
    let mut host = Host::running_in(shop::open_folder(), &manifest).for_admin();
    let new = json!({"name": "Tea", "price": 19.99, "inventory": STOCK});
    let tea = data(&host.json("POST", "/api/products", &new), 201)["id"].as_str().unwrap().to_owned();

    let mut buyers = Vec::new();
    let (mut answered, mut unanswered, mut slowest_start) = (0, 0, 0);
    for round in 0..rounds() {
        let buyer = member(&host, &shop::email("buyer"));
        let mut placed = under_load(&host, &buyer, &tea, round);
        host = Host::running_in(host.killed(), &manifest).for_admin();
        slowest_start = slowest_start.max(host.report["startMs"].as_u64().unwrap());
        answered += placed.iter().filter(|placed| placed.order.is_some()).count();
        for placed in placed.iter_mut().filter(|placed| placed.order.is_none()) {
            unanswered += 1;
            placed.order = Some(asked_again(&host, &buyer, &tea, placed));
        }
        buyers.push((buyer, placed));
    }

    let mut sold = 0;
    for (buyer, placed) in &buyers {
        let id = buyer.path.rsplit('/').next().unwrap();
        let orders: BTreeMap<String, Value> =
            all(&host, &format!("/api/orders?userId={id}")).into_iter().map(named).collect();
        let promised: BTreeSet<&String> = placed.iter().filter_map(|placed| placed.order.as_ref()).collect();
        assert_eq!(promised.len(), placed.len(), "each key has an order of its own");
        assert_eq!(orders.keys().collect::<BTreeSet<_>>(), promised, "the orders that were answered, and no others");
        for placed in placed {
            let order = &orders[placed.order.as_ref().unwrap()];
            assert_eq!(
                (&order["status"], &order["items"][0]["quantity"]),
                (&json!("pending"), &json!(placed.quantity))
            );
        }
        sold += placed.iter().map(|placed| placed.quantity).sum::<u64>();
        let notified = || -> Vec<String> {
            let all = all(&host, &format!("/api/notifications?userId={id}"));
            all.iter().map(|one| one["orderId"].as_str().unwrap().to_owned()).collect()
        };
        until("a notification for each order", || notified().len() >= orders.len());
        let notified = notified();
        assert_eq!(notified.len(), orders.len(), "one each");
        assert_eq!(notified.iter().collect::<BTreeSet<_>>(), promised, "and none without its order");
    }
    let left = || data(&calm(&host, &format!("/api/products/{tea}")), 200)["inventory"].as_u64().unwrap();
    until("all stock is accounted for", || left() == STOCK - sold);
    assert!(answered > 0 && unanswered > 0, "{answered} answered, {unanswered} not: the kills missed the load");
    println!(
        "{} kills: {answered} orders answered, {unanswered} asked for again, {sold} pieces sold; slowest start {slowest_start} ms",
        rounds()
    );
}

/// Orders are placed from several connections until the host is gone.
fn under_load(host: &Host, buyer: &Member, tea: &str, round: u32) -> Vec<Placed> {
    let all = Mutex::new(Vec::new());
    // Spread over what an order goes through, the same in each run.
    let life = Duration::from_millis(150 + u64::from(round) * 377 % 1100);
    thread::scope(|scope| {
        for connection in 0..BUYERS_AT_ONCE {
            let all = &all;
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{round}-{connection}-{number}");
                    let mut placed = Placed { key, quantity: 1 + number % 3, order: None };
                    let mut answer = order(host, buyer, tea, &placed);
                    // On a busy machine a service that it needs may be too slow: until the kill it is asked again.
                    while answer.as_ref().is_some_and(|answer| matches!(answer.status, 503 | 504)) {
                        answer = order(host, buyer, tea, &placed);
                    }
                    placed.order = answer.as_ref().map(|answer| id(&data(answer, 201)));
                    let gone = placed.order.is_none();
                    all.lock().unwrap().push(placed);
                    if gone {
                        return;
                    }
                }
            });
        }
        let began = Instant::now();
        while all.lock().unwrap().is_empty() && began.elapsed() < PATIENCE {
            thread::park_timeout(Duration::from_millis(1));
        }
        thread::park_timeout(life);
        host.signal("KILL");
    });
    all.into_inner().unwrap()
}

/// What a client does that got no answer: the same again, until there is one.
#[track_caller]
fn asked_again(host: &Host, buyer: &Member, tea: &str, placed: &Placed) -> String {
    let mut last = None;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match order(host, buyer, tea, placed) {
            Some(answer) if answer.status == 201 => return id(&data(&answer, 201)),
            other => last = other,
        }
        thread::park_timeout(Duration::from_millis(50));
    }
    panic!("no order for {}: {last:?}", placed.key)
}

/// `None` when the connection ended without a whole answer.
fn order(host: &Host, buyer: &Member, tea: &str, placed: &Placed) -> Option<Answer> {
    let user = buyer.path.rsplit('/').next().unwrap();
    let body = json!({"userId": user, "items": [{"productId": tea, "quantity": placed.quantity}]}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*buyer.authorization),
        ("idempotency-key", &*placed.key),
    ];
    let mut connection = Connection::try_open(host.gateway)?;
    connection.request("POST", "/api/orders", &headers, body.as_bytes());
    connection.answer(false).filter(|answer| answer.whole)
}

/// A whole list, page by page.
fn all(host: &Host, path: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let answer = calm(host, &format!("{path}&limit=100{next}"));
        found.extend(data(&answer, 200).as_array().unwrap().iter().cloned());
        match answer.header("x-next-cursor") {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

/// Asked again while the service says that it cannot answer now: on a busy machine its Redis takes
/// longer than a request may wait for it.
fn calm(host: &Host, path: &str) -> Answer {
    let began = Instant::now();
    loop {
        let answer = host.get(path);
        if answer.status != 503 || began.elapsed() > PATIENCE {
            return answer;
        }
        thread::park_timeout(Duration::from_millis(50));
    }
}

fn id(data: &Value) -> String {
    data["id"].as_str().unwrap().to_owned()
}

fn named(value: Value) -> (String, Value) {
    (id(&value), value)
}
