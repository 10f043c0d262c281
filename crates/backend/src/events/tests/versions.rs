//! Promises about hosts of several versions on one Redis, as there are while a system is deployed anew.

use super::{handing::*, *};

/// Two hosts of one system, of which the second handles topics that the first does not know.
struct Versions {
    server: Server,
    old: Arc<Events>,
    new: Arc<Events>,
}

impl Versions {
    async fn start() -> Self {
        let server = Server::start();
        let (old, new) = (server.events().await, server.events().await);
        old.start();
        new.start();
        Self { server, old, new }
    }

    fn older(&self) -> Taker {
        Taker::new(group(&self.old, "mail", "order.created"))
    }

    fn newer(&self) -> (Taker, Arc<Group>) {
        let group = Arc::new(group_of(&self.new, "mail", &["order.created", "order.changed"]));
        (Taker::new(group.clone()), group)
    }
}

/// Whether the old host is handed nothing and buries nothing, for so long.
async fn stays_away(old: &mut Taker, events: &Events, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        assert!(old.take(8).await.is_empty(), "it is handed what it does not subscribe to");
        assert_eq!(events.dead_count("mail").await.unwrap(), 0, "it buries what another host handles");
    }
}

#[tokio::test]
async fn a_host_leaves_the_retries_of_topics_that_only_a_newer_one_subscribes_to() {
    let versions = Versions::start().await;
    let (mut old, (mut new, group)) = (versions.older(), versions.newer());
    publish(&versions.new, &[event("order.changed", "1")]).await;
    group.later(&one(&mut new).await, Duration::ZERO).await.unwrap();
    // It says what it subscribes to after the newer one has, and again and again.
    stays_away(&mut old, &versions.old, Duration::from_secs(2)).await;
    let taken = one(&mut new).await;
    assert_eq!((taken.attempt, taken.event.topic.as_str()), (2, "order.changed"));
    group.acknowledge(&taken).await.unwrap();
    publish(&versions.new, &[event("order.created", "2")]).await;
    assert_eq!(one(&mut old).await.event.body, b"2", "what both subscribe to is for both");
}

#[tokio::test]
async fn a_replayed_letter_goes_to_a_host_that_handles_its_topic() {
    let versions = Versions::start().await;
    let (mut old, (mut new, group)) = (versions.older(), versions.newer());
    publish(&versions.new, &[event("order.changed", "1")]).await;
    group.bury(&one(&mut new).await, "for a test").await.unwrap();
    assert_eq!(versions.new.replay("mail", None).await.unwrap(), 1);
    stays_away(&mut old, &versions.old, Duration::from_secs(1)).await;
    let taken = one(&mut new).await;
    assert_eq!((taken.attempt, taken.event.topic.as_str()), (1, "order.changed"), "that was no attempt");
}

#[tokio::test]
async fn many_retries_of_a_newer_host_do_not_hide_those_of_an_older_one() {
    const MANY: usize = 2500;
    let versions = Versions::start().await;
    let (mut old, (mut new, group)) = (versions.older(), versions.newer());
    for _ in 0..MANY / 250 {
        let batch: Vec<_> = (0..250).map(|_| event("order.changed", "1")).collect();
        publish(&versions.new, &batch).await;
    }
    let mut put_off = 0;
    while put_off < MANY {
        for taken in new.take(MANY).await {
            group.later(&taken, Duration::from_secs(3600)).await.unwrap();
            put_off += 1;
        }
    }
    let mut redis = versions.server.connection().await;
    let all_due = redis::Script::new(
        "for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 0, member) end
         return redis.call('ZCARD', KEYS[1])",
    );
    let retries = versions.old.names.retries("mail");
    let due: usize = all_due.prepare_invoke().key(retries).invoke_async(&mut redis).await.unwrap();
    assert_eq!(due, MANY);
    publish(&versions.old, &[event("order.created", "mine")]).await;
    let taken = one(&mut old).await;
    old.hand.group.later(&taken, Duration::ZERO).await.unwrap();
    drop(taken);
    let again = one(&mut old).await;
    assert_eq!((again.event.body.as_slice(), again.attempt), (&b"mine"[..], 2));
    assert_eq!(versions.old.dead_count("mail").await.unwrap(), 0);
}

#[tokio::test]
async fn an_event_of_a_topic_that_no_host_subscribes_to_any_more_is_a_dead_letter() {
    let server = Server::start();
    let events = server.events().await;
    events.start();
    let wide = group(&events, "mail", "order.*");
    let mut taker = Taker::new(wide.clone());
    publish(&events, &[event("order.old", "1")]).await;
    wide.later(&one(&mut taker).await, Duration::ZERO).await.unwrap();
    let mut narrow = group_of(&events, "mail", &["order.created"]);
    narrow.withdrawal = Duration::ZERO;
    let mut narrow = Taker::new(Arc::new(narrow));
    let began = Instant::now();
    while events.dead_count("mail").await.unwrap() == 0 {
        assert!(narrow.take(8).await.is_empty(), "it is not handed out");
        assert!(began.elapsed() < Duration::from_secs(20), "it stays");
    }
    let letters = events.dead("mail", None, 10).await.unwrap();
    assert_eq!((letters[0].topic.as_str(), letters[0].attempts), ("order.old", 2));
    assert!(letters[0].reason.contains("subscribe"), "{}", letters[0].reason);
    assert!(events.pending("mail").await.unwrap().is_empty());
}
