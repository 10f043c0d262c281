//! A database whose settings change while it is in use.

use super::*;

const WRITERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'db_shop:writer:rw'";

async fn changed(shop: &Shop, settings: DatabaseSettings) -> Result<Databases, StartError> {
    let all = BTreeMap::from([(Arc::from("shop"), settings)]);
    let grants = [grant("writer", "shop", Mode::ReadWrite), grant("reader", "shop", Mode::Read)];
    shop.databases.changed(&all, &grants, &BTreeSet::new(), &|_| {}).await
}

fn writer(databases: &Databases) -> Arc<Pool> {
    databases.pool(&grant("writer", "shop", Mode::ReadWrite)).unwrap()
}

fn connections(connections_max: usize) -> DatabaseSettings {
    DatabaseSettings { connections_max: NonZeroUsize::new(connections_max).unwrap(), ..settings() }
}

#[tokio::test]
async fn old_and_new_pools_together_have_no_more_connections_than_there_may_be() {
    let shop = Shop::open().await;
    let old = shop.writer();
    let held = old.begin(TxOptions::default(), soon()).await.unwrap();
    let other = old.begin(TxOptions::default(), soon()).await.unwrap();
    other.rollback(soon()).await.unwrap();
    let next = changed(&shop, connections(1)).await.unwrap();
    assert_eq!(
        writer(&next).one("SELECT 1").await,
        Value::Int32(1),
        "until it is taken over there are as many as before"
    );
    next.take_over(&shop.databases);
    assert_eq!(writer(&next).query("SELECT 1", &[], soon()).await, Err(Error::Overloaded));
    assert_eq!(held.query("SELECT 1", &[], soon()).await.unwrap().rows.len(), 1, "what began goes on");
    held.commit(soon()).await.unwrap();
    assert_eq!(old.one("SELECT 1").await, Value::Int32(1), "also with what it has not begun yet");
    assert_eq!(writer(&next).one("SELECT 1").await, Value::Int32(1));
    shop.becomes(WRITERS, 1).await;
    drop(old);
    drop(next);
    shop.becomes(WRITERS, 0).await;
}

#[tokio::test]
async fn a_change_that_is_given_up_leaves_nothing_and_one_without_room_is_refused() {
    let shop = Shop::open().await;
    let next = changed(&shop, connections(3)).await.unwrap();
    assert_eq!(writer(&next).one("SELECT 1").await, Value::Int32(1));
    drop(next);
    shop.becomes(WRITERS, 0).await;
    let refused = changed(&shop, connections(1000)).await.err().expect("there is no room");
    assert!(matches!(refused, StartError::NeedsRestart { .. }), "{refused}");
    assert_eq!(shop.writer().one("SELECT 1").await, Value::Int32(1));
}
