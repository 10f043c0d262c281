use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::grant::{Grants, Permissions};

/// A Redis of a test's own, on a socket.
pub(super) struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(folder.path().join("s"));
        command.arg("--dir").arg(folder.path()).stdout(Stdio::null());
        Self { process: command.spawn().unwrap(), folder }
    }

    pub(super) fn client(&self) -> redis::Client {
        redis::Client::open(format!("unix://{}", self.folder.path().join("s").display())).unwrap()
    }

    /// A host's own view of the system `shop`.
    pub(super) async fn events(&self) -> Arc<Events> {
        let settings = EventSettings { redis: "main".into(), retain: Duration::from_secs(3600), retain_bytes: 1 << 20 };
        self.events_with(settings).await
    }

    pub(super) async fn events_with(&self, settings: EventSettings) -> Arc<Events> {
        let store = Arc::new(Store::new("main".into(), self.client()).unwrap());
        let began = Instant::now();
        while store.check().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not start");
        }
        Arc::new(Events::new(store, "shop", settings))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// One that says `body`, without anything else.
pub(super) fn event(topic: &str, body: &str) -> (Event, Options) {
    let permissions = Permissions { publish: vec!["**".parse().unwrap()], ..Permissions::default() };
    let grants = Grants::new("orders".into(), "shop.toml".into(), permissions);
    let publishing = grants.publish(topic.parse().unwrap()).unwrap();
    let event = Event {
        id: Uuid::now_v7(),
        publishing,
        key: None,
        content_type: None,
        headers: Vec::new(),
        body: body.into(),
        at: Timestamp::now(),
    };
    (event, Options::default())
}

async fn length(server: &Server, key: &str) -> usize {
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn events_of_one_call_are_all_there_in_their_order() {
    let server = Server::start();
    let events = server.events().await;
    let batch = [event("order.created", "1"), event("order.changed", "2"), event("order.created", "3")];
    let ids = events.publish(&batch, soon()).await.unwrap();
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
    let ids = events.publish(&[(first.clone(), named("a")), (second, named("a"))], soon()).await.unwrap();
    assert_eq!(ids, [first.id, first.id]);
    let (delayed, again) = (event("order.created", "3").0, event("order.created", "4").0);
    let later = Options { delay: Some(Duration::from_secs(60)), ..named("b") };
    let ids = events.publish(&[(delayed.clone(), later), (again, named("b"))], soon()).await.unwrap();
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
    events.publish(&[small, largest], soon()).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_within_its_time() {
    let server = Server::start();
    let events = server.events().await;
    drop(server);
    let began = Instant::now();
    let refused = events.publish(&[event("order.created", "1")], soon()).await.unwrap_err();
    assert!(matches!(refused, PublishError::Unavailable(_) | PublishError::Late(_)), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
