//! Promises about publishing.

use super::{keeping::refused, *};

async fn length(server: &Server, key: &str) -> usize {
    let mut connection = server.connection().await;
    redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn events_of_one_call_are_all_there_in_their_order() {
    let server = Server::start();
    let events = server.events().await;
    let batch = [event("order.created", "1"), event("order.changed", "2"), event("order.created", "3")];
    let ids = publish(&events, &batch).await;
    assert_eq!(ids, batch.each_ref().map(|(event, _)| event.id));
    assert_eq!(length(&server, "archipel:{shop}:ev:order.created").await, 2);
    assert_eq!(length(&server, "archipel:{shop}:ev:order.changed").await, 1);
    assert!(events.publish(&[], soon()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_event_with_a_repeated_dedup_id_is_the_first_one() {
    let server = Server::start();
    let events = server.events().await;
    let named = |name: &str| Options { dedup_id: Some(name.into()), ..Options::default() };
    let (first, second) = (event("order.created", "1").0, event("order.created", "2").0);
    let ids = publish(&events, &[(first.clone(), named("a")), (second, named("a"))]).await;
    assert_eq!(ids, [first.id, first.id]);
    let (delayed, again) = (event("order.created", "3").0, event("order.created", "4").0);
    let later = Options { delay: Some(Duration::from_secs(60)), ..named("b") };
    let ids = publish(&events, &[(delayed.clone(), later), (again, named("b"))]).await;
    assert_eq!(ids, [delayed.id, delayed.id], "a delayed event counts as well");
    assert_eq!(length(&server, "archipel:{shop}:ev:order.created").await, 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_nothing_of_its_call_is_published() {
    let server = Server::start();
    let events = server.events().await;
    let small = event("order.created", "1");
    let large = event("order.created", &"x".repeat(BODY_MAX_BYTES + 1));
    let refused = events.publish(&[small.clone(), large], soon()).await.unwrap_err();
    assert_eq!(refused, PublishError::TooLarge(BODY_MAX_BYTES));
    let mut headed = small.clone();
    headed.0.headers = vec![("a".into(), "b".into()); HEADERS_MAX + 1];
    assert!(matches!(events.publish(&[headed], soon()).await, Err(PublishError::Invalid(_))));
    let mut keyed = small.clone();
    keyed.0.key = Some("x".repeat(NAME_MAX_BYTES + 1));
    assert!(matches!(events.publish(&[keyed], soon()).await, Err(PublishError::Invalid(_))));
    assert_eq!(length(&server, "archipel:{shop}:ev:order.created").await, 0);
    let largest = event("order.created", &"x".repeat(BODY_MAX_BYTES));
    publish(&events, &[small, largest]).await;
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_within_its_time() {
    let server = Server::start();
    let events = server.events().await;
    drop(server);
    let began = Instant::now();
    let refused = events.publish(&[event("order.created", "1")], soon()).await.unwrap_err();
    assert!(matches!(refused, PublishError::Unavailable(_) | PublishError::Late(_)), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_topic_that_is_new_counts_once_for_all_events_of_a_call() {
    let server = Server::start();
    let events = server.events().await;
    let mut redis = server.connection().await;
    let mut add = redis::cmd("SADD");
    add.arg("archipel:{shop}:topics").arg((1..TOPICS_MAX).map(|number| format!("t{number}")).collect::<Vec<_>>());
    add.query_async::<()>(&mut redis).await.unwrap();
    publish(&events, &[event("last", "1"), event("last", "2"), event("t1", "3")]).await;
    assert_eq!(length(&server, "archipel:{shop}:ev:last").await, 2);
    let refused = events.publish(&[event("over", "1")], soon()).await;
    assert!(!matches!(refused, Ok(_) | Err(PublishError::Invalid(_))), "{refused:?}");
    assert_eq!(length(&server, "archipel:{shop}:ev:over").await, 0);
}

#[tokio::test]
async fn a_service_that_has_begun_as_many_topics_as_it_may_leaves_the_others_room() {
    let server = Server::start();
    let events = server.events().await;
    let topics: Vec<_> = (0..TOPICS_EACH_MAX).map(|number| event(&format!("t{number}"), "1")).collect();
    publish(&events, &topics).await;
    assert_eq!(refused(&events, &event("over", "1")).await, PublishError::Overloaded);
    publish(&events, &[event("t1", "a topic that is there")]).await;
    publish(&events, &[event_of("users", "another", "1")]).await;
}

#[test]
fn the_trace_that_the_host_adds_does_not_count_as_a_header() {
    let (mut event, options) = event("order.created", "1");
    event.headers = vec![("a".into(), "b".into()); HEADERS_MAX];
    event.headers.extend([("traceparent".into(), "00-1".into()), ("tracestate".into(), "x".repeat(512))]);
    event.check(&options).unwrap();
    event.headers.insert(0, ("traceparent".into(), "00-1".into()));
    assert!(event.check(&options).is_err(), "only what stands at the end is the host's");
}
