//! `Idempotency-Key`: one order, however often it is asked for.

use super::*;

#[test]
fn the_same_key_and_value_make_one_order_and_another_value_a_conflict() {
    let host = SHOP.get();
    let (user, tea) = (customer(&host), product(&host, "2.5", 100));
    let body = wanted(&user, &[(&tea, 1), (&tea, 2)]);
    let first = with_key(&host, "first", &body);
    let made = data(&first, 201);
    data(&step(&host, &made, "confirmed"), 200);
    // The same value, in other words.
    let again = format!(
        r#"{{ "items": [{{"quantity":1.0,"productId":"{tea}"}},{{"productId":"{tea}","quantity":2}}], "userId": "{user}" }}"#
    );
    let headers = [("content-type", "application/json"), ("idempotency-key", "first")];
    let second = host.send("POST", "/api/orders", &headers, again.as_bytes());
    assert_eq!(data(&second, 201), made, "as it was first answered");
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(inventory(&host, &tea), 97);
    for other in [wanted(&user, &[(&tea, 3)]), wanted(&user, &[(&tea, 2), (&tea, 1)])] {
        refused(&with_key(&host, "first", &other), 409, "This `Idempotency-Key` has been used for another order");
    }
    // Keys are each asker's own.
    let ada = member(&host, &email("ada"));
    let own = wanted(ada.path.rsplit('/').next().unwrap(), &[(&tea, 1)]);
    let headers =
        [("authorization", &*ada.authorization), ("content-type", "application/json"), ("idempotency-key", "first")];
    data(&host.send("POST", "/api/orders", &headers, own.to_string().as_bytes()), 201);
    assert_eq!(inventory(&host, &tea), 96);
}

#[test]
fn twenty_twins_make_one_order() {
    let host = SHOP.get();
    let (user, tea) = (customer(&host), product(&host, "1", 100));
    let body = wanted(&user, &[(&tea, 1)]);
    let ids: BTreeSet<String> = thread::scope(|scope| {
        let ask = || data(&with_key(&host, "twins", &body), 201)["id"].to_string();
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!((ids.len(), inventory(&host, &tea)), (1, json!(99)));
}

#[test]
fn a_failure_is_not_remembered_nor_a_key_of_yesterday_nor_one_of_a_host_that_died() {
    let host = SHOP.get();
    let look = Session::inside(&host, "orders");
    let (user, tea) = (customer(&host), product(&host, "1", 1));
    let body = wanted(&user, &[(&tea, 5)]);
    refused(&with_key(&host, "later", &body), 409, "Insufficient inventory");
    host.json("PUT", &format!("/api/products/{tea}"), &json!({ "inventory": 100 }));
    let first = data(&with_key(&host, "later", &body), 201);
    assert_eq!(data(&with_key(&host, "later", &body), 201), first);

    look.run("update idempotency_keys set created_at = created_at - interval '23 hours' where key = 'later'");
    assert_eq!(data(&with_key(&host, "later", &body), 201), first);
    look.run("update idempotency_keys set created_at = created_at - interval '1 hour' where key = 'later'");
    let second = data(&with_key(&host, "later", &body), 201);
    assert_ne!(second["id"], first["id"]);
    assert_eq!(inventory(&host, &tea), 90);

    // As a host that was killed in the middle leaves it, a moment later.
    let id = second["id"].as_str().unwrap();
    look.run(&format!(
        "update orders set status = 'reserving', created_at = created_at - interval '11 seconds' where id = '{id}'"
    ));
    let third = data(&with_key(&host, "later", &body), 201);
    assert_ne!(third["id"], second["id"]);
    assert_eq!(inventory(&host, &tea), 90, "its stock was given back");
    assert_eq!(look.count(&format!("select count(*) from orders where id = '{id}'")), 0);
}

#[test]
fn a_twin_waits_for_the_first_and_does_not_wait_for_ever() {
    let host = SHOP.get();
    let (user, tea) = (customer(&host), product(&host, "1", 10));
    // The first is held up by somebody who has the product.
    let shelf = Session::inside(&host, "products");
    shelf.run(&format!("begin; select from products where id = '{tea}' for update"));
    let (body, look) = (wanted(&user, &[(&tea, 1)]), Session::inside(&host, "orders"));
    thread::scope(|scope| {
        let ask = || with_key(&host, "held", &body);
        let asking: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
        let held = format!("select count(*) from orders where status = 'reserving' and user_id = '{user}'");
        look.becomes(&held, 1);
        let list = host.get(&format!("/api/orders?userId={user}"));
        assert_eq!((data(&list, 200), list.header("x-total-count")), (json!([]), Some("0")), "nobody sees it yet");
        shelf.run("rollback");
        let made: Vec<Value> = asking.into_iter().map(|asked| data(&asked.join().unwrap(), 201)).collect();
        assert_eq!(made[0], made[1]);
    });
    assert_eq!(inventory(&host, &tea), 9);
}

#[test]
fn an_order_that_becomes_complete_while_it_is_given_up_keeps_its_stock() {
    let host = SHOP.get();
    let (user, tea) = (customer(&host), product(&host, "1", 10));
    let body = wanted(&user, &[(&tea, 3)]);
    let made = data(&with_key(&host, "late", &body), 201);
    let id = made["id"].as_str().unwrap();
    // As if its last transaction were still on its way, eleven seconds later.
    let (slow, look) = (Session::inside(&host, "orders"), Session::inside(&host, "orders"));
    slow.run(&format!(
        "update orders set status = 'reserving', created_at = created_at - interval '11 seconds' where id = '{id}'"
    ));
    slow.run(&format!("begin; update orders set status = 'pending' where id = '{id}'"));
    thread::scope(|scope| {
        let asked = scope.spawn(|| with_key(&host, "late", &body));
        // The check of other orders may find it, too.
        let waiting = "select least(count(*), 1) from pg_stat_activity
                       where wait_event_type = 'Lock' and query like '%set status = ''failed''%'";
        look.becomes(waiting, 1);
        slow.run("commit");
        assert_eq!(data(&asked.join().unwrap(), 201)["id"], made["id"]);
    });
    assert_eq!(inventory(&host, &tea), 7);
    assert_eq!(data(&host.get(&format!("/api/orders/{id}")), 200)["status"], "pending");
}
