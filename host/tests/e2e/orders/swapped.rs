//! Orders while everything they need is replaced.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::*;
use crate::harness::{
    End,
    admin::{build, wasm},
    until,
};

#[test]
fn orders_go_on_while_orders_products_and_users_are_swapped_at_once() {
    let host = with_orders();
    let (user, tea) = (customer(&host), product(&host, "1", 1_000_000));
    let names = ["orders", "products", "users"];
    let before = names.map(|name| host.live(name));
    let (stop, placed, made) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    thread::scope(|scope| {
        let _end = End(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let order = data(&order(&host, &user, &[(&tea, 1)]), 201);
                    made.lock().unwrap().insert(order["id"].as_str().unwrap().to_owned());
                    placed.fetch_add(1, Relaxed);
                }
            });
        }
        let further = || {
            let goal = placed.load(Relaxed) + 8;
            until("orders go on", || placed.load(Relaxed) >= goal);
        };
        further();
        for number in 1..=3 {
            let host = &host;
            let swaps = names.map(|name| scope.spawn(move || host.swap(name, &build(&wasm(name), number))));
            swaps.into_iter().for_each(|swap| assert_eq!(swap.join().unwrap().status, 200));
            further();
        }
        stop.store(true, Relaxed);
    });
    assert!(names.iter().zip(before).all(|(name, before)| host.live(name) != before));
    let made = made.into_inner().unwrap();
    assert_eq!(made.len(), placed.load(Relaxed), "an order for each answer");
    assert_eq!(inventory(&host, &tea), json!(1_000_000 - made.len()));
    let events = Streams::inside(&host).until("order.created", made.len());
    let told: BTreeSet<String> = events.iter().map(|event| event["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!((told, events.len()), (made.clone(), made.len()), "and one event for each");
}
