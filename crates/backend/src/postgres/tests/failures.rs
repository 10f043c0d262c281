use super::*;

#[tokio::test]
async fn killed_connections_fail_their_own_requests_only() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let open = (0..3).map(|_| pool.query("SELECT pg_sleep(0.1)", &[], soon()));
    futures_util::future::join_all(open).await;

    let mut running = Box::pin(pool.query("SELECT pg_sleep(20)", &[], soon()));
    assert!(futures_util::poll!(&mut running).is_pending());
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()";
    let deadline = soon();
    while shop.count(active).await == 0 {
        assert!(futures_util::poll!(&mut running).is_pending() && Instant::now() < deadline);
    }
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE 'db_shop:%'";
    assert_eq!(shop.count(kill).await, 3);
    assert!(matches!(running.await, Err(Error::Unavailable(_))), "it may have written, so it is not sent again");
    for _ in 0..20 {
        assert_eq!(
            pool.query("SELECT count(*) FROM items", &[], soon()).await.unwrap().rows.len(),
            1,
            "a plain query is"
        );
    }
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_killed_server_is_back_at_once_with_all_that_was_acknowledged() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    pool.execute("INSERT INTO items (name) VALUES ('kept')", &[], soon()).await.unwrap();
    let server = || std::fs::read_to_string(shop.folder.path().join("postgres/postmaster.pid")).unwrap_or_default();
    let mut least = Duration::MAX;
    for _ in 0..2 {
        let pid = server().lines().next().unwrap().to_owned();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        // Sessions of the killed server answer until they notice, so a new server is waited for.
        let killed = Instant::now();
        while server().lines().next().is_none_or(|now| now == pid) || shop.databases.check("shop").await.is_err() {
            assert!(killed.elapsed() < Duration::from_secs(20), "the server is not back");
            tokio::task::yield_now().await;
        }
        least = least.min(killed.elapsed());
    }
    // Three seconds on a quiet machine; whoever was stopped for a while has another try.
    assert!(least < Duration::from_secs(6), "{least:?}");
    assert_eq!(pool.one("SELECT name FROM items").await, text("kept"));
    assert!(is_well(&shop.databases).await < Duration::from_secs(5));
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_full_pool_says_so_after_its_wait_and_serves_again() {
    let shop = Shop::with(DatabaseSettings { wait: Duration::from_millis(500), ..settings() }).await;
    let pool = shop.writer();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(pool.begin(TxOptions::default(), soon()).await.unwrap());
    }
    held.push(shop.reader().begin(TxOptions::default(), soon()).await.unwrap());
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(pool.query("SELECT 1", &[], soon()).await, Err(Error::Overloaded));
        least = least.min(begun.elapsed());
    }
    assert!((Duration::from_millis(500)..Duration::from_millis(1200)).contains(&least), "{least:?}");
    assert_eq!(
        shop.reader().query("SELECT 1", &[], soon()).await,
        Err(Error::Overloaded),
        "the bound is the database's"
    );
    is_well(&shop.databases).await; // a full pool is no dead server
    held.clear();
    let deadline = soon();
    while pool.site.counts().lent > 0 {
        assert!(Instant::now() < deadline, "they do not come back");
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.one("SELECT 1").await, Value::Int32(1));
    // Idle connections of one role make room for another's.
    assert_eq!(shop.reader().one("SELECT 2").await, Value::Int32(2));
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'db_shop:%r_'";
    assert!(shop.count(sessions).await <= 5);
    shop.databases.stop().await;
    assert!(matches!(pool.query("SELECT 1", &[], soon()).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn one_service_cannot_have_all_connections_of_a_database() {
    let shop = Shop::with(DatabaseSettings { wait: Duration::from_secs(3), ..settings() }).await;
    let (writer, reader) = (shop.writer(), shop.reader());
    // Three of four, for as long as it likes.
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(writer.begin(TxOptions::default(), soon()).await.unwrap());
    }
    let mut waiting: Vec<_> = (0..13).map(|_| Box::pin(writer.query("SELECT 1", &[], soon()))).collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one).is_pending());
    }
    let waiters = futures_util::future::join_all(waiting);
    let others = async {
        for _ in 0..20 {
            assert_eq!(reader.one("SELECT 1").await, Value::Int32(1), "there is always one for another service");
        }
    };
    let (waited, ()) = futures_util::future::join(waiters, others).await;
    assert!(waited.iter().all(|waited| *waited == Err(Error::Overloaded)), "{waited:?}");
    drop(held);
    shop.databases.stop().await;
}
