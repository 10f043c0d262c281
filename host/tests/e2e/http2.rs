//! HTTP/2 through the whole host, with hyper's client.

use std::{thread, time::Duration};

use http_body_util::BodyExt;

use crate::harness::{
    Host,
    h2::{Client, runtime, whole},
};

#[test]
fn a_guest_sees_the_same_request_as_over_http_1() {
    let host = Host::probe("");
    runtime().block_on(async {
        let mut client = Client::open(host.gateway).await;
        let answer = client.send("POST", "/%65cho?n=1", b"body").await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-service"], "probe");
        let seen: serde_json::Value = serde_json::from_slice(&whole(answer).await.unwrap()).unwrap();
        assert_eq!(seen["target"], "/echo?n=1");
        assert_eq!(seen["scheme"], "http");
        assert_eq!(seen["authority"], host.gateway.to_string());
        assert_eq!(seen["body"], "body");

        let refused = client.get("/a/%2e%2e/echo").await.unwrap();
        assert_eq!(refused.status(), 400);
    });
}

#[test]
fn an_answer_cut_short_resets_its_stream_and_no_other() {
    let host = Host::probe("limits = { timeout = \"4s\" }");
    runtime().block_on(async {
        let mut client = Client::open(host.gateway).await;
        let answer = client.get("/stream?chunks=1000&size=10&ms=100").await.unwrap();
        assert_eq!(answer.status(), 200);
        whole(answer).await.expect_err("cut at its time limit");
        for path in ["/trap-after-head", "/spin-after-head", "/length?says=100&sends=10"] {
            // Seen before its head was sent, or cut after it.
            match client.get(path).await {
                Ok(answer) if answer.status() == 200 => drop(whole(answer).await.expect_err(path)),
                Ok(answer) => assert!(answer.status().is_server_error(), "{path}: {answer:?}"),
                // Its head and its reset came together, and the client saw the reset first.
                Err(error) => assert!(format!("{error:?}").contains("Reset"), "{path}: {error:?}"),
            }
        }
        let answer = client.get("/").await.expect("the connection lives");
        assert_eq!(whole(answer).await.unwrap(), "probe\n");
    });
}

#[test]
fn a_stream_arrives_piece_by_piece() {
    let host = Host::probe("");
    runtime().block_on(async {
        let mut client = Client::open(host.gateway).await;
        let mut body = client.get("/stream?chunks=3&size=10&ms=1000").await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), 10, "the first piece does not wait for the others");
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 20);
    });
}

#[test]
fn large_bodies_pass_both_ways_over_many_streams_at_once() {
    let host = Host::probe("limits = { timeout = \"30s\", cpu = \"20s\" }");
    runtime().block_on(async {
        let mut client = Client::open(host.gateway).await;
        let sent: Vec<u8> = (0..1_500_000_u32).map(|n| (n % 251) as u8).collect();
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(client.send("POST", "/echo-body", &sent).await.unwrap());
        }
        for answer in answers {
            assert_eq!(whole(answer).await.unwrap(), sent);
        }
        let answer = client.get("/stream?chunks=100&size=100000").await.unwrap();
        assert_eq!(whole(answer).await.unwrap().len(), 10_000_000);
        let over = client.send("POST", "/echo-body", &vec![0; 3 << 20]).await.unwrap();
        assert_eq!(over.status(), 413);
    });
}

#[test]
fn a_client_that_goes_away_ends_its_guest() {
    let host = Host::probe("limits = { concurrency = 1, queue = { length = 1, wait = \"10s\" }, timeout = \"60s\" }");
    runtime().block_on(async {
        for path in ["/stream?chunks=1000&size=10&ms=100", "/sleep?ms=50000"] {
            let mut leaving = Client::open(host.gateway).await;
            if path.starts_with("/stream") {
                let mut body = leaving.get(path).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                drop(body); // RST_STREAM, and the connection stays
            } else {
                let asking = leaving.get(path);
                let _ = tokio::time::timeout(Duration::from_millis(300), asking).await.expect_err("it sleeps");
                drop(leaving);
            }
            let mut next = Client::open(host.gateway).await;
            let answer = next.get("/").await.unwrap();
            assert_eq!(answer.status(), 200, "the place of {path} is free");
        }
    });
}

#[test]
fn sigterm_says_goaway_and_finishes_what_is_in_flight() {
    let mut host = Host::probe("");
    runtime().block_on(async {
        let mut client = Client::open(host.gateway).await;
        let mut body = client.get("/stream?chunks=10&size=10&ms=100").await.unwrap().into_body();
        let begun = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        host.signal("TERM");
        host.log.expect_line("draining");
        let rest = body.collect().await.expect("the stream ends whole").to_bytes();
        assert_eq!(begun + rest.len(), 100);
        let refused = client.get("/").await;
        assert!(refused.is_err(), "no new stream after GOAWAY");
    });
    let ended = thread::spawn(move || host.ended());
    assert!(ended.join().unwrap().success());
}
