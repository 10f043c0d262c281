//! What the orders service promises, seen through the gateway.

use std::{collections::BTreeSet, fs, path::Path, thread};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Connection, Host, Postgres, Redis, Session, Shared, Streams,
    shop::{Member, data, email, member, moment, open_folder, refused, user, with_orders, with_orders_manifest},
};

mod keys;
mod killed;
mod swapped;

static SHOP: Shared = Shared::new(with_orders);

const UNKNOWN: &str = "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
const FORBIDDEN: &str = "Your token does not allow this";

/// A product by its id.
#[track_caller]
fn product(host: &Host, price: &str, inventory: u32) -> String {
    let body = format!(r#"{{"name":"P","price":{price},"inventory":{inventory}}}"#);
    let answer = host.send("POST", "/api/products", &[("content-type", "application/json")], body.as_bytes());
    data(&answer, 201)["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn inventory(host: &Host, product: &str) -> Value {
    data(&host.get(&format!("/api/products/{product}")), 200)["inventory"].clone()
}

/// The id of somebody new.
#[track_caller]
fn customer(host: &Host) -> String {
    user(host, &email("customer"), "Customer")["id"].as_str().unwrap().to_owned()
}

fn wanted(user: &str, items: &[(&str, u32)]) -> Value {
    let item = |(product, quantity): &(&str, u32)| json!({ "productId": product, "quantity": quantity });
    json!({ "userId": user, "items": items.iter().map(item).collect::<Vec<_>>() })
}

fn order(host: &Host, user: &str, items: &[(&str, u32)]) -> Answer {
    host.json("POST", "/api/orders", &wanted(user, items))
}

fn step(host: &Host, order: &Value, status: &str) -> Answer {
    let path = format!("/api/orders/{}/status", order["id"].as_str().unwrap());
    host.json("PATCH", &path, &json!({ "status": status }))
}

fn as_member(host: &Host, member: &Member, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("authorization", &*member.authorization), ("content-type", "application/json")];
    host.send(method, path, &headers, body.to_string().as_bytes())
}

/// What was told of an order, without the times.
#[track_caller]
fn told(streams: &Streams, topic: &str, order: &Value) -> Vec<Value> {
    let of_order = |event: &Value| event["key"] == order["id"];
    let mut events: Vec<Value> = streams.of(topic).into_iter().filter(of_order).collect();
    for event in &mut events {
        moment(&event["body"]["at"]);
        assert_eq!(event["body"]["orderId"], order["id"]);
        assert_eq!(event["h"][0][0], "traceparent");
    }
    events.into_iter().map(|mut event| event["body"].take()).collect()
}

#[test]
fn an_order_lives_from_pending_to_delivered() {
    a_life(&with_orders());
}

/// `manifests/shop-ts.toml` as it stands, but for its address and the name, which the harness gives.
#[test]
fn an_order_lives_the_same_life_where_users_are_in_typescript() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let text = fs::read_to_string(shipped.join("shop-ts.toml")).unwrap();
    let text = text.replace("name = \"shop\"\n", "").replace("127.0.0.1:3000", "127.0.0.1:0");
    let text = text.replace("\"../", &format!("\"{}/../", shipped.display()));
    a_life(&Host::running(&text).for_admin());
}

#[test]
fn an_order_lives_the_same_life_on_operators_servers() {
    let (server, redis) = (Postgres::start(), Redis::start());
    let [users, products, orders] = ["shop", "products", "orders"].map(|database| server.url_of(database));
    let redis = format!("url = \"{}\"", redis.url());
    let manifest = with_orders_manifest([&users, &products, &orders, &redis]);
    a_life(&Host::running_in(open_folder(), &manifest).for_admin());
    assert!(server.log().contains("insert into orders"), "it was this server");
}

#[track_caller]
fn a_life(host: &Host) {
    let user = customer(host);
    let (tea, cup) = (product(host, "19.99", 10), product(host, "0.1", 10));
    let answer = order(host, &user, &[(&cup, 2), (&tea, 1), (&cup, 1)]);
    let made = data(&answer, 201);
    let path = format!("/api/orders/{}", made["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(&*path));
    let items =
        json!([{ "productId": cup, "quantity": 3, "price": 0.1 }, { "productId": tea, "quantity": 1, "price": 19.99 }]);
    assert_eq!((&made["userId"], &made["status"], &made["items"]), (&json!(user), &json!("pending"), &items));
    assert!(answer.text().contains(r#""total":20.29,"status""#), "{}", answer.text());
    moment(&made["createdAt"]);
    assert_eq!(made.as_object().unwrap().len(), 6, "{made}");
    assert_eq!((inventory(host, &cup), inventory(host, &tea)), (json!(7), json!(9)));
    assert_eq!(data(&host.get(&path), 200), made);
    host.json("PUT", &format!("/api/products/{tea}"), &json!({ "price": 1 }));
    assert_eq!(data(&host.get(&path), 200), made, "prices are those of the day");

    let mut expected = made.clone();
    for status in ["confirmed", "shipped", "delivered"] {
        expected["status"] = json!(status);
        assert_eq!(data(&step(host, &made, status), 200), expected);
        assert_eq!(data(&host.get(&path), 200), expected);
    }
    for status in ["pending", "confirmed", "shipped", "delivered", "cancelled"] {
        refused(&step(host, &made, status), 409, "The order's status does not allow this step");
    }
    let cancelled = data(&order(host, &user, &[(&cup, 7)]), 201);
    assert_eq!(inventory(host, &cup), 0);
    assert_eq!(data(&step(host, &cancelled, "cancelled"), 200)["status"], "cancelled");
    assert_eq!(inventory(host, &cup), 7, "given back at once");
    refused(&step(host, &cancelled, "confirmed"), 409, "The order's status does not allow this step");
    assert_eq!(
        data(&step(host, &data(&order(host, &user, &[(&cup, 1)]), 201), "confirmed"), 200)["status"],
        "confirmed"
    );
    if host.data().join("redis.socket").exists() {
        the_world_knows(&Streams::inside(host), &made, &cancelled);
    }
}

fn the_world_knows(streams: &Streams, made: &Value, cancelled: &Value) {
    streams.until("order.status_changed", 5);
    let created = told(streams, "order.created", made);
    assert_eq!(created.len(), 1);
    assert_eq!((&created[0]["userId"], &created[0]["status"]), (&made["userId"], &json!("pending")));
    assert_eq!(created[0]["total"].to_string(), "20.29");
    let steps: Vec<Value> = told(streams, "order.status_changed", made)
        .into_iter()
        .map(|event| json!([event["previous"], event["status"]]))
        .collect();
    assert_eq!(json!(steps), json!([["pending", "confirmed"], ["confirmed", "shipped"], ["shipped", "delivered"]]));
    assert_eq!(told(streams, "order.status_changed", cancelled).len(), 1);
}

#[test]
fn what_cannot_be_ordered_is_refused_and_takes_no_stock() {
    let host = SHOP.get();
    let user = customer(&host);
    let (tea, cup) = (product(&host, "9999999.99", 2000), product(&host, "1", 1));
    refused(&order(&host, UNKNOWN, &[(&tea, 1)]), 404, "User not found");
    refused(&order(&host, &user, &[(&tea, 1), (UNKNOWN, 1)]), 404, "Product not found");
    refused(&order(&host, &user, &[(&tea, 1), (&cup, 2)]), 409, "Insufficient inventory");
    refused(
        &order(&host, &user, &[(&cup, 1), (&tea, 1000), (&tea, 1)]),
        400,
        "The order costs more than 9999999999.99",
    );
    refused(&order(&host, &user, &[]), 400, "Field `items` must have 1 to 100 entries");
    refused(&order(&host, &user, &[(&*tea, 1); 101]), 400, "Field `items` must have 1 to 100 entries");
    for quantity in [0, 1001] {
        let sentence = "Field `items[1].quantity` must be a whole number from 1 to 1000";
        refused(&order(&host, &user, &[(&tea, 1), (&tea, quantity)]), 400, sentence);
    }
    refused(&order(&host, &user, &[("7", 1)]), 400, "Field `items[0].productId` is not a UUID");
    refused(&order(&host, "7", &[(&tea, 1)]), 400, "Field `userId` is not a UUID");
    for body in [json!({}), json!({ "userId": user }), json!({ "items": [] })] {
        refused(&host.json("POST", "/api/orders", &body), 400, "Fields `userId` and `items` are required");
    }
    let mut more = wanted(&user, &[(&tea, 1)]);
    more["total"] = json!(0);
    refused(&host.json("POST", "/api/orders", &more), 400, "Field `total` is unknown; there are `userId`, `items`");
    refused(
        &host.send("POST", "/api/orders", &[], more.to_string().as_bytes()),
        415,
        "Send the body as JSON, with `Content-Type: application/json`",
    );
    for key in ["", &"k".repeat(129), "a b"] {
        let answer = with_key(&host, key, &wanted(&user, &[(&tea, 1)]));
        refused(&answer, 400, "Header `Idempotency-Key` must be 1 to 128 visible ASCII characters, once");
    }
    assert_eq!((inventory(&host, &tea), inventory(&host, &cup)), (json!(2000), json!(1)));
    data(&order(&host, &user, &[(&tea, 1000)]), 201);
    let made = data(&order(&host, &user, &[(&cup, 1)]), 201);
    assert_eq!(data(&host.get(&format!("/api/orders?userId={user}")), 200).as_array().unwrap().len(), 2);

    let path = format!("/api/orders/{UNKNOWN}");
    refused(&host.get(&path), 404, "Order not found");
    refused(&host.json("PATCH", &format!("{path}/status"), &json!({ "status": "shipped" })), 404, "Order not found");
    refused(&host.get("/api/orders/7"), 400, "The id in the path is not a UUID");
    let words = "Field `status` must be one of `pending`, `confirmed`, `shipped`, `delivered`, `cancelled`";
    refused(&step(&host, &made, "reserving"), 400, words);
    let own = format!("/api/orders/{}/status", made["id"].as_str().unwrap());
    refused(&host.json("PATCH", &own, &json!({})), 400, "Field `status` is required");
    for method in ["PUT", "DELETE"] {
        let answer = host.json(method, &path, &json!({}));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    }
}

fn with_key(host: &Host, key: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    host.send("POST", "/api/orders", &headers, body.to_string().as_bytes())
}

#[test]
fn orders_are_their_user_s_and_admins() {
    let host = SHOP.get();
    let (ada, bob) = (member(&host, &email("ada")), member(&host, &email("bob")));
    let ada_id = ada.path.rsplit('/').next().unwrap();
    let tea = product(&host, "1", 10);
    let as_ada = |method: &str, path: &str, body: &Value| as_member(&host, &ada, method, path, body);
    let as_bob = |method: &str, path: &str, body: &Value| as_member(&host, &bob, method, path, body);
    let made = data(&as_ada("POST", "/api/orders", &wanted(ada_id, &[(&tea, 1)])), 201);
    let path = format!("/api/orders/{}", made["id"].as_str().unwrap());
    let none = Value::Null;
    assert_eq!(data(&as_ada("GET", &path, &none), 200), made);
    let own = format!("/api/orders?userId={ada_id}");
    assert_eq!(data(&as_ada("GET", &own, &none), 200), json!([made]));

    // Before anything is looked up, and before anything else is judged.
    for body in [wanted(ada_id, &[(&tea, 1)]), wanted(UNKNOWN, &[(&tea, 1)]), wanted(ada_id, &[("7", 0)])] {
        refused(&as_bob("POST", "/api/orders", &body), 403, FORBIDDEN);
    }
    let unknown = format!("/api/orders/{UNKNOWN}");
    let odd = ["/api/orders?status=bogus".to_owned(), format!("{own}&status=bogus")];
    for path in [&path, &unknown, &own, "/api/orders", &format!("/api/orders?userId={UNKNOWN}"), &odd[0], &odd[1]] {
        refused(&as_bob("GET", path, &none), 403, FORBIDDEN);
    }
    for (path, status) in [(&path, "cancelled"), (&path, "confirmed"), (&unknown, "cancelled"), (&path, "bogus")] {
        refused(&as_bob("PATCH", &format!("{path}/status"), &json!({ "status": status })), 403, FORBIDDEN);
    }
    refused(&as_ada("PATCH", &format!("{path}/status"), &json!({ "status": "confirmed" })), 403, FORBIDDEN);
    let blanks = host.json("PATCH", &format!("{path}/status"), &json!({ "status": " confirmed " }));
    assert_eq!(blanks.status, 400, "{}", blanks.text());
    let mixed = wanted(ada_id, &[(&tea, 1000), ("ffffffff-ffff-7fff-bfff-ffffffffffff", 1)]);
    refused(&host.json("POST", "/api/orders", &mixed), 404, "Product not found");
    assert_eq!(crate::harness::exchange(host.gateway, "GET", &path, &[], b"").status, 401);
    assert_eq!(inventory(&host, &tea), 9, "what is refused takes nothing");

    // The profile has the orders.
    let profile = data(&as_ada("GET", &format!("{}/profile", ada.path), &none), 200);
    assert_eq!((&profile["orders"], &profile["partial"]), (&json!([made]), &Value::Null));

    data(&as_ada("PATCH", &format!("{path}/status"), &json!({ "status": "cancelled" })), 200);
    assert_eq!(inventory(&host, &tea), 10);
    // Users go, their orders stay.
    assert_eq!(host.send("DELETE", &ada.path, &[], b"").status, 204);
    assert_eq!(data(&host.get(&path), 200)["status"], "cancelled");
}

#[test]
fn lists_are_newest_first_by_user_and_status_and_page_stably() {
    let host = SHOP.get();
    let (user, tea) = (customer(&host), product(&host, "1", 100));
    let made: Vec<Value> = (1..=4).map(|quantity| data(&order(&host, &user, &[(&tea, quantity)]), 201)).collect();
    data(&step(&host, &made[1], "confirmed"), 200);
    let list = |query: &str| host.get(&format!("/api/orders?userId={user}{query}"));
    let quantities = |answer: &Answer| -> Vec<u64> {
        let orders = data(answer, 200);
        let quantity = |order: &Value| order["items"][0]["quantity"].as_u64().unwrap();
        orders.as_array().unwrap().iter().map(quantity).collect()
    };
    let all = list("");
    assert_eq!((quantities(&all), all.header("x-total-count")), (vec![4, 3, 2, 1], Some("4")));
    let pending = list("&status=pending&limit=2");
    assert_eq!((quantities(&pending), pending.header("x-total-count")), (vec![4, 3], Some("3")));
    let cursor = pending.header("x-next-cursor").expect("there is more").to_owned();
    data(&order(&host, &user, &[(&tea, 5)]), 201);
    let rest = list(&format!("&status=pending&limit=2&cursor={cursor}"));
    assert_eq!((quantities(&rest), rest.header("x-next-cursor")), (vec![1], None));
    assert_eq!(quantities(&list("&offset=3&limit=1")), [2]);
    assert_eq!(quantities(&list("&status=cancelled")), [0_u64; 0]);
    assert_eq!(quantities(&host.get(&format!("/api/orders?userId={UNKNOWN}"))), [0_u64; 0]);
    let everybody = host.get("/api/orders?limit=5&status=pending");
    assert!(everybody.header("x-total-count").unwrap().parse::<u32>().unwrap() >= 4);
    for (query, sentence) in [
        (
            "&status=reserving",
            "Field `status` must be one of `pending`, `confirmed`, `shipped`, `delivered`, `cancelled`",
        ),
        ("&status=", "Query parameter `status` is empty"),
        ("&limit=0", "Query parameter `limit` must be a whole number from 1 to 100"),
        ("&user=1", "Query parameter `user` is unknown; there are `limit`, `offset`, `cursor`, `userId`, `status`"),
    ] {
        refused(&list(query), 400, sentence);
    }
    refused(&host.get("/api/orders?userId=7"), 400, "Query parameter `userId` is not a UUID");
}

#[test]
fn of_two_carts_that_race_for_the_last_item_one_wins_and_none_waits_for_the_other() {
    let host = SHOP.get();
    let user = customer(&host);
    let (tea, cup) = (product(&host, "1", 1), product(&host, "1", 1000));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || order(&host, &user, &[(&tea, 1)]).status;
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(201), count(409), inventory(&host, &tea)), (1, 7, json!(0)), "{statuses:?}");
    // In either order of products.
    let (one, other) = (product(&host, "1", 1000), cup);
    thread::scope(|scope| {
        for number in 0..16 {
            let (host, user, one, other) = (&host, &user, &*one, &*other);
            scope.spawn(move || {
                let cart = if number % 2 == 0 { [(one, 1), (other, 2)] } else { [(other, 2), (one, 1)] };
                data(&order(host, user, &cart), 201);
            });
        }
    });
    assert_eq!((inventory(&host, &one), inventory(&host, &other)), (json!(984), json!(968)));
}
