use super::*;

/// One connection, so that the next borrower certainly gets the same.
async fn narrow() -> Shop {
    Shop::with(DatabaseSettings { connections_max: NonZeroUsize::MIN, ..settings() }).await
}

#[tokio::test]
async fn nothing_goes_from_one_borrower_to_the_next() {
    let shop = narrow().await;
    let pool = shop.writer();
    shop.superuser().await.client.batch_execute("GRANT TEMP ON DATABASE db_shop TO PUBLIC").await.unwrap();
    let pid = pool.one("SELECT pg_backend_pid()").await;

    for dirt in [
        "SELECT set_config('my.secret', 'x', false)",
        "SELECT set_config('search_path', 'nowhere', false)",
        "SELECT set_config('statement_timeout', '0', false)",
        "SELECT set_config('default_transaction_read_only', 'on', false)",
        "SELECT pg_advisory_lock(7)",
        "SELECT pg_advisory_xact_lock(8)",
        "CREATE TEMP TABLE left_behind AS SELECT 1 AS secret",
        "SELECT 1 AS secret INTO TEMP left_behind",
        "SELECT nextval('items_id_seq')",
    ] {
        pool.execute(dirt, &[], soon()).await.unwrap();
        let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
        tx.execute(dirt, &[], soon()).await.unwrap();
        match dirt.len() % 2 {
            0 => tx.commit(soon()).await.unwrap(),
            _ => drop(tx),
        }
        assert_clean(&pool, dirt).await;
    }
    // A plain change leaves only the sequences' last values, which nobody may read.
    pool.execute("INSERT INTO items (name) VALUES ('a')", &[], soon()).await.unwrap();
    assert_eq!(sqlstate(pool.query("SELECT lastval()", &[], soon()).await), "55000");
    for (isolation, name) in [
        (Isolation::ReadCommitted, "read committed"),
        (Isolation::RepeatableRead, "repeatable read"),
        (Isolation::Serializable, "serializable"),
    ] {
        pool.execute("INSERT INTO items (name) VALUES ($1)", &[text(name)], soon()).await.unwrap();
        let tx = pool.begin(TxOptions { isolation, ..TxOptions::default() }, soon()).await.unwrap();
        let has = tx.query("SELECT current_setting('transaction_isolation')", &[], soon()).await.unwrap();
        assert_eq!(has.rows[0][0], text(name));
        assert_eq!(sqlstate(tx.query("SELECT currval('items_id_seq')", &[], soon()).await), "55000");
    }
    // In its own transaction it is there.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    tx.execute("INSERT INTO items (name) VALUES ('c')", &[], soon()).await.unwrap();
    assert!(tx.query("SELECT currval('items_id_seq')", &[], soon()).await.is_ok());
    tx.commit(soon()).await.unwrap();

    assert_eq!(pool.one("SELECT pg_backend_pid()").await, pid, "all of it on one connection");
    shop.databases.stop().await;
}

async fn assert_clean(pool: &Pool, after: &str) {
    let session = "SELECT coalesce(current_setting('my.secret', true), ''), current_setting('search_path'), \
                   current_setting('statement_timeout'), current_setting('default_transaction_read_only'), \
                   (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), to_regclass('left_behind')::text";
    let clean = [text(""), text("\"$user\", public"), text("10s"), text("off"), Value::Int64(0), Value::Null];
    assert_eq!(pool.query(session, &[], soon()).await.unwrap().rows[0], clean, "after {after}");
    assert_eq!(sqlstate(pool.query("SELECT lastval()", &[], soon()).await), "55000", "after {after}");
}

#[tokio::test]
async fn dropped_transactions_leave_none_open() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    for number in 0..50 {
        let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
        tx.execute("INSERT INTO items (name) VALUES ('x')", &[], soon()).await.unwrap();
        if number % 3 == 0 {
            // The guest dies in the middle of a statement.
            let _ = tokio::time::timeout(Duration::from_millis(5), tx.query("SELECT pg_sleep(30)", &[], soon())).await;
        }
        drop(tx);
    }
    shop.becomes("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'", 0).await;
    shop.becomes("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()", 0).await;
    assert_eq!(pool.one("SELECT count(*) FROM items").await, Value::Int64(0));
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_statement_whose_time_is_over_is_stopped_on_the_server() {
    let settings = DatabaseSettings { statement_timeout: Duration::from_secs(3), ..settings() };
    let shop = Shop::with(settings).await;
    let pool = shop.writer();
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    let sleep = "SELECT pg_sleep(30)";

    assert_eq!(pool.query(sleep, &[], soon()).await, Err(Error::Timeout), "the statement's own");
    shop.becomes(running, 0).await;
    let deadline = Instant::now() + Duration::from_millis(100);
    assert_eq!(pool.query(sleep, &[], deadline).await, Err(Error::Timeout), "the request's");
    shop.becomes(running, 0).await;
    // A guest that switches the server's own limit off still meets the host's.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    tx.query("SELECT set_config('statement_timeout', '0', false)", &[], soon()).await.unwrap();
    assert_eq!(tx.query(sleep, &[], soon()).await, Err(Error::Timeout));
    assert_eq!(tx.query("SELECT 1", &[], soon()).await, Err(Error::Closed));
    shop.becomes(running, 0).await;
    assert_eq!(pool.one("SELECT 1").await, Value::Int32(1));
    shop.databases.stop().await;
}
