//! What becomes of the disk's flush where an event is undone with its savepoint.

use super::*;

#[tokio::test]
async fn what_is_written_beside_an_undone_event_is_flushed_all_the_same() {
    let place = place();
    let (databases, grant) = started(&place, &["writer"]).await;
    let owner = databases.outboxes().next().unwrap().terms.load_full().owner.clone();
    let owner = owner.connect(schema::MESSAGE_MAX_BYTES).await.unwrap().client;
    // It takes a number itself.
    let numbers = async || owner.query_one("SELECT txid_current()", &[]).await.unwrap().get::<_, i64>(0);

    let before = numbers().await;
    let transaction = databases.pool(&grant).unwrap().begin(TxOptions::default(), soon()).await.unwrap();
    transaction.query("SELECT txid_current()", &[], soon()).await.unwrap();
    let savepoint = transaction.savepoint(soon()).await.unwrap();
    savepoint.publish(&event("order.created"), &Options::default(), soon()).await.unwrap();
    savepoint.rollback(soon()).await.unwrap();
    transaction.commit(soon()).await.unwrap();
    assert_eq!(numbers().await - before, 4, "the transaction, its savepoint, the flush");
    databases.stop().await;
}
