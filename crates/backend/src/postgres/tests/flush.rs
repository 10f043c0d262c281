use std::collections::BTreeSet;

use super::*;

const WRITERS: usize = 6;
const INSERT: &str = "INSERT INTO items (name) VALUES ($1)";

async fn busy_shop() -> Shop {
    Shop::with(DatabaseSettings { connections_max: NonZeroUsize::new(12).unwrap(), ..settings() }).await
}

/// Writes rows in each way there is until the server is gone; the names of those that were answered.
async fn write(pool: &Pool, writer: usize) -> Vec<String> {
    let mut answered = Vec::new();
    for number in 0.. {
        let name = format!("{writer}-{number}");
        let params = [text(&name)];
        let written = match number % 4 {
            0 => pool.execute(INSERT, &params, soon()).await.map(drop),
            1 => pool.query(&format!("{INSERT} RETURNING id"), &params, soon()).await.map(drop),
            2 => pool.batch(&[(INSERT.to_owned(), params.to_vec())], soon()).await.map(drop),
            _ => in_transaction(pool, INSERT, &params).await,
        };
        match written {
            Ok(()) => answered.push(name),
            Err(_) => break,
        }
    }
    answered
}

async fn in_transaction(pool: &Pool, sql: &str, params: &[Value]) -> Result<(), Error> {
    let transaction = pool.begin(TxOptions::default(), soon()).await?;
    transaction.execute(sql, params, soon()).await?;
    transaction.commit(soon()).await
}

/// Without a flush the last rows would only be in the memory that the server throws away.
#[tokio::test]
async fn what_was_answered_is_there_after_a_crash_of_the_server() {
    let shop = busy_shop().await;
    let pool = shop.writer();
    let writing = futures_util::future::join_all((0..WRITERS).map(|writer| write(&pool, writer)));
    let crash = async {
        let victim = shop.superuser().await;
        let pid: i32 = victim.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let deadline = soon();
        while shop.count("SELECT count(*) FROM items").await < 300 {
            assert!(Instant::now() < deadline, "nobody writes");
        }
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let (answered, ()) = tokio::join!(writing, crash);
    let answered: BTreeSet<String> = answered.into_iter().flatten().collect();
    assert!(answered.len() >= 250, "{} rows were answered", answered.len());

    let deadline = Instant::now() + Duration::from_secs(20);
    while shop.databases.check("shop").await.is_err() {
        assert!(Instant::now() < deadline, "the server is not back");
        tokio::task::yield_now().await;
    }
    let rows = shop.superuser().await.client.query("SELECT name FROM items", &[]).await.unwrap();
    let there: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let lost: Vec<&String> = answered.difference(&there).collect();
    assert!(lost.is_empty(), "{lost:?}");
    shop.databases.stop().await;
}

#[tokio::test]
async fn whatever_writes_is_flushed_once_and_nothing_else_is() {
    let shop = busy_shop().await;
    let pool = shop.writer();
    let settings = "SELECT current_setting('synchronous_commit')";
    assert_eq!(pool.one(settings).await, text("off"), "rows are free before the disk has the commit");
    assert_eq!(shop.reader().one(settings).await, text("on"));
    // Each change takes a number, each flush takes one, and so does this question.
    let numbers = async || shop.count("SELECT txid_current()").await;
    for way in 0..3 {
        let before = numbers().await;
        let name = [text(&way.to_string())];
        match way {
            0 => _ = pool.execute(INSERT, &name, soon()).await.unwrap(),
            1 => _ = pool.batch(&[(INSERT.to_owned(), name.to_vec())], soon()).await.unwrap(),
            _ => in_transaction(&pool, INSERT, &name).await.unwrap(),
        }
        assert_eq!(numbers().await - before, 3, "a change and its flush");
    }
    let before = numbers().await;
    pool.query("SELECT name FROM items", &[], soon()).await.unwrap();
    pool.batch(&[("SELECT 1".to_owned(), Vec::new())], soon()).await.unwrap();
    let options = TxOptions { read_only: true, ..TxOptions::default() };
    let transaction = pool.begin(options, soon()).await.unwrap();
    transaction.query("SELECT pg_backend_pid()", &[], soon()).await.unwrap();
    transaction.commit(soon()).await.unwrap();
    assert_eq!(numbers().await - before, 1, "who reads does not wait for the disk");
    let transaction = pool.begin(TxOptions::default(), soon()).await.unwrap();
    transaction.execute(INSERT, &[text("gone")], soon()).await.unwrap();
    transaction.rollback(soon()).await.unwrap();
    assert_eq!(numbers().await - before, 3, "nor who takes it back");
    shop.databases.stop().await;
}

/// The server's process that flushes for all, once it does: whoever wrote last has not done so over a session of the pool.
async fn flusher(shop: &Shop) -> rustix::process::Pid {
    let pool = shop.writer();
    let superuser = shop.superuser().await;
    let sql = "WITH flushing AS (SELECT pid, datname FROM pg_stat_activity \
                   WHERE query LIKE '%pg_logical_emit_message%' AND pid <> pg_backend_pid()) \
               SELECT pid FROM flushing WHERE datname = 'postgres' \
               AND NOT EXISTS (SELECT FROM flushing WHERE datname = 'db_shop')";
    let deadline = soon();
    loop {
        pool.execute("UPDATE items SET name = name", &[], soon()).await.unwrap();
        if let Some(row) = superuser.client.query_opt(sql, &[]).await.unwrap() {
            return rustix::process::Pid::from_raw(row.get(0)).unwrap();
        }
        assert!(Instant::now() < deadline, "nobody flushes for all");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_connection_is_lent_to_others_while_its_writer_waits_for_the_disk() {
    let shop = Shop::with(DatabaseSettings { connections_max: NonZeroUsize::MIN, ..settings() }).await;
    let (pool, flusher) = (shop.writer(), flusher(&shop).await);
    let (first, second) = ([text("a")], [text("b")]);
    rustix::process::kill_process(flusher, rustix::process::Signal::STOP).unwrap();
    let mut waiting =
        Box::pin(async { tokio::join!(pool.execute(INSERT, &first, soon()), in_transaction(&pool, INSERT, &second)) });
    let names = async {
        let deadline = soon();
        while pool.one("SELECT count(*) FROM items").await != Value::Int64(2) {
            assert!(Instant::now() < deadline, "the only connection is kept");
        }
    };
    tokio::select! {
        _ = &mut waiting => panic!("nothing is on the disk yet"),
        () = names => {}
    }
    rustix::process::kill_process(flusher, rustix::process::Signal::CONT).unwrap();
    assert!(matches!(waiting.await, (Ok(1), Ok(()))));
    shop.databases.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_flush_that_fails_hears_that_its_change_may_be_lost() {
    let shop = busy_shop().await;
    let (pool, flusher, name) = (shop.writer(), flusher(&shop).await, [text("a")]);
    rustix::process::kill_process(flusher, rustix::process::Signal::STOP).unwrap();
    let end = async {
        let deadline = soon();
        while shop.count("SELECT count(*) FROM items").await == 0 {
            assert!(Instant::now() < deadline, "nobody writes");
        }
        let end = format!("SELECT pg_terminate_backend({})", flusher.as_raw_pid());
        shop.superuser().await.client.batch_execute(&end).await.unwrap();
        rustix::process::kill_process(flusher, rustix::process::Signal::CONT).unwrap();
    };
    let (written, ()) = tokio::join!(pool.execute(INSERT, &name, soon()), end);
    assert!(matches!(written, Err(Error::Unavailable(why)) if why.contains("may not be permanent")));
    for name in ["b", "c"] {
        pool.execute(INSERT, &[text(name)], soon()).await.unwrap();
    }
    shop.databases.stop().await;
}
