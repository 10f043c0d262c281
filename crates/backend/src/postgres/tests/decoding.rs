//! Numbers and arrays out of everything that they may be made of: each reads as the server prints it. The server is
//! asked. `just fuzz` runs it for longer.

use super::*;
use fastrand::Rng;
use uuid::Uuid;

/// Of one question.
const AT_ONCE: usize = 40;

fn digits(random: &mut Rng) -> String {
    let count = if random.u8(0..20) == 0 { random.usize(0..300) } else { random.usize(0..14) };
    // Whole groups of four zeros are not written in the binary form.
    (0..count).map(|_| if random.bool() { '0' } else { random.digit(10) }).collect()
}

fn numeric(random: &mut Rng) -> String {
    let sign = if random.bool() { "-" } else { "" };
    match random.u8(0..30) {
        0 => return "NaN".to_owned(),
        1 => return format!("{sign}Infinity"),
        2 => return format!("{sign}0.{}", "0".repeat(random.usize(0..60))),
        _ => {}
    }
    let (whole, fraction) = (digits(random), digits(random));
    let exponent = if random.u8(0..4) == 0 { format!("e{}", random.i32(-400..400)) } else { String::new() };
    format!("{sign}0{whole}.{fraction}{exponent}")
}

fn maybe<T>(random: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    if random.u8(0..5) == 0 { None } else { Some(make(random)) }
}

fn many<T>(random: &mut Rng, make: fn(&mut Rng) -> T) -> Vec<Option<T>> {
    (0..random.usize(0..12)).map(|_| maybe(random, make)).collect()
}

fn word(random: &mut Rng) -> String {
    let pieces = ["", "a", "NULL", "null", "{", "}", ",", "\"", "\\", " ", "\n", "é", "😀", "'", "[1:2]=", "\u{1}"];
    (0..random.usize(0..5)).map(|_| pieces[random.usize(0..pieces.len())]).collect()
}

/// An array as it is sent, and the type that it is sent as.
fn array(random: &mut Rng) -> (&'static str, Value) {
    match random.u8(0..5) {
        0 => ("int8[]", Value::Int64Array(many(random, |random| random.i64(..)))),
        1 => ("int4[]", Value::Int64Array(many(random, |random| random.i32(..).into()))),
        2 => ("int2[]", Value::Int64Array(many(random, |random| random.i16(..).into()))),
        3 => ("uuid[]", Value::UuidArray(many(random, |random| random.u128(..)))),
        _ => ("text[]", Value::TextArray(many(random, word))),
    }
}

/// As the server's JSON has it.
fn json(array: &Value) -> serde_json::Value {
    match array {
        Value::Int64Array(items) => serde_json::json!(items),
        Value::TextArray(items) => serde_json::json!(items),
        Value::UuidArray(items) => {
            items.iter().map(|item| serde_json::json!(item.map(|id| Uuid::from_u128(id).to_string()))).collect()
        }
        other => panic!("{other:?} is no array"),
    }
}

#[tokio::test]
async fn numbers_and_arrays_read_as_the_server_prints_them() {
    let seconds = std::env::var("ARCHIPEL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (seed, ends, rounds) = match seconds {
        Some(seconds) => (fastrand::u64(..), Instant::now() + Duration::from_secs(seconds), usize::MAX),
        None => (7, soon(), 30),
    };
    let mut random = Rng::with_seed(seed);
    let shop = Shop::open().await;
    let pool = shop.reader();
    let mut round = 0;
    while Instant::now() < ends && round < rounds {
        round += 1;
        let numbers: Vec<String> = (0..AT_ONCE).map(|_| format!("('{}'::numeric)", numeric(&mut random))).collect();
        let sql = format!("SELECT n, n::text FROM (VALUES {}) AS v (n)", numbers.join(", "));
        let rows = pool.query(&sql, &[], soon()).await.unwrap_or_else(|error| panic!("seed {seed}: {error}: {sql}"));
        assert_eq!(rows.rows.len(), AT_ONCE);
        for (row, number) in rows.rows.iter().zip(&numbers) {
            let (Value::Numeric(read), Value::Text(printed)) = (&row[0], &row[1]) else { panic!("{row:?}") };
            assert_eq!(read, printed, "seed {seed}: {number}");
        }
        let arrays: Vec<_> = (0..8).map(|_| array(&mut random)).collect();
        let cells = arrays.iter().enumerate().map(|(number, (kind, _))| {
            let place = number + 1;
            format!("${place}::{kind}, to_json(${place}::{kind})::text")
        });
        let sql = format!("SELECT {}", cells.collect::<Vec<_>>().join(", "));
        let sent: Vec<Value> = arrays.iter().map(|(_, array)| array.clone()).collect();
        let rows =
            pool.query(&sql, &sent, soon()).await.unwrap_or_else(|error| panic!("seed {seed}: {error}: {sent:?}"));
        for (sent, read) in sent.iter().zip(rows.rows[0].chunks(2)) {
            let Value::Text(printed) = &read[1] else { panic!("{read:?}") };
            let printed: serde_json::Value = serde_json::from_str(printed).unwrap();
            assert_eq!((sent, json(&read[0])), (&read[0], printed), "seed {seed}");
        }
    }
    assert!(round >= 10, "{round} rounds");
}
