//! A Redis of a test's own, and what the promises about events need: its files are by subject.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use grant::{Grants, Permissions, Publish, Subscribe};

mod handing;
mod keeping;
mod publish;
mod schedule;
mod versions;

/// A Redis of a test's own, on a socket.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(folder.path().join("s"));
        command.arg("--dir").arg(folder.path()).stdout(Stdio::null());
        Self { process: command.spawn().unwrap(), folder }
    }

    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(format!("unix://{}", self.folder.path().join("s").display())).unwrap()
    }

    /// To look from outside, however long the answer takes.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let patience = Some(Duration::from_secs(20));
        let config = redis::AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(patience).set_response_timeout(patience);
        self.client().get_multiplexed_async_connection_with_config(&config).await.unwrap()
    }

    /// A host's own view of the system `shop`.
    pub(crate) async fn events(&self) -> Arc<Events> {
        let settings = EventSettings { redis: "main".into(), retain: Duration::from_secs(3600), retain_bytes: 1 << 20 };
        self.events_with(settings).await
    }

    pub(super) async fn events_with(&self, settings: EventSettings) -> Arc<Events> {
        Arc::new(self.events_of("shop", settings).await)
    }

    pub(super) async fn events_of(&self, system: &str, settings: EventSettings) -> Events {
        let store = Arc::new(Store::new("main".into(), self.client(), system));
        let began = Instant::now();
        while store.check().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "redis-server does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Events::new(store, system, settings)
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
    event_of("orders", topic, body)
}

pub(super) fn event_of(service: &str, topic: &str, body: &str) -> (Event, Options) {
    let permissions = Permissions { publish: Publish(vec!["**".parse().unwrap()]), ..Permissions::default() };
    let grants = Grants::new(service.into(), "shop.toml".into(), permissions);
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

/// Tries until Redis has answered in time, which it may not on a busy machine; what it did all the same is
/// not done twice.
pub(super) async fn publish(events: &Events, batch: &[(Event, Options)]) -> Vec<Uuid> {
    let mut batch = batch.to_vec();
    for (event, options) in &mut batch {
        options.dedup_id.get_or_insert_with(|| event.id.to_string());
    }
    let began = Instant::now();
    loop {
        match events.publish(&batch, soon()).await {
            Ok(ids) => return ids,
            Err(PublishError::Late(_) | PublishError::Unavailable(_)) if began.elapsed() < Duration::from_secs(20) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
