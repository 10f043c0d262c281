//! What private servers keep, taken while orders are placed and put back where nothing is.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Command, Connection, End, Host, probe,
    shop::{self, Member, data, member},
    until, write_manifest,
};

/// The order's id; every attempt is answered here, for nothing is killed.
fn order(host: &Host, buyer: &Member, tea: &str, key: &str) -> String {
    let user = buyer.path.rsplit('/').next().unwrap();
    let body = json!({"userId": user, "items": [{"productId": tea, "quantity": 1}]}).to_string();
    let headers =
        [("content-type", "application/json"), ("authorization", &*buyer.authorization), ("idempotency-key", key)];
    // On a busy machine a service that it needs may be too slow; then the same is asked again.
    let answer = until("an order", || {
        let mut connection = Connection::open(host.gateway);
        connection.request("POST", "/api/orders", &headers, body.as_bytes());
        let answer = connection.answer(false).expect("an answer");
        (!matches!(answer.status, 503 | 504)).then_some(answer)
    });
    data(&answer, 201)["id"].as_str().unwrap().to_owned()
}

/// Asked again while the service says that it cannot answer now: its servers have just been started.
fn calm(host: &Host, path: &str) -> Answer {
    until("an answer", || Some(host.get(path)).filter(|answer| answer.status != 503))
}

/// Every id of a whole list, as often as it is there.
fn ids(host: &Host, path: &str, key: &str) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let answer = calm(host, &format!("{path}&limit=100{next}"));
        found.extend(data(&answer, 200).as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()));
        match answer.header("x-next-cursor") {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_under_load_has_every_order_that_was_answered_before_it_once() {
    let manifest = shop::whole_manifest("");
    let host = Host::running_in(shop::open_folder(), &manifest).for_admin();
    let tea = data(&host.json("POST", "/api/products", &json!({"name": "Tea", "price": 1, "inventory": 100_000})), 201);
    let tea = tea["id"].as_str().unwrap().to_owned();
    let buyer = member(&host, &shop::email("buyer"));
    let kept = tempfile::tempdir().unwrap();
    let to = kept.path().join("monday");
    let file = host.folder.path().join("manifest.toml");
    let (file, to_text) = (file.to_str().unwrap(), to.to_str().unwrap());

    let (stop, placed) = (AtomicBool::new(false), Mutex::new(BTreeSet::new()));
    let (before, taken) = thread::scope(|scope| {
        let _end = End(&stop);
        for client in 0..2 {
            let (host, buyer, tea, stop, placed) = (&host, &buyer, &tea, &stop, &placed);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let id = order(host, buyer, tea, &format!("{client}-{number}"));
                    placed.lock().unwrap().insert(id);
                    // A user is told of the last 1000 orders only.
                    thread::park_timeout(Duration::from_millis(50));
                }
            });
        }
        until("the load is on", || placed.lock().unwrap().len() > 20);
        let before = placed.lock().unwrap().clone();
        let taken = Command::new(&["backup", file, to_text]).json();
        let during = placed.lock().unwrap().len();
        stop.store(true, Relaxed);
        assert!(during > before.len(), "orders are placed meanwhile");
        (before, taken)
    });
    let placed = placed.into_inner().unwrap();
    assert_eq!(taken["databases"], json!(["db_orders", "db_products", "db_users"]));
    assert_eq!((mode(&to), mode(&to.join("keys"))), (0o700, 0o700));
    assert!(Command::new(&["backup", file, to_text]).refused().contains("is there already"));
    drop(host.stop());

    let place = shop::empty_folder();
    let file = write_manifest(place.path(), &manifest);
    let restored = Command::new(&["restore", file.to_str().unwrap(), to_text]).json();
    assert_eq!(restored, taken);
    assert!(Command::new(&["restore", file.to_str().unwrap(), to_text]).refused().contains("has data already"));
    let host = Host::running_in(place, &manifest).for_admin();
    let user = buyer.path.rsplit('/').next().unwrap();
    let orders = ids(&host, &format!("/api/orders?userId={user}"), "id");
    let once: BTreeSet<String> = orders.iter().cloned().collect();
    assert_eq!(once.len(), orders.len(), "once");
    assert!(before.is_subset(&once), "{} of {}", once.len(), before.len());
    let unknown: Vec<&String> = once.difference(&placed).collect();
    assert!(unknown.is_empty(), "and none that nobody placed: {unknown:?}");
    let notified = || ids(&host, &format!("/api/notifications?userId={user}"), "orderId");
    // One that was being placed at that moment is given up later, as after a crash, and nobody was answered then.
    until("each order is told of", || before.is_subset(&notified().into_iter().collect()));
    let notified = notified();
    assert_eq!(notified.iter().collect::<BTreeSet<_>>().len(), notified.len(), "once");
    // The keys are those of before: what was signed then is still believed.
    let mine = host.send("GET", &buyer.path, &[("authorization", &*buyer.authorization)], b"");
    assert_eq!(data(&mine, 200)["id"].as_str(), Some(user));
    order(&host, &buyer, &tea, "one-more");
}

#[test]
fn what_cannot_be_taken_or_put_back_is_told_and_leaves_nothing() {
    let host = Host::probe("");
    let kept = tempfile::tempdir().unwrap();
    let to = kept.path().join("none");
    let (file, to_text) = (host.folder.path().join("manifest.toml"), to.to_str().unwrap());
    let told = Command::new(&["backup", file.to_str().unwrap(), to_text]).refused();
    assert!(told.contains("holds no private server's data"), "{told}");
    let told = Command::new(&["restore", file.to_str().unwrap(), to_text]).refused();
    assert!(told.contains("another host (pid"), "{told}");
    let place = host.stop();
    let told = Command::new(&["restore", file.to_str().unwrap(), to_text]).refused();
    assert!(told.contains("is no backup"), "{told}");

    let manifest = format!("[redis.main]\n[keyvalue.k]\nredis = \"main\"\n{}", probe(""));
    let place = Host::running_in(place, &manifest).stop();
    let told = Command::new(&["backup", file.to_str().unwrap(), to_text]).refused();
    assert!(told.contains("no host runs on"), "{told}");
    let left: Vec<Value> = fs::read_dir(kept.path()).unwrap().map(|entry| json!(entry.unwrap().path())).collect();
    assert!(left.is_empty(), "{left:?}");
    drop(place);
}
