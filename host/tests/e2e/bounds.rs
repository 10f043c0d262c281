//! What is shared stays available: memory, places and instances come back whatever a guest or a
//! client does.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    apply::status,
    harness::{Connection, Host, until},
};

fn greedy(limits: &str) -> Host {
    Host::running(&format!(
        r#"
        [host]
        guest_memory = "96MiB"
        [services.probe]
        component = "COMPONENTS/probe.wasm"
        limits = {{ memory = "60MiB", timeout = "9s", cpu = "4s"{limits} }}
        [services.hello]
        component = "COMPONENTS/hello.wasm"
        [[routes]]
        path = "/hello"
        service = "hello"
        public = true
        [[routes]]
        path = "/{{*rest}}"
        service = "probe"
        public = true
        "#
    ))
}

#[test]
fn requests_beyond_the_hosts_memory_are_refused_fast_and_those_that_hold_it_finish() {
    let host = greedy("");
    thread::scope(|scope| {
        let holding: Vec<_> = (0..2).map(|_| scope.spawn(|| host.get("/grow?mib=50&ms=6000"))).collect();
        let memory = |of: &Value| of["memoryBytes"].as_u64().unwrap_or_default();
        let held = || status(&host)["services"].as_array().unwrap().iter().map(memory).sum::<u64>();
        until("they hold it", || held() > 68 << 20);
        let deadline = Instant::now() + Duration::from_secs(10);
        let refused = loop {
            let began = Instant::now();
            let answer = host.get("/grow?mib=50&ms=0");
            if answer.status == 503 || answer.json()["got"].as_u64().is_some_and(|got| got < 50) {
                break began.elapsed();
            }
            assert!(Instant::now() < deadline, "the memory is never full");
        };
        println!("refused or short after {refused:?}");
        for answer in holding {
            assert_eq!(answer.join().expect("answered").status, 200);
        }
    });
    assert_eq!(host.get("/hello").status, 200);
}

#[test]
fn idle_instances_make_room_for_other_services() {
    let host = greedy(", reuse = { requests = 100, idle = \"1h\" }");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| host.get("/grow?mib=40&ms=300"));
        }
    });
    assert_eq!(host.get("/hello").status, 200);
}

#[test]
fn a_slow_upload_is_not_held_against_the_service() {
    let host = Host::probe("limits = { timeout = \"300ms\" }");
    let uploads: Vec<Connection> = (0..30)
        .map(|_| {
            let mut connection = Connection::open(host.gateway);
            connection.write(b"POST /echo-body HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nfirst");
            connection
        })
        .collect();
    for mut upload in uploads {
        if let Some(answer) = upload.answer(false) {
            assert!(answer.status != 200 || !answer.whole);
        }
    }
    assert_eq!(host.get("/").status, 200, "the breaker is closed");
}

#[test]
fn the_time_of_a_service_stands_still_while_it_waits_for_a_slow_client() {
    let host = Host::probe("limits = { timeout = \"2s\" }");
    let piece = [b'x'; 10 * 1024];
    let upload = |path: &str| {
        let mut connection = Connection::open(host.gateway);
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 10 * piece.len());
        connection.write(head.as_bytes());
        for _ in 0..10 {
            connection.write(&piece);
            thread::park_timeout(Duration::from_millis(250));
        }
        connection.answer(false).expect("an answer")
    };
    let answer = upload("/slow-body?size=1048576&ms=0");
    assert_eq!((answer.status, &answer.json()["read"]), (200, &json!(10 * piece.len())), "{}", answer.text());
    let answer = upload("/echo-body");
    assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, 10 * piece.len()), "streamed both ways");
    let late = upload("/slow-body?size=10240&ms=400");
    assert_eq!(late.status, 504, "its own time is not given back: {}", late.text());
}

#[test]
fn a_client_that_stops_reading_does_not_keep_an_instance_past_its_deadline() {
    let host = Host::probe("limits = { timeout = \"500ms\", concurrency = 1, queue = { length = 0, wait = \"1ms\" } }");
    let mut stuck = Connection::open(host.gateway);
    stuck.request("GET", "/stream?chunks=100000&size=4096&ms=0", &[], b"");
    let deadline = Instant::now() + Duration::from_secs(10);
    while host.get("/").status != 200 {
        assert!(Instant::now() < deadline, "the only place is never free again");
    }
}

#[test]
fn streamed_answers_of_any_length_come_whole() {
    let host = Host::probe("");
    for chunks in (1..=160).step_by(3) {
        let answer = host.get(&format!("/stream?chunks={chunks}&size=4096&ms=0"));
        assert!(answer.whole && answer.body.len() == chunks * 4096, "{chunks}: {}", answer.body.len());
    }
}

#[test]
fn a_guest_finishes_its_work_when_its_body_goes_nowhere() {
    let host = Host::probe("limits = { reuse = { requests = 100, idle = \"1h\" } }");
    let count = || host.get("/counter").text().chars().filter(char::is_ascii_digit).collect::<String>();
    let before = count();
    assert_eq!(host.send("HEAD", "/stream?chunks=50&size=4096&ms=1", &[], b"").status, 200);
    assert_ne!(count(), before, "another instance answers: the one that was at work was ended");
}
