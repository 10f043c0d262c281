//! Orders when something is away, or when the host dies in the middle of one.

use super::*;

#[test]
fn orders_are_taken_while_redis_is_away_and_their_events_come_later() {
    let mut redis = Redis::start();
    let url = format!("url = \"{}\"", redis.url());
    let host = Host::running_in(open_folder(), &with_orders_manifest(["", "", "", &url])).for_admin();
    let (user, tea) = (customer(&host), product(&host, "1", 100));
    redis.kill();
    let made: Vec<Value> = (0..10).map(|_| data(&order(&host, &user, &[(&tea, 1)]), 201)).collect();
    let waiting = "select count(*) from archipel_outbox where topic = 'orders.check'";
    assert!(Session::inside(&host, "orders").count(waiting) < 10, "one message looks after several orders");
    data(&step(&host, &made[0], "cancelled"), 200);
    assert_eq!(inventory(&host, &tea), 91, "given back without any event");
    redis.start_again();
    let streams = Streams::at(&redis.url());
    let created = streams.until("order.created", 10);
    let keys: Vec<&Value> = created.iter().map(|event| &event["key"]).collect();
    assert_eq!(keys, made.iter().map(|order| &order["id"]).collect::<Vec<_>>());
    streams.until("order.status_changed", 1);
}

#[test]
fn stock_of_an_order_that_a_killed_host_was_making_comes_back() {
    let manifest = with_orders_manifest([""; 4])
        .replace("[services.orders]\n", "[services.orders]\nenv = { CHECK_AFTER_MS = \"3000\" }\n");
    let host = Host::running_in(open_folder(), &manifest).for_admin();
    let user = customer(&host);
    let mut products = [product(&host, "1", 10), product(&host, "1", 10)];
    products.sort();
    let [first, second] = &products;
    // It has the first product and waits for the second.
    let shelf = Session::inside(&host, "products");
    shelf.run(&format!("begin; select from products where id = '{second}' for update"));
    let body = wanted(&user, &[(second, 2), (first, 3)]).to_string();
    let look = Session::inside(&host, "products");
    let mut connection = Connection::open(host.gateway);
    let headers = host.signed(&[("content-type", "application/json"), ("idempotency-key", "dead")]);
    connection.request("POST", "/api/orders", &headers, body.as_bytes());
    look.becomes(&format!("select inventory::int8 from products where id = '{first}'"), 7);

    let host = Host::running_in(host.killed(), &manifest).for_admin();
    let look = Session::inside(&host, "products");
    look.becomes(&format!("select inventory::int8 from products where id = '{first}'"), 10);
    assert_eq!(inventory(&host, second), 10);
    Session::inside(&host, "orders").becomes("select count(*) from orders", 0);
    let body = wanted(&user, &[(second, 2), (first, 3)]);
    data(&with_key(&host, "dead", &body), 201);
    assert_eq!((inventory(&host, first), inventory(&host, second)), (json!(7), json!(8)));
    assert_eq!(Streams::inside(&host).until("order.created", 1).len(), 1, "one order, one event");
}

#[test]
fn a_failure_in_the_middle_gives_up_at_once() {
    let host = with_orders();
    let user = customer(&host);
    let mut products = [product(&host, "1", 10), product(&host, "1", 10)];
    products.sort();
    let [first, second] = &products;
    let shelf = Session::inside(&host, "products");
    shelf.run(&format!("begin; select from products where id = '{second}' for update"));
    // Each try takes too long; the service still answers, and has given back what it had.
    let answer = order(&host, &user, &[(first, 1), (second, 1)]);
    assert!(matches!(answer.status, 503 | 504), "{}", answer.text());
    shelf.run("rollback");
    let look = Session::inside(&host, "products");
    look.becomes("select sum(inventory)::int8 from products", 20);
    assert!(Streams::inside(&host).of("order.created").is_empty());
    data(&order(&host, &user, &[(first, 10), (second, 10)]), 201);
}
