//! Upstreams against servers of the test that say exactly what the test wants.

mod answers;
mod discovery;
mod fake;
mod h2;
mod log;
mod names;
mod registering;
mod server;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::{Duration, Instant},
};

use gateway::body::{self, Body};
use http::{Request, Response};
use http_body_util::BodyExt;

use super::*;
use manifest::{PoolSettings, Proof, UpstreamLimits, UpstreamTls};
use server::{Act, Server, ok};

fn settings(urls: &[String]) -> UpstreamSettings {
    UpstreamSettings {
        name: "legacy".into(),
        at: Whereabouts::Fixed(urls.iter().map(|url| url.parse().unwrap()).collect()),
        limits: UpstreamLimits {
            timeout: Duration::from_secs(5),
            concurrency: NonZeroU32::new(256).unwrap(),
            queue_length: 256,
            queue_wait: Duration::from_millis(250),
        },
        health: None,
        pool: PoolSettings {
            connections_max: NonZeroUsize::new(16).unwrap(),
            idle: Duration::from_secs(30),
            http2: false,
        },
        tls: UpstreamTls::default(),
        proof: Proof::None,
    }
}

fn upstream(servers: &[&Server]) -> Upstream {
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    Upstream::new(&settings(&urls), &Outbound::new(None).unwrap())
}

fn allowed(seconds: u64) -> Allowance {
    let by = Instant::now() + Duration::from_secs(seconds);
    Allowance { by, fair_by: Instant::now(), again: true, is_stream: false }
}

async fn send(upstream: &Upstream, request: Request<Body>) -> Result<Response<Answer>, UpstreamError> {
    upstream.send(request, allowed(10)).await
}

async fn get(upstream: &Upstream) -> Result<String, String> {
    let answer = send(upstream, Request::get("/a?b=c").body(body::empty()).unwrap()).await;
    let body = answer.map_err(|error| error.to_string())?.into_body().collect().await;
    Ok(String::from_utf8(body.map_err(|error| error.to_string())?.to_bytes().to_vec()).unwrap())
}

fn post(bytes: &'static str) -> Request<Body> {
    Request::post("/").body(body::full(bytes)).unwrap()
}

/// Waits for what another task does at once.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_request_arrives_with_its_path_and_the_services_own_name_and_connections_are_used_again() {
    let server = Server::answering("hello").await;
    let upstream = upstream(&[&server]);
    for _ in 0..5 {
        let request = Request::get("/a?b=c").header("host", "shop.example").header("expect", "100-continue");
        let answer = send(&upstream, request.body(body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
        until("the connection is back", || upstream.members.all()[0].pool.open() == 1).await;
        until("it is free", || upstream.members.all()[0].pool.idle_count() == 1).await;
    }
    assert_eq!(server.connections(), 1);
    let head = server.requests()[0].to_ascii_lowercase();
    assert!(head.starts_with("get /a?b=c http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.address)) && !head.contains("expect"), "{head}");
    assert_eq!(upstream.report()[0].in_flight, 0);
}

#[tokio::test]
async fn a_connection_that_its_server_closed_while_it_waited_costs_no_request() {
    let server = Server::acting(|_, _| Act::SayAndClose(ok("hello"))).await;
    let upstream = upstream(&[&server]);
    for _ in 0..20 {
        assert_eq!(get(&upstream).await.unwrap(), "hello");
    }
    let late = Server::acting(|number, _| if number % 2 == 0 { Act::Say(ok("hello")) } else { Act::Close }).await;
    let upstream = self::upstream(&[&late]);
    for _ in 0..3 {
        // Every second request meets a connection that is closed instead of answered.
        assert_eq!(get(&upstream).await.unwrap(), "hello");
        until("it is free", || upstream.members.all()[0].pool.idle_count() == 1).await;
    }
    assert!(upstream.retries() > 0);
    assert_eq!(upstream.report()[0].health, Health::Well);
}

#[tokio::test]
async fn what_was_sent_once_and_may_not_be_repeated_is_not() {
    let server = Server::acting(|_, _| Act::Close).await;
    let upstream = upstream(&[&server]);
    let failed = send(&upstream, post("once")).await.err().unwrap();
    assert!(matches!(failed, UpstreamError::Broken { .. }), "{failed}");
    assert_eq!(server.requests().len(), 1);
    assert!(get(&upstream).await.unwrap_err().contains("the connection ended before the answer"));
    assert_eq!((server.requests().len(), upstream.retries()), (4, 2), "a GET may be: three tries");
}

#[tokio::test]
async fn an_address_that_refuses_gives_way_to_another_and_is_put_aside() {
    let server = Server::answering("hello").await;
    let nobody = Server::nobody().await;
    let upstream = Upstream::new(&settings(&[server.url(), nobody.clone()]), &Outbound::new(None).unwrap());
    for _ in 0..50 {
        let answer = send(&upstream, post("sent once, to whoever is there")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
    let of = |url: &str| upstream.report().iter().find(|of| of.address == url).unwrap().health;
    let deadline = Instant::now() + Duration::from_secs(20);
    // After a second it is tried once more.
    while of(&nobody) != Health::Aside {
        assert!(Instant::now() < deadline, "it is not put aside");
        let answer = send(&upstream, post("sent once, to whoever is there")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
    assert_eq!(of(&server.url()), Health::Well);
    assert!((3..10).contains(&upstream.retries()), "{}", upstream.retries());

    let alone = Upstream::new(&settings(&[nobody]), &Outbound::new(None).unwrap());
    for _ in 0..5 {
        let failed = get(&alone).await.unwrap_err();
        assert!(failed.contains("cannot be reached: the connection was refused"), "{failed}");
    }
}

#[tokio::test]
async fn of_two_addresses_the_one_with_fewer_requests_gets_the_next() {
    let slow = Server::acting(|_, _| Act::Hang).await;
    let fast = Server::answering("fast").await;
    let upstream = std::sync::Arc::new(upstream(&[&slow, &fast]));
    let hanging: Vec<_> = (0..40)
        .map(|_| {
            let upstream = upstream.clone();
            tokio::spawn(async move { get(&upstream).await })
        })
        .collect();
    until("the fast one has answered", || fast.requests().len() + slow.requests().len() >= 40).await;
    let before = slow.requests().len();
    for _ in 0..40 {
        assert_eq!(get(&upstream).await.unwrap(), "fast");
    }
    assert_eq!(slow.requests().len(), before, "it has requests in it, the other none");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    until("those that gave up are out", || upstream.report()[0].in_flight == 0).await;
}

#[tokio::test]
async fn of_many_addresses_one_that_is_busier_than_all_others_gets_nothing_and_the_others_do() {
    let busy = Server::acting(|_, _| Act::Hang).await;
    let mut urls: Vec<String> = (1..=4).map(|port| format!("http://127.0.0.1:{port}")).collect();
    urls.insert(2, busy.url());
    let upstream = Upstream::new(&settings(&urls), &Outbound::new(None).unwrap());
    let all = upstream.members.all();
    let (of, by) = (all[2].clone(), Instant::now() + Duration::from_secs(60));
    let request = Request::get("/").body(body::empty()).unwrap();
    let hanging = tokio::spawn(async move { of.send(request, Times { wait: Duration::ZERO, by }).await.is_ok() });
    until("it is busy", || all[2].load() == 1).await;
    let mut chosen = [0; 5];
    for _ in 0..1000 {
        let one = balance::choose(&all, None).unwrap();
        chosen[all.iter().position(|of| Arc::ptr_eq(of, &one)).unwrap()] += 1;
    }
    assert_eq!(chosen[2], 0, "{chosen:?}");
    // A fifth of the draws are with the busy one: the others share all alike, within ten deviations.
    assert!([0, 1, 3, 4].iter().all(|one| (110..=390).contains(&chosen[*one])), "{chosen:?}");
    hanging.abort();
}

#[tokio::test]
async fn in_an_outage_retries_are_a_fifth_of_the_requests_and_ten_a_second() {
    let server = Server::acting(|_, _| Act::Say("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into())).await;
    let upstream = upstream(&[&server]);
    let began = Instant::now();
    for _ in 0..30 {
        let answers = futures_util::future::join_all((0..10).map(|_| get(&upstream))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let retries = server.requests().len() - 300;
    let allowed = 10.0 + 300.0 * 0.2 + 10.0 * began.elapsed().as_secs_f64();
    assert!(retries > 0 && retries as f64 <= allowed, "{retries} of {allowed}");
}

#[tokio::test]
async fn no_more_connections_are_open_than_the_pool_may_have() {
    let server = Server::acting(|_, _| Act::Hang).await;
    let mut settings = settings(&[server.url()]);
    settings.pool.connections_max = NonZeroUsize::new(2).unwrap();
    settings.limits.queue_wait = Duration::from_millis(20);
    let upstream = std::sync::Arc::new(Upstream::new(&settings, &Outbound::new(None).unwrap()));
    let held: Vec<_> = (0..2)
        .map(|_| {
            let upstream = upstream.clone();
            tokio::spawn(async move { get(&upstream).await })
        })
        .collect();
    until("two hang", || server.requests().len() == 2).await;
    let failed = get(&upstream).await.unwrap_err();
    assert!(failed.contains("pool.connections_max"), "{failed}");
    assert_eq!((server.connections(), upstream.report()[0].connections), (2, 2));
    held.iter().for_each(tokio::task::JoinHandle::abort);
    until("their connections are closed", || upstream.report()[0].connections == 0).await;
}

#[tokio::test]
async fn a_check_takes_an_address_out_before_a_request_meets_it_and_back() {
    let ill = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_ill = ill.clone();
    let one = Server::acting(move |_, head| match head.starts_with("GET /health") && is_ill.load(Relaxed) {
        true => Act::Say("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into()),
        false => Act::Say(ok("one")),
    })
    .await;
    let other = Server::answering("other").await;
    let mut settings = settings(&[one.url(), other.url()]);
    settings.health = Some(manifest::HealthCheck { path: "/health".into(), interval: Duration::from_millis(500) });
    let upstream = Upstream::new(&settings, &Outbound::new(None).unwrap());
    until("it is down", || upstream.report()[0].health == Health::Down).await;
    for _ in 0..20 {
        assert_eq!(get(&upstream).await.unwrap(), "other");
    }
    ill.store(false, Relaxed);
    until("it is well", || upstream.report()[0].health == Health::Well).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(get(&upstream).await.unwrap());
    }

    settings.at = Whereabouts::Fixed(vec![one.url().parse().unwrap()]);
    ill.store(true, Relaxed);
    let alone = Upstream::new(&settings, &Outbound::new(None).unwrap());
    until("it is down", || alone.report()[0].health == Health::Down).await;
    assert_eq!(get(&alone).await.unwrap_err(), "none of its 1 addresses is well");
    let asked = one.requests().len();
    drop(alone);
    drop(upstream);
    tokio::time::sleep(Duration::from_millis(1250)).await;
    assert!(one.requests().len() <= asked + 3, "nobody asks any more");
}
