use super::*;

#[tokio::test]
async fn every_kind_of_value_goes_in_and_comes_out_unchanged() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    shop.superuser().await.client.batch_execute("CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE EXTENSION citext").await.unwrap();
    for (cast, value) in [
        ("bool", Value::Bool(true)),
        ("int2", Value::Int16(i16::MIN)),
        ("int4", Value::Int32(-7)),
        ("int8", Value::Int64(i64::MAX)),
        ("float4", Value::Float32(1.5)),
        ("float8", Value::Float64(0.1)),
        ("text", text("é\"'\\")),
        ("varchar(9)", text("x")),
        ("citext", text("Case")),
        ("colour", text("blue")),
        ("small", Value::Int32(9)),
        ("bytea", Value::Bytes(vec![0, 255])),
        ("uuid", Value::Uuid(1 << 100)),
        ("timestamp", Value::Timestamp(-1)),
        ("timestamptz", Value::Timestamptz(1_700_000_000_000_001)),
        ("date", Value::Date(-1)),
        ("time", Value::Time(86_399_999_999)),
        ("numeric", Value::Numeric("-12345678901234567890.000000000001".to_owned())),
        ("json", Value::Json("{\"a\": 1}".to_owned())),
        ("jsonb", Value::Json("{\"a\": 1}".to_owned())),
        ("text[]", Value::TextArray(vec![Some("a,\"b\\".to_owned()), None, Some(String::new())])),
        ("colour[]", Value::TextArray(vec![Some("red".to_owned())])),
        ("int8[]", Value::Int64Array(vec![Some(-1), None])),
        ("int4[]", Value::Int64Array(vec![])),
        ("uuid[]", Value::UuidArray(vec![Some(5), None])),
        ("uuid[]", Value::UuidArray(vec![])),
        ("interval", Value::Raw(1186, [0; 16].to_vec())),
        ("int8", Value::Null),
    ] {
        let rows = pool.query(&format!("SELECT $1::{cast}"), std::slice::from_ref(&value), soon()).await;
        assert_eq!(rows.unwrap_or_else(|error| panic!("{cast}: {error}")).rows[0][0], value, "{cast}");
    }
    // What the host counts is what the server prints.
    assert_eq!(pool.one("SELECT '2024-02-29T12:00:00Z'::timestamptz").await, Value::Timestamptz(1_709_208_000_000_000));
    assert_eq!(pool.one("SELECT '1970-01-02'::date").await, Value::Date(1));
    for odd in ["'infinity'::timestamptz", "'-infinity'::date", "'{{1,2},{3,4}}'::int8[]", "'10.0.0.0/8'::inet"] {
        assert!(matches!(pool.one(&format!("SELECT {odd}")).await, Value::Raw(..)), "{odd}");
    }
    // Text stands for what is written as text.
    let rows = pool
        .query(
            "SELECT $1::date, $2::numeric, $3::uuid",
            &[text("1970-01-02"), text("1e2"), text("00000000-0000-0000-0000-000000000005")],
            soon(),
        )
        .await;
    assert_eq!(rows.unwrap().rows[0], [Value::Date(1), Value::Numeric("100".to_owned()), Value::Uuid(5)]);
    shop.databases.stop().await;
}

#[tokio::test]
async fn a_numeric_of_any_shape_is_printed_as_the_server_prints_it() {
    let shop = Shop::open().await;
    let pool = shop.writer();
    let mut random = fastrand::Rng::with_seed(7);
    let samples: Vec<Option<String>> = (0..900)
        .map(|_| {
            let digits = |random: &mut fastrand::Rng, most| {
                (0..random.usize(0..most))
                    .map(|_| if random.bool() { '0' } else { random.digit(10) })
                    .collect::<String>()
            };
            let sign = if random.bool() { "-" } else { "" };
            Some(format!("{sign}{}1{}.{}", digits(&mut random, 9), digits(&mut random, 14), digits(&mut random, 18)))
        })
        .chain(
            ["NaN", "Infinity", "-Infinity", "0", "0.0000", "1e100", "1e-100", "0.00001000"]
                .map(|text| Some(text.to_owned())),
        )
        .collect();
    let sql = "SELECT n, n::text, n / 100000, (n / 100000)::text FROM unnest($1::numeric[]) n";
    let rows = pool.query(sql, &[Value::TextArray(samples)], soon()).await.unwrap().rows;
    assert_eq!(rows.len(), 908);
    for row in rows {
        for pair in row.chunks(2) {
            let [Value::Numeric(ours), Value::Text(theirs)] = pair else { panic!("{pair:?}") };
            assert_eq!(ours, theirs);
        }
    }
    shop.databases.stop().await;
}
