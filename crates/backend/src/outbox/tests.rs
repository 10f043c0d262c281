//! The promises of outboxes, kept against a real PostgreSQL and a Redis that is not there.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::subscriber::DefaultGuard;
use uuid::Uuid;

use super::*;
use crate::{
    embedded::{self, DataFolder, Environment},
    events::{Event, Events, Options},
    postgres::{Databases, Error, TxOptions, Value},
    redis::Store,
};
use grant::{DatabaseGrant, Granted, Grants, Mode, Permissions, Postgres, Publish};
use manifest::{DatabasePlace, DatabaseSettings, EventSettings};

mod refused;
mod undone;
mod versions;

/// Carried by a Redis that never answers.
fn events(place: &tempfile::TempDir) -> Arc<Events> {
    let nowhere = format!("unix://{}/nobody", place.path().display());
    let store = Store::new("main".into(), redis::Client::open(nowhere).unwrap(), "shop");
    let settings = EventSettings { redis: "main".into(), retain: Duration::from_secs(60), retain_bytes: 1 << 20 };
    Arc::new(Events::new(Arc::new(store), "shop", settings))
}

fn place() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    place
}

fn grants() -> Arc<Grants> {
    let postgres = BTreeMap::from([(Arc::from("shop"), Mode::ReadWrite)]);
    let publish = vec!["order.*".parse().unwrap()];
    let permissions = Permissions { postgres: Postgres(postgres), publish: Publish(publish), ..Permissions::default() };
    Arc::new(Grants::new("writer".into(), PathBuf::from("shop.toml"), permissions))
}

fn settings() -> DatabaseSettings {
    DatabaseSettings {
        place: DatabasePlace::Embedded,
        connections_max: NonZeroUsize::new(2).unwrap(),
        wait: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
        rows_max: 100,
        bytes_max: 1 << 20,
        migrations: None,
        optional: false,
    }
}

/// The private databases of `writer`; these services publish.
async fn started(place: &tempfile::TempDir, publishing: &[&str]) -> (Databases, Granted<DatabaseGrant>) {
    let folder = DataFolder::open(&place.path().join("data")).unwrap();
    let all = BTreeMap::from([(Arc::from("shop"), settings())]);
    let environment = Environment { path: std::env::var_os("PATH"), ..Environment::default() };
    embedded::fill(&folder, &environment).await;
    let grant = grants().postgres("shop").unwrap();
    let (granted, publishing) =
        (std::slice::from_ref(&grant), publishing.iter().map(|name| Arc::from(*name)).collect());
    let databases = Databases::start(&all, granted, &publishing, &folder, &environment, &|_| {}).await.unwrap();
    (databases, grant)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn publish(databases: &Databases, grant: &Granted<DatabaseGrant>) -> Result<(), Error> {
    publish_to(databases, grant, "order.created").await
}

fn event(topic: &str) -> Event {
    Event {
        id: Uuid::now_v7(),
        publishing: grants().publish(topic.parse().unwrap()).unwrap(),
        key: None,
        content_type: None,
        headers: Vec::new(),
        body: b"{}".to_vec(),
        at: Timestamp::now(),
    }
}

async fn publish_to(databases: &Databases, grant: &Granted<DatabaseGrant>, topic: &str) -> Result<(), Error> {
    let transaction = databases.pool(grant).unwrap().begin(TxOptions::default(), soon()).await.unwrap();
    let event = event(topic);
    transaction.publish(&event, &Options::default(), soon()).await?;
    // Whoever carries it on must not tell of what a crash may undo.
    let waits = transaction.query("SELECT current_setting('synchronous_commit')", &[], soon()).await?;
    assert_eq!(waits.rows, [[Value::Text("on".to_owned())]]);
    transaction.commit(soon()).await
}

/// What this thread says in the log from now on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn lines(&self, words: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(words)).count()
    }

    /// How often it is told of a database that what waits there stays.
    fn told(&self, database: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let database = format!("database={database}");
        let is_told = |line: &&str| line.contains("events that wait in its outbox stay") && line.ends_with(&database);
        text.lines().filter(is_told).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn more_events_than_may_wait_are_refused_and_those_that_nobody_carries_on_any_more_are_told() {
    let (place, log) = (place(), Log::default());
    let _listening = log.listen();
    let (databases, grant) = started(&place, &["writer"]).await;
    let publishers = Arc::<Publishers>::default();
    publishers.replace([("writer".into(), Publisher { grants: grants(), busy_max: Duration::from_secs(5) })]);
    let outbox = databases.outboxes().next().unwrap().clone();
    let relay = relay::alone(&outbox, &events(&place), &publishers, 3);
    for _ in 0..3 {
        publish(&databases, &grant).await.unwrap();
    }
    let began = Instant::now();
    while !outbox.is_full() {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody counts");
        tokio::task::yield_now().await;
    }
    assert_eq!(publish(&databases, &grant).await, Err(Error::Overloaded));
    relay.abort();
    relay::at_last(&outbox, &events(&place), &publishers).await;
    assert_eq!(log.told("shop"), 1, "they could not be published");
    let owner = outbox.terms.load_full().owner.connect(schema::MESSAGE_MAX_BYTES).await.unwrap();
    owner.client.batch_execute("UPDATE archipel_outbox SET publisher = 'another'").await.unwrap();
    relay::at_last(&outbox, &events(&place), &publishers).await;
    assert_eq!(log.told("shop"), 1, "nothing waits that it would carry on");
    databases.stop().await;

    let (databases, _) = started(&place, &[]).await;
    let told = "3 events wait in database `shop`, from which no service publishes";
    assert!(databases.warnings().iter().any(|warning| warning.starts_with(told)), "{:?}", databases.warnings());
    databases.stop().await;
}

#[tokio::test]
async fn relays_end_when_they_are_stopped_and_those_of_databases_that_are_gone_are_few() {
    let (place, log) = (place(), Log::default());
    let _listening = log.listen();
    let (events, publishers, relays) = (events(&place), Arc::default(), Relays::default());
    let outbox = |name: String| {
        let owner = Endpoint::on_socket(place.path().to_owned(), &name, "nobody", None);
        Arc::new(Outbox::new(name.into(), Arc::new(Terms::new(owner, Writers::Shared))))
    };
    let kept = outbox("kept".to_owned());
    let others: Vec<_> = (0..20).map(|number| outbox(format!("other-{number}"))).collect();
    for other in &others {
        relays.replace([&kept, other].into_iter(), Some(&events), &publishers);
    }
    let at_work = |of: &Arc<Outbox>| Arc::strong_count(of) > 1;
    let began = Instant::now();
    while others.iter().filter(|other| at_work(other)).count() > 1 + relays::LEAVING_MAX {
        assert!(began.elapsed() < Duration::from_secs(30), "those that are gone go on");
        tokio::task::yield_now().await;
    }
    assert!(at_work(&kept) && at_work(&others[19]) && at_work(&others[18]) && !at_work(&others[0]));
    relays.stop().await;
    let began = Instant::now();
    while at_work(&kept) || others.iter().any(at_work) {
        assert!(began.elapsed() < Duration::from_secs(30), "a relay goes on");
        tokio::task::yield_now().await;
    }
    let displaced = 19 - relays::LEAVING_MAX;
    for (number, other) in others.iter().enumerate() {
        assert_eq!(log.told(&other.database), usize::from(number < displaced), "{}", other.database);
    }
    assert_eq!(log.told("kept"), 0, "a stop leaves it to the next start");
    relays.replace([&kept].into_iter(), Some(&events), &publishers);
    assert!(!at_work(&kept), "none starts any more");
}

#[tokio::test]
async fn whoever_keeps_the_turn_is_told_of_and_events_go_on_when_it_is_let_go() {
    let (place, log) = (place(), Log::default());
    let _listening = log.listen();
    let (databases, grant) = started(&place, &["writer"]).await;
    let publishers = Arc::<Publishers>::default();
    publishers.replace([("writer".into(), Publisher { grants: grants(), busy_max: Duration::from_secs(5) })]);
    let outbox = databases.outboxes().next().unwrap().clone();
    let owner = outbox.terms.load_full().owner.connect(schema::MESSAGE_MAX_BYTES).await.unwrap();
    owner.client.batch_execute("BEGIN; SELECT FROM archipel_turns WHERE what = 'outbox' FOR UPDATE").await.unwrap();
    publish(&databases, &grant).await.unwrap();
    let relay = relay::alone(&outbox, &events(&place), &publishers, 3);
    let until_told = async |words: &str| {
        let began = Instant::now();
        while log.lines(words) == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "nobody is told: {words}");
            tokio::task::yield_now().await;
        }
    };
    until_told("another session holds the turn").await;
    assert_eq!(log.lines("events wait in the outbox; trying on"), 0, "without a turn nothing is published");
    assert!(outbox.is_held(), "metrics and health say so");
    owner.client.batch_execute("COMMIT").await.unwrap();
    // It tries to publish now, to a Redis that is not there.
    until_told("events wait in the outbox; trying on").await;
    assert_eq!(log.lines("another session holds the turn"), 1);
    assert!(!outbox.is_held());
    relay.abort();
    databases.stop().await;
}
