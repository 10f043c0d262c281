use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn converted(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Boolean(boolean) => Value::from(*boolean),
        Json::Number(text) => serde_json::from_str(text).unwrap(),
        Json::Text(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(converted).collect(),
        Json::Object(members) => members.iter().map(|(key, value)| (key.clone(), converted(value))).collect(),
    }
}

#[test]
fn what_is_json_is_read_and_what_is_not_is_refused() {
    let good = [
        "{}",
        " [ ] ",
        "0",
        "-0.5e+7",
        "\"a\\u00e9\\ud83d\\ude00\\n\"",
        "{\"a\":[1,{\"b\":null}],\"c\":true}",
        "\"\u{7f}\"",
        "1E9999999",
    ];
    let bad = [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "nul",
        "True",
        "'a'",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\ude00\"",
        "\"a",
        "\"\t\"",
        "{} {}",
        "[1 2]",
        "\u{feff}{}",
        "NaN",
        "// a\n{}",
        "\"\\ud800\\",
        "\"\\",
    ];
    for text in good {
        assert!(parse(text.as_bytes()).is_ok(), "{text}");
    }
    for text in bad {
        assert!(matches!(parse(text.as_bytes()), Err(Refused::Syntax { .. })), "{text}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
}

#[test]
fn the_shop_s_own_rules_hold() {
    assert_eq!(parse(b"{\"a\":\"\xff\"}"), Err(Refused::Encoding));
    assert_eq!(parse(br#"{"a":1,"\u0061":2}"#), Err(Refused::Duplicate("a".to_owned())));
    assert_eq!(parse(br#"[{"b":{"c":1,"c":1}}]"#), Err(Refused::Duplicate("c".to_owned())));
    assert_eq!(parse(br#"{"a":["x\u0000"]}"#), Err(Refused::Nul { field: Some("a".to_owned()) }));
    assert_eq!(parse(b"\"\0\""), Err(Refused::Nul { field: None }));
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(nested(32).as_bytes()).is_ok());
    assert_eq!(parse(nested(33).as_bytes()), Err(Refused::Depth));
    assert_eq!(parse("[".repeat(1_000_000).as_bytes()), Err(Refused::Depth));
    assert_eq!(parse(b"19.990000000000000000001"), Ok(Json::Number("19.990000000000000000001".to_owned())));
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[^\0]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[^\0]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_document_is_read_as_another_parser_reads_it(document in document()) {
        let text = serde_json::to_string_pretty(&document).unwrap();
        prop_assert_eq!(converted(&parse(text.as_bytes()).unwrap()), document);
    }

    #[test]
    fn no_text_makes_it_panic_or_accept_more_than_another_parser(text in r#"[\[\]{}",:0-9eE.+\-\\u truefalsnd8cé]{0,24}"#) {
        if parse(text.as_bytes()).is_ok() {
            // Too large a number is the other parser's own limit.
            let other = serde_json::from_str::<Value>(&text);
            prop_assert!(other.is_ok() || other.is_err_and(|error| error.to_string().contains("out of range")));
        }
    }
}
