//! The users service while its connections are cut.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::*;
use crate::harness::{End, until};

const POOL: usize = 8;

#[test]
fn all_backends_killed_under_load_fail_their_own_requests_only() {
    let host = Host::running(&shop::manifest("", &format!("connections_max = {POOL}"))).for_admin();
    let created = host.json("POST", "/api/users", &json!({ "email": "ada@example.com", "name": "Ada" }));
    let path = created.header("location").expect("a location").to_owned();
    let look = Session::inside(&host, "users");

    let (over, answers) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let killed = thread::scope(|scope| {
        let _end = End(&over);
        for _ in 0..POOL {
            scope.spawn(|| {
                let mut connection = Connection::open(host.gateway);
                while !over.load(Relaxed) {
                    let began = Instant::now();
                    connection.request("GET", &path, &host.signed(&[]), b"");
                    let status = connection.answer(false).expect("an answer").status;
                    answers.lock().unwrap().push((began, Instant::now(), status));
                    // 25 a second on each of eight connections.
                    thread::park_timeout(Duration::from_millis(40).saturating_sub(began.elapsed()));
                }
            });
        }
        look.becomes("SELECT least(count(*), 4) FROM pg_stat_activity WHERE usename LIKE '%:rw'", 4);
        let enough = |count: usize| until("enough are answered", || answers.lock().unwrap().len() >= count);
        enough(100);
        let mut killed = Vec::new();
        for round in 1..=3 {
            let count =
                look.count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE '%:rw'");
            killed.push((Instant::now(), count));
            enough(100 + round * 200);
        }
        over.store(true, Relaxed);
        killed
    });
    let answers = answers.into_inner().unwrap();
    for (at, backends) in &killed {
        let after = |limit: Duration| {
            answers.iter().filter(move |(_, when, status)| *status != 200 && when > at && *when < *at + limit).count()
        };
        println!(
            "{backends} backends killed: {} failures, of {} answers",
            after(Duration::from_secs(1)),
            answers.len()
        );
        assert!(after(Duration::from_secs(1)) <= POOL);
    }
    let last = killed.last().unwrap().0;
    // None that was asked later: when its failure was told is the machine's to say.
    assert!(!answers.iter().any(|(asked, _, status)| *status != 200 && *asked > last + Duration::from_secs(2)));
}

#[test]
fn a_query_whose_connection_dies_is_sent_again_even_when_the_pool_is_full() {
    let patient = ("writer", "limits = { timeout = \"9s\" }\npermissions = { postgres = { shop = \"read-write\" } }");
    let shop = Shop::open("connections_max = 1\nstatement_timeout = \"8s\"", &[patient]);
    // It writes nothing, and the database's only connection is its own.
    let long = "select count(*) from generate_series(1, 3000000)";
    let killed = AtomicBool::new(false);
    thread::scope(|scope| {
        let killing = End(&killed);
        // Whichever of them is met.
        let asking = scope.spawn(|| {
            while !killed.load(Relaxed) {
                assert_eq!(shop.query("writer", long, json!([]))["rows"], json!([[{ "int64": 3_000_000 }]]));
            }
        });
        let running =
            "FROM pg_stat_activity WHERE state = 'active' AND usename LIKE '%:rw' AND query LIKE '%generate_series%'";
        shop.look.becomes(&format!("SELECT count(pg_terminate_backend(pid)) {running}"), 1);
        drop(killing);
        asking.join().unwrap();
    });
    // What may have written is not.
    thread::scope(|scope| {
        let asked =
            scope.spawn(|| shop.query("writer", "insert into items (name) select pg_sleep(6)::text", json!([])));
        let running =
            "FROM pg_stat_activity WHERE state = 'active' AND usename LIKE '%:rw' AND query LIKE '%pg_sleep%'";
        shop.look.becomes(&format!("SELECT count(pg_terminate_backend(pid)) {running}"), 1);
        variant(&asked.join().unwrap(), "unavailable");
    });
    assert_eq!(shop.query("writer", "select count(*) from items", json!([]))["rows"], json!([[{ "int64": 0 }]]));
}
