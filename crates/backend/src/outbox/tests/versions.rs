//! Promises about hosts with manifests of several versions on one database, as there are while a system is
//! deployed anew.

use super::*;
use crate::events::tests::Server;

/// What a host knows whose manifest lets `writer` publish these.
fn knowing(topics: &[&str]) -> Arc<Publishers> {
    let publish = Publish(topics.iter().map(|topic| topic.parse().unwrap()).collect());
    let permissions = Permissions { publish, ..Permissions::default() };
    let grants = Arc::new(Grants::new("writer".into(), PathBuf::from("shop.toml"), permissions));
    let publishers = Publishers::default();
    publishers.replace([("writer".into(), Publisher { grants, busy_max: Duration::from_secs(5) })]);
    Arc::new(publishers)
}

const TOPICS: [&str; 2] = ["order.changed", "order.created"];

/// When the events of a topic came there, in ms.
async fn published(server: &Server, topic: &str) -> Vec<u64> {
    let mut redis = server.connection().await;
    let mut range = redis::cmd("XRANGE");
    range.arg(format!("archipel:{{shop}}:ev:{topic}")).arg("-").arg("+");
    let entries = range.query_async::<Vec<(String, Vec<Vec<u8>>)>>(&mut redis).await.unwrap();
    entries.iter().map(|(entry, _)| entry.split('-').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn what_only_a_newer_host_may_publish_is_left_to_it_and_keeps_its_order() {
    let (place, log, server) = (place(), Log::default(), Server::start());
    let _listening = log.listen();
    let (databases, grant) = started(&place, &["writer"]).await;
    let outbox = databases.outboxes().next().unwrap().clone();
    let owner = outbox.terms.load_full().owner.connect(schema::MESSAGE_MAX_BYTES).await.unwrap();

    let written_at = async |at: &str| {
        let default = format!("ALTER TABLE archipel_outbox ALTER COLUMN at SET DEFAULT {at}");
        owner.client.batch_execute(&default).await.unwrap();
    };
    // Others have time for these, however slow this machine is.
    written_at("clock_timestamp() + interval '1 hour'").await;

    // The older host has the turn whenever it can; the newer one is not there at first.
    let events = server.events().await;
    let older = relay::alone(&outbox, &events, &knowing(&["order.created"]), 100);
    for _ in 0..20 {
        for topic in TOPICS {
            publish_to(&databases, &grant, topic).await.unwrap();
        }
    }
    let newer = relay::alone(&outbox, &events, &knowing(&["order.*"]), 100);
    let began = Instant::now();
    let waiting = async || {
        let row = owner.client.query_one("SELECT count(*) FROM archipel_outbox", &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    while waiting().await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "{} events wait", waiting().await);
    }
    assert_eq!(log.lines("cannot be published"), 0, "nothing was set aside");
    let [changed, created] = [published(&server, TOPICS[0]).await, published(&server, TOPICS[1]).await];
    assert_eq!((changed.len(), created.len()), (20, 20));
    let in_turn: Vec<u64> = changed.into_iter().zip(created).flat_map(|(one, other)| [one, other]).collect();
    assert!(in_turn.is_sorted(), "they went on as they were written: {in_turn:?}");

    // What nobody may publish is set aside all the same, when others have had their time.
    newer.abort();
    written_at("clock_timestamp()").await;
    publish_to(&databases, &grant, "order.changed").await.unwrap();
    publish_to(&databases, &grant, "order.created").await.unwrap();
    let began = Instant::now();
    while waiting().await > 1 {
        assert!(began.elapsed() < Duration::from_secs(30), "it stands in the way of what follows");
    }
    assert_eq!(log.lines("cannot be published"), 1);
    older.abort();
    databases.stop().await;
}
