use std::collections::BTreeSet;

use super::*;

const WRITERS: usize = 6;

async fn busy_shop() -> Shop {
    Shop::with(DatabaseSettings { connections_max: NonZeroUsize::new(12).unwrap(), ..settings() }).await
}

/// Writes rows in each way there is until the server is gone; the names of those that were answered.
async fn write(pool: &Pool, writer: usize) -> Vec<String> {
    let insert = "INSERT INTO items (name) VALUES ($1)";
    let mut answered = Vec::new();
    for number in 0.. {
        let name = format!("{writer}-{number}");
        let params = [text(&name)];
        let written = match number % 4 {
            0 => pool.execute(insert, &params, soon()).await.map(drop),
            1 => pool.query(&format!("{insert} RETURNING id"), &params, soon()).await.map(drop),
            2 => pool.batch(&[(insert.to_owned(), params.to_vec())], soon()).await.map(drop),
            _ => in_transaction(pool, insert, &params).await,
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
    let insert = "INSERT INTO items (name) VALUES ($1)";
    for way in 0..3 {
        let before = numbers().await;
        let name = [text(&way.to_string())];
        match way {
            0 => _ = pool.execute(insert, &name, soon()).await.unwrap(),
            1 => _ = pool.batch(&[(insert.to_owned(), name.to_vec())], soon()).await.unwrap(),
            _ => in_transaction(&pool, insert, &name).await.unwrap(),
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
    transaction.execute(insert, &[text("gone")], soon()).await.unwrap();
    transaction.rollback(soon()).await.unwrap();
    assert_eq!(numbers().await - before, 3, "nor who takes it back");
    shop.databases.stop().await;
}
