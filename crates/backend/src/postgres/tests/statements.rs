use super::{super::batch::BATCH_MAX, *};

#[tokio::test]
async fn statements_take_parameters_and_report_what_happened() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let insert = "INSERT INTO items (name, price) VALUES ($1, $2)";
    let price = Value::Numeric("9.50".to_owned());
    assert_eq!(pool.execute(insert, &[text("cup"), price.clone()], soon()).await, Ok(1));
    let rows = pool.query("SELECT name, price FROM items WHERE id = $1", &[Value::Int64(1)], soon()).await.unwrap();
    assert_eq!(rows.rows, [vec![text("cup"), price.clone()]]);
    assert_eq!((rows.columns[1].name.as_str(), rows.columns[1].type_name.as_str()), ("price", "numeric"));

    let Err(Error::Db(error)) = pool.execute(insert, &[text("cup"), price], soon()).await else {
        panic!("a duplicate")
    };
    assert_eq!(
        (error.sqlstate.as_str(), error.constraint.as_deref(), error.table.as_deref()),
        ("23505", Some("items_name_key"), Some("items"))
    );
    let Err(Error::Db(error)) = pool.query("SELECT nothing FROM items", &[], soon()).await else { panic!("no column") };
    assert_eq!((error.sqlstate.as_str(), error.position), ("42703", Some(8)));
    let outcome = pool.query("SELECT $1::int4", &[text("x")], soon()).await;
    assert!(matches!(outcome, Err(Error::Parameter { index: 0, .. })), "{outcome:?}");
    let many = vec![Value::Int32(1); 65_536];
    let refused = pool.execute("SELECT 1", &many, soon()).await;
    assert!(matches!(&refused, Err(Error::Refused(why)) if why.contains("at most 65535")), "{refused:?}");
    let outcome = pool.query("SELECT 1; SELECT 2", &[], soon()).await;
    assert_eq!(sqlstate(outcome), "42601", "one statement a call");
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let item = |name: &str| ("INSERT INTO items (name) VALUES ($1)".to_owned(), vec![text(name)]);
    assert_eq!(pool.batch(&[item("a"), item("b")], soon()).await, Ok(vec![1, 1]));
    assert_eq!(sqlstate(pool.batch(&[item("c"), item("a"), item("d")], soon()).await), "23505");
    assert_eq!(pool.one("SELECT count(*) FROM items").await, Value::Int64(2));
    let update = ("UPDATE items SET price = $1".to_owned(), vec![Value::Int32(3)]);
    assert_eq!(pool.batch(&[update, item("e")], soon()).await, Ok(vec![2, 1]));
    assert!(matches!(pool.batch(&vec![item("x"); BATCH_MAX + 1], soon()).await, Err(Error::Refused(_))));
    shop.becomes("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'", 0).await;
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_transaction_is_kept_only_by_a_commit_that_saw_no_failure() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let insert = "INSERT INTO items (name) VALUES ($1)";

    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    tx.execute(insert, &[text("kept")], soon()).await.unwrap();
    assert_eq!(pool.one("SELECT count(*) FROM items").await, Value::Int64(0), "nobody else sees it yet");
    tx.commit(soon()).await.unwrap();

    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    tx.execute(insert, &[text("lost")], soon()).await.unwrap();
    assert_eq!(sqlstate(tx.execute(insert, &[text("kept")], soon()).await), "23505");
    assert_eq!(sqlstate(tx.commit(soon()).await), "25P02", "a commit that keeps nothing must not look like one");

    // Refused by the server's own parser: it failed there, although a parameter is to blame.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    tx.execute(insert, &[text("lost too")], soon()).await.unwrap();
    let outcome = tx.query("SELECT $1::date", &[text("no date")], soon()).await;
    assert!(matches!(outcome, Err(Error::Parameter { index: 0, .. })), "{outcome:?}");
    assert!(tx.commit(soon()).await.is_err());

    // Refused here: nothing was sent, so the transaction goes on.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    assert!(tx.query("SELECT $1::int4", &[text("x")], soon()).await.is_err());
    tx.execute(insert, &[text("kept too")], soon()).await.unwrap();
    tx.commit(soon()).await.unwrap();

    drop(pool.begin(TxOptions::default(), soon()).await.unwrap().execute(insert, &[text("dropped")], soon()).await);
    assert_eq!(pool.one("SELECT string_agg(name, ',' ORDER BY id) FROM items").await, text("kept,kept too"));
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_savepoint_ends_alone_and_silences_what_is_around_it() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let insert = "INSERT INTO items (name) VALUES ($1)";
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    tx.execute(insert, &[text("outer")], soon()).await.unwrap();

    let inner = tx.savepoint(soon()).await.unwrap();
    assert_eq!(tx.query("SELECT 1", &[], soon()).await, Err(Error::Closed));
    inner.execute(insert, &[text("undone")], soon()).await.unwrap();
    drop(inner);
    let inner = tx.savepoint(soon()).await.unwrap();
    assert_eq!(sqlstate(inner.execute(insert, &[text("outer")], soon()).await), "23505");
    inner.rollback(soon()).await.unwrap();
    let inner = tx.savepoint(soon()).await.unwrap();
    inner.execute(insert, &[text("inner")], soon()).await.unwrap();
    inner.commit(soon()).await.unwrap();
    tx.commit(soon()).await.unwrap();
    assert_eq!(pool.one("SELECT string_agg(name, ',' ORDER BY id) FROM items").await, text("outer,inner"));

    // The outer one gone first takes everything with it.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    let inner = tx.savepoint(soon()).await.unwrap();
    drop(tx);
    assert_eq!(inner.query("SELECT 1", &[], soon()).await, Err(Error::Closed));
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_statement_survives_a_change_of_the_schema_and_of_many_others() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    assert_eq!(pool.query("SELECT * FROM items", &[], soon()).await.unwrap().columns.len(), 3);
    shop.superuser().await.client.batch_execute("ALTER TABLE items ADD COLUMN colour text").await.unwrap();
    assert_eq!(pool.query("SELECT * FROM items", &[], soon()).await.unwrap().columns.len(), 4);

    for number in 0..250 {
        assert_eq!(pool.one(&format!("SELECT {number}")).await, Value::Int32(number));
    }
    let rows = pool.query("SELECT count(*) FROM pg_prepared_statements", &[], soon()).await.unwrap();
    let Value::Int64(kept) = rows.rows[0][0] else { panic!("a number") };
    assert!(kept <= 110, "{kept} statements are prepared");
    shop.databases.stop().await;
}

#[tokio::test]
async fn an_answer_over_the_bounds_is_refused_and_costs_no_memory() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let rows = pool.query("SELECT generate_series(1, 100000000)", &[], soon()).await;
    assert_eq!(rows, Err(Error::TooLarge(1000)));
    let bytes = pool.query("SELECT repeat('x', 10000) FROM generate_series(1, 900)", &[], soon()).await;
    assert_eq!(bytes, Err(Error::TooLarge(1 << 20)));
    let one_cell = pool.query("SELECT repeat('x', 50000000)", &[], soon()).await;
    assert_eq!(one_cell, Err(Error::TooLarge(1 << 20)));
    // A change has happened all the same.
    let insert = "INSERT INTO items (name) SELECT n::text FROM generate_series(1, 2000) n RETURNING id";
    assert_eq!(pool.query(insert, &[], soon()).await, Err(Error::TooLarge(1000)));
    assert_eq!(pool.one("SELECT count(*) FROM items").await, Value::Int64(2000));
    // And a transaction goes on.
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    assert_eq!(tx.query("SELECT * FROM items", &[], soon()).await, Err(Error::TooLarge(1000)));
    assert!(tx.query("SELECT 1", &[], soon()).await.is_ok());
    tx.commit(soon()).await.unwrap();
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_batch_of_more_text_than_one_statement_may_have_is_refused() {
    let shop = Shop::open().await;
    let long = " ".repeat(600 << 10);
    let items = vec![(format!("SELECT 1{long}"), Vec::new()); 2];
    assert!(matches!(shop.writer().batch(&items, soon()).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn a_type_that_was_replaced_is_looked_up_again() {
    let shop = Shop::with(DatabaseSettings { connections_max: NonZeroUsize::MIN, ..settings() }).await;
    let pool = shop.writer();
    let above = shop.superuser().await;
    let made = "CREATE TYPE colour AS ENUM ('red'); CREATE TABLE cups (colour colour); GRANT ALL ON cups TO PUBLIC";
    above.client.batch_execute(made).await.unwrap();
    let (insert, select) = ("INSERT INTO cups VALUES ($1)", "SELECT colour FROM cups WHERE colour = $1 LIMIT 1");
    for place in 0..3 {
        let again = async |pool: &Pool| {
            assert_eq!(pool.execute(insert, &[text("red")], soon()).await, Ok(1), "{place}");
            assert_eq!(pool.query(select, &[text("red")], soon()).await.unwrap().rows, [[text("red")]], "{place}");
        };
        match place {
            // In a transaction, too, while nothing of it has run.
            1 => {
                let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
                assert_eq!(tx.execute(insert, &[text("red")], soon()).await, Ok(1));
                tx.commit(soon()).await.unwrap();
                again(&pool).await;
            }
            _ => again(&pool).await,
        }
        let replaced = "ALTER TYPE colour RENAME TO old; CREATE TYPE colour AS ENUM ('red', 'blue');
                        ALTER TABLE cups ALTER colour TYPE colour USING colour::text::colour; DROP TYPE old";
        above.client.batch_execute(replaced).await.unwrap();
    }
    let changed = "ALTER TABLE items ALTER name TYPE varchar(90)";
    assert_eq!(pool.one("SELECT count(name) FROM items").await, Value::Int64(0));
    pool.query("SELECT name FROM items", &[], soon()).await.unwrap();
    above.client.batch_execute(changed).await.unwrap();
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    assert!(tx.query("SELECT name FROM items", &[], soon()).await.is_ok(), "it has begun once more");
    tx.commit(soon()).await.unwrap();
}

#[tokio::test]
async fn no_process_of_a_private_server_keeps_or_takes_much_memory() {
    let patient = Duration::from_secs(60);
    let narrow = DatabaseSettings { connections_max: NonZeroUsize::MIN, statement_timeout: patient, ..settings() };
    let shop = Shop::with(narrow).await;
    let pool = shop.writer();
    let process = pool.one("SELECT pg_backend_pid()").await;
    // The plan keeps the constant.
    pool.query("SELECT repeat('x', 200000000) FROM items WHERE false", &[], soon()).await.unwrap();
    let next = pool.one("SELECT pg_backend_pid()").await;
    assert_ne!(next, process, "one that has grown is ended");
    let process = pool.one("SELECT pg_backend_pid()").await;
    let constant = "SELECT repeat('x', 90000000) FROM items WHERE $1::bool";
    for _ in 0..7 {
        pool.query(constant, &[Value::Bool(false)], soon()).await.unwrap();
    }
    pool.query("SELECT pg_sleep(1.1)", &[], soon()).await.unwrap();
    assert_ne!(pool.one("SELECT pg_backend_pid()").await, process, "also by a plan that was made later");
    let large = "SELECT length(string_agg(repeat('x', 50000000), '')) FROM generate_series(1, 19)";
    assert_eq!(
        sqlstate(pool.query(large, &[], Instant::now() + patient).await),
        "53200",
        "out of memory, for this statement only"
    );
    assert_eq!(pool.one("SELECT 1").await, Value::Int32(1));
    let long = format!("SELECT '{}'", "x".repeat(100_000));
    pool.query(&long, &[], soon()).await.unwrap();
    assert_eq!(
        pool.one("SELECT count(*) FROM pg_prepared_statements WHERE length(statement) > 99999").await,
        Value::Int64(0)
    );
    shop.databases.stop().await;
}
