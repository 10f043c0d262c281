//! Promises about handing events out and settling them.

use super::*;

pub(super) fn group(events: &Arc<Events>, service: &str, topic: &str) -> Arc<Group> {
    Arc::new(group_of(events, service, &[topic]))
}

pub(super) fn group_of(events: &Arc<Events>, service: &str, topics: &[&str]) -> Group {
    let subscribe = Subscribe(topics.iter().map(|topic| topic.parse().unwrap()).collect());
    let permissions = Permissions { subscribe, ..Permissions::default() };
    let grants = Grants::new(service.into(), "shop.toml".into(), permissions);
    Group::new(events.clone(), grants.subscription().unwrap())
}

/// Takes until something comes.
pub(super) async fn some(taker: &mut Taker) -> Vec<Delivered> {
    let began = Instant::now();
    loop {
        let taken = taker.take(8).await;
        if !taken.is_empty() {
            return taken;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nothing came");
    }
}

pub(super) async fn one(taker: &mut Taker) -> Delivered {
    let mut taken = some(taker).await;
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

#[tokio::test]
async fn every_group_is_handed_every_event_once_also_those_from_before_it() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let (mut first, options) = event("order.created", "1");
    first.headers = vec![("a".into(), "b".into())];
    first.key = Some("7".into());
    publish(&events, &[(first.clone(), options), event("user.created", "x")]).await;
    let mut takers = ["mail", "stats"].map(|service| {
        let group = group(&events, service, "order.*");
        (Taker::new(group.clone()), group)
    });
    for (taker, group) in &mut takers {
        let taken = one(taker).await;
        assert_eq!((taken.attempt, taken.event.id), (1, first.id));
        assert_eq!((taken.event.topic.as_str(), taken.event.key.as_deref()), ("order.created", Some("7")));
        assert_eq!(taken.event.headers, first.headers);
        group.acknowledge(&taken).await.unwrap();
    }
    publish(&events, &[event("order.changed", "2")]).await;
    for (taker, _) in &mut takers {
        assert_eq!(one(taker).await.event.body, b"2", "a topic that is new is found");
    }
}

#[tokio::test]
async fn what_failed_comes_again_after_its_pause_and_attempts_are_counted() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let group = group(&events, "mail", "order.created");
    let mut taker = Taker::new(group.clone());
    publish(&events, &[event("order.created", "1")]).await;
    let began = Instant::now();
    for (attempt, pause) in [(1, Duration::from_millis(300)), (2, Duration::ZERO)] {
        let taken = one(&mut taker).await;
        assert_eq!(taken.attempt, attempt);
        group.later(&taken, pause).await.unwrap();
    }
    for _ in 0..2 {
        let taken = one(&mut taker).await;
        assert_eq!(taken.attempt, 3, "what is begun again is the same attempt");
        group.again(&taken).await.unwrap();
    }
    let taken = one(&mut taker).await;
    assert_eq!(taken.attempt, 3);
    assert!(began.elapsed() >= Duration::from_millis(300), "not before");
    group.acknowledge(&taken).await.unwrap();
    assert!(events.pending("mail").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dead_letter_is_replayed_to_its_service_alone_with_its_id_and_fresh_attempts() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let (mail, stats) = (group(&events, "mail", "order.created"), group(&events, "stats", "order.created"));
    let (mut mail_taker, mut stats_taker) = (Taker::new(mail.clone()), Taker::new(stats.clone()));
    let (event, options) = event("order.created", "{\"n\":1}");
    publish(&events, &[(event.clone(), options)]).await;
    let taken = one(&mut stats_taker).await;
    stats.acknowledge(&taken).await.unwrap();
    let taken = one(&mut mail_taker).await;
    mail.bury(&taken, "no such mailbox").await.unwrap();
    mail.bury(&taken, "twice").await.unwrap();
    drop(taken);
    let letters = events.dead("mail", None, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.id.as_str(), letter.reason.as_str()), (&*event.id.to_string(), "no such mailbox"));
    assert_eq!(
        (letter.topic.as_str(), letter.attempts, letter.body.as_deref()),
        ("order.created", 1, Some("{\"n\":1}"))
    );
    assert!(events.dead("mail", Some(&letter.letter), 10).await.unwrap().is_empty(), "the next page");

    assert_eq!(events.replay("mail", Some("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")).await.unwrap(), 0);
    assert_eq!(events.replay("mail", Some(&letter.id)).await.unwrap(), 1);
    assert_eq!(events.dead_count("mail").await.unwrap(), 0);
    let again = one(&mut mail_taker).await;
    assert_eq!((again.event.id, again.attempt, again.event.topic.as_str()), (event.id, 1, "order.created"));
    mail.bury(&again, "still none").await.unwrap();
    drop(again);
    assert_eq!(events.replay("mail", None).await.unwrap(), 1);
    let again = one(&mut mail_taker).await;
    mail.acknowledge(&again).await.unwrap();
    assert!(stats_taker.take(8).await.is_empty(), "nobody else is handed it");
}

#[tokio::test]
async fn what_a_dead_host_leaves_is_taken_over_and_its_consumer_ended() {
    let server = Server::start();
    let (dead, alive) = (server.events().await, server.events().await);
    dead.start();
    alive.start();
    let their_group = group(&dead, "mail", "order.created");
    let mut theirs = Taker::new(their_group.clone());
    publish(&dead, &[event("order.created", "left"), event("order.created", "waits")]).await;
    let mut left = some(&mut theirs).await;
    while left.len() < 2 {
        left.extend(some(&mut theirs).await);
    }
    let waits = left.remove(1);
    their_group.later(&waits, Duration::from_secs(3600)).await.unwrap();

    let mut ours = Taker::new(group(&alive, "mail", "order.created"));
    let began = Instant::now();
    while began.elapsed() < hosts::PACE.lease + Duration::from_secs(2) {
        assert!(ours.take(8).await.is_empty(), "a host that is there keeps what it has, however long it takes");
    }
    dead.stop().await;
    let taken = one(&mut ours).await;
    assert_eq!((taken.attempt, taken.event.body.as_slice()), (2, &b"left"[..]));
    group(&alive, "mail", "order.created").acknowledge(&taken).await.unwrap();
    drop(taken);
    assert!(their_group.acknowledge(&left[0]).await.is_ok(), "late, and without effect");
    let pending = alive.pending("mail").await.unwrap();
    assert_eq!(pending.len(), 1);
    assert!(pending[0].retry.is_some(), "what waits for its next attempt was not taken for abandoned");
}

#[tokio::test]
async fn what_was_handed_out_and_never_arrived_is_found_again_without_an_attempt() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let group = group(&events, "mail", "order.created");
    let mut taker = Taker::new(group.clone());
    publish(&events, &[event("order.created", "1")]).await;
    drop(one(&mut taker).await);
    let found = one(&mut taker).await;
    assert_eq!(found.attempt, 1);
    group.acknowledge(&found).await.unwrap();
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_is_no_host_s_and_is_put_off_once() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let group = group(&events, "mail", "order.created");
    let mut taker = Taker::new(group.clone());
    publish(&events, &[event("order.created", "1")]).await;
    let taken = one(&mut taker).await;
    group.later(&taken, Duration::from_secs(3600)).await.unwrap();
    let before = events.pending("mail").await.unwrap();
    assert_eq!((before.len(), &before[0].host, before[0].attempt), (1, &None, 1));
    group.later(&taken, Duration::ZERO).await.unwrap();
    group.bury(&taken, "too late").await.unwrap();
    assert_eq!(events.pending("mail").await.unwrap()[0].retry, before[0].retry, "another word changes nothing");
    assert!(before[0].retry.is_some());
    drop(taken);
    assert!(taker.take(8).await.is_empty());
}

#[tokio::test]
async fn a_letter_that_dies_again_while_all_are_replayed_is_not_replayed_twice() {
    const LETTERS: usize = 45;
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let group = group(&events, "mail", "order.created");
    let mut taker = Taker::new(group.clone());
    let batch: Vec<_> = (0..LETTERS).map(|number| event("order.created", &number.to_string())).collect();
    publish(&events, &batch).await;
    // Whatever comes is buried at once, replayed or not.
    let burying = tokio::spawn(async move {
        loop {
            for taken in taker.take(8).await {
                while group.bury(&taken, "again").await.is_err() {}
            }
        }
    });
    let began = Instant::now();
    while events.dead_count("mail").await.unwrap_or(0) < LETTERS as u64 {
        assert!(began.elapsed() < Duration::from_secs(30), "they do not die");
    }
    let replayed = tokio::time::timeout(Duration::from_secs(60), events.replay("mail", None)).await;
    burying.abort();
    assert_eq!(replayed.expect("it comes to an end").unwrap(), LETTERS as u64);
}

#[tokio::test]
async fn whoever_subscribes_to_many_topics_is_handed_no_more_bytes_at_once_than_there_is_room_for() {
    const TOPICS: usize = 30;
    let server = Server::start();
    let settings = EventSettings { redis: "main".into(), retain: Duration::from_secs(3600), retain_bytes: 1 << 30 };
    let events = server.events_with(settings).await;
    events.start();
    let large = "x".repeat(BODY_MAX_BYTES);
    for number in 0..TOPICS {
        publish(&events, &[event(&format!("t{number}"), &large), event(&format!("t{number}"), "small")]).await;
    }
    let group = group(&events, "mail", "**");
    let mut taker = Taker::new(group.clone());
    let bytes = |taken: &[Delivered]| taken.iter().map(|taken| taken.event.body.len()).sum::<usize>();
    let (mut all, mut turns, began) = (BTreeMap::new(), 0, Instant::now());
    while all.len() < TOPICS * 2 {
        let taken = taker.take(100).await;
        assert!(began.elapsed() < Duration::from_secs(60), "{} came", all.len());
        assert!(bytes(&taken) <= (8 << 20) + BODY_MAX_BYTES, "{} bytes", bytes(&taken));
        for taken in taken {
            *all.entry(taken.event.id).or_insert(0) += 1;
            // As many of them at once when they come back.
            group.later(&taken, Duration::ZERO).await.unwrap();
        }
        turns += usize::from(!all.is_empty());
    }
    assert!(turns >= 4, "{turns} turns");
}
