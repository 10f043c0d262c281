//! However a component ends, its transaction does not outlive it.

use super::*;

/// Each dies in its own way, so that no breaker opens.
const DOOMED: [&str; 4] = ["trap", "hang", "spin", "leave"];
const DEATHS: usize = 50;

#[test]
fn fifty_deaths_in_a_transaction_leave_none_open_and_no_lock() {
    let lines =
        "limits = { timeout = \"600ms\", cpu = \"100ms\" }\npermissions = { postgres = { shop = \"read-write\" } }";
    let patient = "limits = { timeout = \"9s\" }\npermissions = { postgres = { shop = \"read-write\" } }";
    let is_patient = |name: &str| matches!(name, "trap" | "leave");
    let mut services = DOOMED.map(|name| (name, if is_patient(name) { patient } else { lines })).to_vec();
    services.push(WRITER);
    let shop = Shop::open("", &services);
    shop.execute("writer", "insert into items (name) values ('kept')", json!([]));
    thread::scope(|scope| {
        let mut dying = Vec::new();
        for number in 0..DEATHS {
            let (shop, way) = (&shop, DOOMED[number % DOOMED.len()]);
            dying.push(scope.spawn(move || die(shop, way, number)));
            // No more at once than the pool lends.
            if dying.len() == 10 {
                dying.drain(..).for_each(|death| death.join().unwrap());
            }
        }
    });
    let quiet = shop.becomes_quiet();
    println!("{DEATHS} deaths: nothing open or locked after {quiet:?}");
    assert_eq!(shop.look.text("SELECT string_agg(name, ',') FROM items"), "kept", "nothing was committed");
    // A row that a dead one had locked can be changed.
    assert_eq!(shop.execute("writer", "update items set price = 1", json!([])), json!({ "changed": 1 }));
}

fn die(shop: &Shop, way: &str, number: usize) {
    let items = json!([
        { "sql": "insert into items (name) values ($1)", "params": [format!("dead {number}")] },
        { "sql": format!("insert into stock.boxes values ({number})") },
    ]);
    let order = json!({ "database": "shop", "items": items });
    match way {
        "trap" => assert_eq!(shop.ask(way, "/pg/begin-and-trap", &order).status, 502),
        "hang" => assert_eq!(shop.ask(way, "/pg/begin-and-hang", &order).status, 504),
        "spin" => assert_eq!(shop.ask(way, "/pg/begin-and-spin", &order).status, 504),
        // The client goes away while the guest hangs, long before the guest's own end.
        _ => {
            let connection = shop.order(way, "/pg/begin-and-hang", &order);
            let open = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%values ({number})'"
            );
            shop.look.becomes(&open, 1);
            drop(connection);
            let noticed = shop.look.becomes(&open, 0);
            assert!(noticed < Duration::from_secs(6), "{noticed:?}");
        }
    }
}

#[test]
fn a_reused_instance_takes_no_transaction_into_its_next_request() {
    let reused = "limits = { reuse = { requests = 1000, idle = \"60s\" } }\npermissions = { postgres = { shop = \"read-write\" } }";
    let shop = Shop::open("connections_max = 2", &[("reused", reused)]);
    let items = json!([{ "sql": "insert into items (name) values ('left') on conflict do nothing" }]);
    // More often than the pool has connections.
    for _ in 0..6 {
        let answer = shop.ask("reused", "/pg/begin-and-return", &json!({ "database": "shop", "items": items }));
        assert_eq!(answer.status, 200, "{answer:?}");
        shop.becomes_quiet();
    }
    assert_eq!(shop.look.count("SELECT count(*) FROM items"), 0);
}
