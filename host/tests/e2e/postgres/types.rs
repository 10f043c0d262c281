//! What the sdk's own types are in PostgreSQL, and that they come back as they went.

use serde_json::json;

use super::{Shop, WRITER};

#[test]
fn every_type_of_the_sdk_comes_back_as_it_went_and_is_to_postgresql_what_it_says() {
    let shop = Shop::open("", &[WRITER]);
    let told = shop.ask("writer", "/pg/typed", &json!({ "database": "shop" })).json();
    let told: Vec<(&str, &str)> = told
        .as_array()
        .unwrap_or_else(|| panic!("{told}"))
        .iter()
        .map(|trip| {
            assert_eq!(trip["same"], true, "{trip}");
            (trip["type"].as_str().unwrap(), trip["text"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("interval", "1 year 2 mons -3 days +00:00:01.5"),
        ("date", "2026-01-02"),
        ("time", "03:04:05.000006"),
        ("timestamp", "2026-01-02 03:04:05.000006"),
        ("interval[]", "{\"1 year 2 mons -3 days +00:00:01.5\",NULL}"),
        ("date[]", "{2026-01-02,1969-12-31}"),
        ("time[]", "{03:04:05.000006}"),
        ("timestamp[]", "{\"2026-01-02 03:04:05.000006\",NULL}"),
        ("bool[]", "{t,NULL,f}"),
        ("float4[]", "{0.1}"),
        ("float8[]", "{0.1,-1e+300}"),
        ("int2[]", "{-32768}"),
        ("int4[]", "{2147483647,NULL}"),
        ("int8[]", "{-9223372036854775808}"),
        ("text[]", "{Zoë,\"a\\\"b\"}"),
        ("uuid[]", "{00000000-0000-0000-0000-000000000000}"),
        ("date[]", "{}"),
    ];
    // How a moment is written is the session's time zone to say.
    let without: Vec<_> = told.iter().copied().filter(|(kind, _)| !kind.starts_with("timestamptz")).collect();
    assert_eq!(without, expected);
    assert_eq!(told.len(), expected.len() + 2);
}
