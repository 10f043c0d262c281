//! Promises about delays and retention.

use super::{handing::*, *};

#[tokio::test]
async fn a_delayed_event_comes_at_its_time() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let mut taker = Taker::new(group(&events, "mail", "order.*"));
    let (event, _) = event("order.late", "1");
    let options = Options { delay: Some(Duration::from_secs(3)), ..Options::default() };
    let began = Instant::now();
    publish(&events, &[(event.clone(), options)]).await;
    assert_eq!(events.delayed_count().await.unwrap(), 1);
    assert_eq!(one(&mut taker).await.event.id, event.id);
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(events.delayed_count().await.unwrap(), 0);
}

async fn kept(events: &Events, topic: &str) -> u64 {
    let topics = events.topics().await.unwrap();
    topics.iter().find(|report| report.topic == topic).unwrap().events
}

#[tokio::test]
async fn what_all_groups_have_handled_goes_and_what_one_has_not_stays() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let (fast, slow) = (group(&events, "fast", "order.created"), group(&events, "slow", "order.created"));
    let (mut fast_taker, mut slow_taker) = (Taker::new(fast.clone()), Taker::new(slow.clone()));
    publish(&events, &[event("order.created", "1"), event("order.created", "2")]).await;
    let (script, mut named) = (redis::Script::new(retention::TRIM), retention::Named::new());
    for taken in some(&mut fast_taker).await {
        fast.acknowledge(&taken).await.unwrap();
    }
    let mut taken = slow_taker.take(1).await;
    while taken.is_empty() {
        taken = slow_taker.take(1).await;
    }
    events.trim_all(&script, Duration::ZERO, &mut named).await.unwrap();
    assert_eq!(kept(&events, "order.created").await, 2);
    slow.acknowledge(&taken[0]).await.unwrap();
    events.trim_all(&script, Duration::ZERO, &mut named).await.unwrap();
    assert_eq!(kept(&events, "order.created").await, 1, "the second has not been handed out");
    assert!(named.is_empty());
    let report = &events.topics().await.unwrap()[0];
    let lags: Vec<_> = report.services.iter().map(|lag| (lag.service.as_str(), lag.lag, lag.pending)).collect();
    assert_eq!(lags, [("fast", Some(0), 0), ("slow", Some(1), 0)]);
}

#[tokio::test]
async fn retention_bounds_what_nobody_handles_and_names_who_loses() {
    let server = Server::start();
    let (retain, retain_bytes) = (Duration::from_secs(3600), 100_000);
    let settings = EventSettings { redis: "main".into(), retain, retain_bytes };
    let events = server.events_with(settings).await;
    events.start();
    group(&events, "mail", "order.created").join("archipel:{shop}:ev:order.created").await.unwrap();
    let batch: Vec<_> = (0..100).map(|_| event("order.created", &"x".repeat(10_000))).collect();
    publish(&events, &batch).await;
    let (script, mut named) = (redis::Script::new(retention::TRIM), retention::Named::new());
    events.trim_all(&script, Duration::ZERO, &mut named).await.unwrap();
    let left = kept(&events, "order.created").await;
    assert!((1..=15).contains(&left), "{left}");
    assert!(events.topics().await.unwrap()[0].bytes.unwrap() < 2 * retain_bytes);
    assert!(named.contains_key(&("order.created".to_owned(), "mail".to_owned())), "{named:?}");

    let brief = EventSettings { redis: "main".into(), retain: Duration::from_millis(1), retain_bytes };
    let events = server.events_with(brief).await;
    // They may be less than a millisecond old.
    let began = Instant::now();
    while kept(&events, "order.created").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "they stay");
        events.trim_all(&script, Duration::ZERO, &mut named).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_topic_is_kept_for_a_service_that_takes_nothing_just_now() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let mut busy = Taker::new(group(&events, "busy", "order.*"));
    publish(&events, &[event("order.created", "1")]).await;
    drop(one(&mut busy).await);
    let fast = group(&events, "fast", "order.new");
    let mut fast_taker = Taker::new(fast.clone());
    publish(&events, &[event("order.new", "first")]).await;
    fast.acknowledge(&one(&mut fast_taker).await).await.unwrap();
    let (script, mut named) = (redis::Script::new(retention::TRIM), retention::Named::new());
    events.trim_all(&script, Duration::ZERO, &mut named).await.unwrap();
    assert_eq!(kept(&events, "order.new").await, 1, "the busy one has not had it");
    let services: Vec<_> = events.topics().await.unwrap().into_iter().map(|topic| topic.services.len()).collect();
    assert_eq!(services, [1, 2], "and nobody is made to handle what it does not subscribe to");
    let mut bodies = Vec::new();
    while !bodies.contains(&b"first".to_vec()) {
        bodies.extend(some(&mut busy).await.into_iter().map(|taken| taken.event.body));
    }
}

/// Why Redis refuses it, when it answers in time.
pub(super) async fn refused(events: &Events, event: &(Event, Options)) -> PublishError {
    let began = Instant::now();
    loop {
        match events.publish(std::slice::from_ref(event), soon()).await.unwrap_err() {
            PublishError::Late(_) | PublishError::Unavailable(_) if began.elapsed() < Duration::from_secs(20) => {}
            error => return error,
        }
    }
}

#[tokio::test]
async fn what_waits_for_its_time_is_bounded_in_bytes_and_for_each_service() {
    let server = Server::start();
    let settings = EventSettings { redis: "main".into(), retain: Duration::from_secs(3600), retain_bytes: 5000 };
    let events = server.events_with(settings).await;
    let late = |millis: u64| {
        let options = Options { delay: Some(Duration::from_millis(millis)), ..Options::default() };
        (event("order.late", &"x".repeat(3000)).0, options)
    };
    publish(&events, &[late(1)]).await;
    assert_eq!(refused(&events, &late(1)).await, PublishError::Overloaded);
    publish(&events, &[event("order.now", &"x".repeat(3000))]).await;
    let moving = redis::Script::new(delayed::SCRIPT);
    let began = Instant::now();
    while events.move_due(&moving).await.unwrap().is_some() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come");
    }
    publish(&events, &[late(3_600_000)]).await;

    let mut redis = server.connection().await;
    let small = || {
        let (event, _) = event("order.late", "x");
        (event, Options { delay: Some(Duration::from_secs(3600)), ..Options::default() })
    };
    for (waiting, is_room) in [(DELAYED_EACH_MAX, false), (DELAYED_EACH_MAX - 1, true)] {
        let mut set = redis::cmd("HSET");
        set.arg("archipel:{shop}:delayed:of").arg("orders").arg(waiting);
        set.query_async::<()>(&mut redis).await.unwrap();
        match is_room {
            true => drop(publish(&events, &[small()]).await),
            false => assert_eq!(refused(&events, &small()).await, PublishError::Overloaded),
        }
    }
}
