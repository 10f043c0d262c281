//! What an answer takes of the host's memory, and of whose account.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::*;
use crate::memory::Account;

#[derive(Debug)]
struct Bytes {
    left: AtomicU64,
}

impl Account for Bytes {
    fn take(&self, bytes: u64) -> bool {
        self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.left.fetch_add(bytes, SeqCst);
    }
}

/// What a value takes, in its place and beside it.
fn taken(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) | Value::Numeric(text) | Value::Json(text) => text.capacity(),
            Value::Bytes(bytes) | Value::Raw(_, bytes) => bytes.capacity(),
            Value::TextArray(items) => {
                let texts = items.iter().flatten().map(String::capacity).sum::<usize>();
                items.capacity() * size_of::<Option<String>>() + texts
            }
            Value::Int64Array(items) => items.capacity() * size_of::<Option<i64>>(),
            Value::UuidArray(items) => items.capacity() * size_of::<Option<u128>>(),
            _ => 0,
        }
}

#[tokio::test]
async fn what_counts_is_what_is_kept_and_not_what_came_over_the_wire() {
    let shop = Shop::open().await;
    let pool = shop.reader();
    for small in [
        "1e131071::numeric",
        "-1e-16383::numeric",
        "'NaN'::numeric",
        "null",
        "array_fill(null::uuid, array[20000])",
        "array_fill(null::text, array[20000])",
        "array_fill(7::int2, array[20000])",
        "array_fill('x'::text, array[9000])",
        "array_fill(null::date, array[9000])",
        "repeat('x', 9000)",
        "'{\"a\": [1, 2]}'::jsonb",
        "decode(repeat('00', 900), 'hex')",
        "now()",
    ] {
        let answer = pool.query(&format!("SELECT {small}, 1"), &[], soon()).await.unwrap();
        let taken: usize = answer.rows[0].iter().map(taken).sum();
        assert!(answer.held.bytes() >= taken as u64, "{small}: {taken} are {}", answer.held.bytes());
    }
    let seven = pool.query("SELECT 1e131071::numeric FROM generate_series(1, 7)", &[], soon()).await.unwrap();
    assert_eq!(seven.rows[6][0], Value::Numeric(format!("1{}", "0".repeat(131_071))));
    for large in ["1e131071::numeric", "array_fill(null::uuid, array[9000])", "array_fill(null::text, array[9000])"] {
        let nine = pool.query(&format!("SELECT {large} FROM generate_series(1, 9)"), &[], soon()).await;
        assert_eq!(nine, Err(Error::TooLarge(1 << 20)), "{large}");
    }
}

#[tokio::test]
async fn an_answer_is_paid_from_the_account_of_whoever_asked_until_it_is_dropped() {
    let shop = Shop::open().await;
    let account = Arc::new(Bytes { left: AtomicU64::new(300_000) });
    let pool = shop.writer().paid_from(account.clone());
    let two = pool.query("SELECT 1e131071::numeric FROM generate_series(1, 2)", &[], soon()).await.unwrap();
    assert_eq!(account.left.load(SeqCst), 300_000 - two.held.bytes());
    let refused = pool.query("SELECT 1e131071::numeric", &[], soon()).await;
    assert_eq!(refused, Err(Error::Overloaded), "others have it; later there may be some");
    let insert = "INSERT INTO items (name) VALUES ('kept') RETURNING 1e131071::numeric";
    assert_eq!(pool.query(insert, &[], soon()).await, Err(Error::TooLarge(1 << 20)), "it has happened");
    let tx = pool.begin(TxOptions::default(), soon()).await.unwrap();
    assert_eq!(tx.query("SELECT 1e131071::numeric", &[], soon()).await, Err(Error::Overloaded));
    assert_eq!(tx.query("SELECT count(*) FROM items", &[], soon()).await.unwrap().rows[0][0], Value::Int64(1));
    drop((two, tx));
    assert_eq!(account.left.load(SeqCst), 300_000);
    assert!(pool.query("SELECT 1e131071::numeric", &[], soon()).await.is_ok());
}

/// What this thread has had of a core: that it stood still is nobody's doing. Else the time since `begun`.
fn used(begun: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).filter(|nanos| *nanos > 0);
    nanos.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

#[tokio::test]
async fn reading_a_large_answer_lets_others_run_and_ends_at_its_deadline() {
    let shop = Shop::with(DatabaseSettings { bytes_max: 100 << 20, ..settings() }).await;
    let pool = shop.reader();
    // One row of 400 cells.
    let sql = format!("SELECT {}", vec!["1e131071::numeric"; 400].join(", "));
    pool.query("SELECT 1", &[], soon()).await.unwrap();
    let begun = Instant::now();
    let first = used(begun);
    let (mut last, mut longest) = (first, Duration::ZERO);
    let mut reading = Box::pin(pool.query(&sql, &[], soon()));
    let read = loop {
        tokio::select! {
            biased;
            read = &mut reading => break read,
            () = tokio::task::yield_now() => {}
        }
        let now = used(begun);
        (longest, last) = (longest.max(now - last), now);
    };
    let all = used(begun) - first;
    longest = longest.max(used(begun) - last);
    assert_eq!(read.unwrap().rows[0].len(), 400);
    assert!(longest * 3 < all, "{longest:?} of {all:?} in one piece");
}
