//! What the database itself refuses: an event over its bounds, and a transaction whose event is refused.

use super::*;
use crate::postgres::Value;

#[tokio::test]
async fn an_event_that_the_database_refuses_takes_its_transaction_along_and_plain_sql_is_held_to_the_bounds() {
    let place = place();
    let (databases, grant) = started(&place, &["writer"]).await;
    let pool = databases.pool(&grant).unwrap();
    let outbox = databases.outboxes().next().unwrap().clone();
    let owner = outbox.terms.load_full().owner.connect(schema::MESSAGE_MAX_BYTES).await.unwrap();
    let sqlstate = |outcome: Result<u64, Error>| match outcome {
        Err(Error::Db(error)) => error.sqlstate,
        other => panic!("{other:?}"),
    };

    let put = |topic: &str, key: &str, headers: &str, body: &str, delay: &str| {
        format!(
            "SELECT archipel_publish(gen_random_uuid(), '', {topic}, {key}, NULL, {headers}, {body}, {delay}, NULL, NULL)"
        )
    };
    let whole = ["'order.a'", "'k'", "'[]'", "''", "NULL"];
    let calls = |place: usize, value: &str| {
        let mut parts = whole;
        parts[place] = value;
        put(parts[0], parts[1], parts[2], parts[3], parts[4])
    };
    assert_eq!(pool.execute(&calls(1, "NULL"), &[], soon()).await, Ok(1));
    for (place, value) in [
        (0, "''"),
        (0, "repeat('t', 256)"),
        (1, "repeat('k', 256)"),
        (2, "repeat('h', 65537)"),
        (3, "convert_to(repeat('b', 1048577), 'UTF8')"),
        (4, "-1"),
        (4, "31622400001"),
    ] {
        assert_eq!(sqlstate(pool.execute(&calls(place, value), &[], soon()).await), "23514", "{value}");
    }
    assert_eq!(sqlstate(pool.execute(&calls(0, "NULL"), &[], soon()).await), "23502");

    owner.client.batch_execute("CREATE TABLE items (id int); GRANT ALL ON items TO PUBLIC").await.unwrap();
    owner.client.batch_execute("ALTER TABLE archipel_outbox ADD CHECK (topic <> 'order.created')").await.unwrap();
    let event = || Event {
        id: Uuid::now_v7(),
        publishing: grants().publish("order.created".parse().unwrap()).unwrap(),
        key: None,
        content_type: None,
        headers: Vec::new(),
        body: b"{}".to_vec(),
        at: Timestamp::now(),
    };
    // Told by the commit, or by the statement that comes before it.
    let transaction = pool.begin(TxOptions::default(), soon()).await.unwrap();
    transaction.execute("INSERT INTO items VALUES (1)", &[], soon()).await.unwrap();
    transaction.publish(&event(), &Options::default(), soon()).await.unwrap();
    assert_eq!(sqlstate(transaction.commit(soon()).await.map(|()| 0)), "23514");
    let transaction = pool.begin(TxOptions::default(), soon()).await.unwrap();
    transaction.publish(&event(), &Options::default(), soon()).await.unwrap();
    assert_eq!(sqlstate(transaction.execute("INSERT INTO items VALUES (2)", &[], soon()).await), "23514");
    assert_eq!(sqlstate(transaction.commit(soon()).await.map(|()| 0)), "25P02");
    // One that is rolled back was never sent.
    let transaction = pool.begin(TxOptions::default(), soon()).await.unwrap();
    transaction.publish(&event(), &Options::default(), soon()).await.unwrap();
    transaction.rollback(soon()).await.unwrap();
    let left = pool.query("SELECT count(*) FROM items", &[], soon()).await.unwrap();
    assert_eq!(left.rows, [[Value::Int64(0)]]);
    let waiting = owner.client.query_one("SELECT count(*) FROM archipel_outbox", &[]).await.unwrap();
    assert_eq!(waiting.get::<_, i64>(0), 1, "but for the one that plain SQL left");
    databases.stop().await;
}
