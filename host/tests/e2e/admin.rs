//! The admin API's own document says what the admin API does: real answers are held against it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{
    Answer, Connection, Consul, Host, Redis,
    admin::{build, wasm},
    exchange,
    spoilt::{TRAP, starting_with},
};

const WASM: &str = "application/wasm";
const TOML: &str = "application/toml";
const JSON: &str = "application/json";

fn manifest(redis: &Redis) -> String {
    format!(
        "[redis.main]\nurl = \"{}\"\n[events]\nredis = \"main\"\n\
         [services.a]\ncomponent = \"COMPONENTS/probe_events.wasm\"\n\
         permissions = {{ publish = [\"order.*\"], subscribe = [\"order.*\"] }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"a\"\npublic = true\n",
        redis.url()
    )
}

/// What is asked: method, path as the document names it, what stands for `{name}`, query, type and
/// body of what is sent, and the status of the answer.
type Asked<'a> = (&'a str, &'a str, &'a str, &'a str, (&'a str, &'a [u8]), u16);

/// What `build` will be called beside `live`.
fn label(live: &str, build: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, build);
    let short: String = digest.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}+{short}", live.split_once('+').unwrap().0)
}

#[test]
fn every_operation_answers_as_its_document_says() {
    let redis = Redis::start();
    let consul = Consul::start();
    let host = Host::running(&(manifest(&redis) + &consul.settings()));
    let token = format!("Bearer {}", host.admin_token());
    let document = exchange(host.admin, "GET", "/openapi.json", &[("authorization", &token)], b"").json();
    assert_eq!(document["openapi"], "3.1.0");
    let file = std::fs::read(host.folder.path().join("manifest.toml")).unwrap();
    let (new, trap) = (build(&wasm("probe_events"), 1), starting_with(&wasm("probe_events"), TRAP));
    let (swap, rollback) = ("/v1/services/{name}/swap", "/v1/services/{name}/rollback");
    let (ramp, ramped) = ("/v1/services/{name}/ramp", build(&wasm("probe_events"), 2));
    let word = format!("{{\"version\": \"{}\"}}", label(&host.live("a"), &ramped));
    let (pending, dead, replay) = ("/v1/events/pending", "/v1/events/dead", "/v1/events/replay");
    let (built, query) = ("/v1/services/{name}/build", |digest: &str| format!("?digest={digest}"));
    let live = host.admin("GET", "/v1/services/a", b"").json()["data"]["digest"].as_str().unwrap().to_owned();
    let (known, unknown) = (query(&live), query(&"0".repeat(64)));
    let none: (&str, &[u8]) = ("text/plain", b"");
    let asked: &[Asked<'_>] = &[
        ("get", "/health", "", "", none, 200),
        ("get", "/health/ready", "", "", none, 200),
        ("get", "/health/live", "", "", none, 200),
        ("get", "/health/services/{name}", "a", "", none, 200),
        ("get", "/health/services/{name}", "none", "", none, 404),
        ("get", "/metrics", "", "", none, 200),
        ("get", "/openapi.json", "", "", none, 200),
        ("get", "/v1/status", "", "", none, 200),
        ("get", "/v1/services/{name}", "a", "", none, 200),
        ("get", "/v1/services/{name}", "none", "", none, 404),
        ("get", "/v1/services/{name}/versions", "a", "", none, 200),
        ("get", "/v1/services/{name}/versions", "none", "", none, 404),
        ("get", built, "a", "?digest=none", none, 400),
        ("get", built, "a", &unknown, none, 404),
        ("get", built, "a", &known, none, 200),
        ("post", rollback, "a", "", none, 409),
        ("post", rollback, "none", "", none, 404),
        ("post", swap, "a", "", (WASM, &new), 200),
        ("post", swap, "a", "?ramp=perhaps", (WASM, &new), 400),
        ("post", swap, "none", "", (WASM, &new), 404),
        ("post", swap, "a", "", none, 415),
        ("post", swap, "a", "", (WASM, b"no component"), 422),
        ("post", swap, "a", "", (WASM, &trap), 409),
        ("post", rollback, "a", "", none, 200),
        ("post", swap, "a", "?led=true", (WASM, &ramped), 400),
        ("post", swap, "a", "?ramp=true&led=true", (WASM, &ramped), 200),
        ("post", ramp, "a", "", (JSON, word.as_bytes()), 200),
        ("post", ramp, "a", "", none, 400),
        ("post", ramp, "none", "", (JSON, word.as_bytes()), 404),
        ("post", rollback, "a", "", none, 200),
        ("post", ramp, "a", "", (JSON, word.as_bytes()), 409),
        ("post", "/v1/apply", "", "", (TOML, &file), 200),
        ("post", "/v1/apply", "", "", none, 415),
        ("post", "/v1/apply", "", "", (TOML, b"nonsense"), 422),
        ("post", "/v1/reload", "", "", none, 200),
        ("get", "/v1/hosts", "", "", none, 200),
        ("get", "/v1/traces", "", "?route=/{*rest}&slowMs=1&errors=true", none, 200),
        ("get", "/v1/traces", "", "?slowMs=soon", none, 400),
        ("get", "/v1/logs", "", "", none, 200),
        ("get", "/v1/log", "", "", none, 200),
        ("put", "/v1/log", "", "", (JSON, b"{\"level\": \"info\"}"), 200),
        ("put", "/v1/log", "", "", (JSON, b"{\"level\": \"a=b=c\"}"), 400),
        ("get", "/v1/events/topics", "", "", none, 200),
        ("get", pending, "", "?service=a", none, 200),
        ("get", pending, "", "", none, 400),
        ("get", pending, "", "?service=none", none, 404),
        ("get", dead, "", "?service=a", none, 200),
        ("get", dead, "", "", none, 200),
        ("get", dead, "", "?service=a&limit=0", none, 400),
        ("post", replay, "", "?service=a&all=true", none, 200),
        ("post", replay, "", "?service=a", none, 400),
        ("post", replay, "", "?service=a&id=none", none, 404),
    ];
    let mut seen = BTreeSet::new();
    for (method, path, name, query, (kind, body), status) in asked {
        let at = path.replace("{name}", name) + query;
        let ask = |headers: &[(&str, &str)], status: u16| {
            let mut connection = Connection::open(host.admin);
            connection.request(&method.to_uppercase(), &at, headers, body);
            // Only the head of what has no end.
            connection.answer(status == 200 && endless(path)).expect("an answer")
        };
        let answer = ask(&[("authorization", &token), ("content-type", kind)], *status);
        assert_eq!(answer.status, *status, "{method} {at}: {}", answer.text());
        let operation = &document["paths"][path][method];
        as_described(&document, operation, &answer);
        if operation["security"].is_array() {
            for (headers, status) in [
                (&[("content-type", *kind)][..], 401),
                (&[("authorization", &*token), ("origin", "http://evil.test")], 403),
            ] {
                let refused = ask(headers, status);
                assert_eq!(refused.status, status, "{method} {at}");
                as_described(&document, operation, &refused);
            }
        }
        if *status == 200 {
            seen.insert(((*path).to_owned(), (*method).to_owned()));
        }
    }
    let paths = document["paths"].as_object().unwrap().iter();
    let described: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(seen, described, "all of them were asked");
}

/// What is followed for as long as somebody does.
fn endless(path: &str) -> bool {
    matches!(path, "/v1/traces" | "/v1/logs")
}

#[track_caller]
fn as_described(document: &Value, operation: &Value, answer: &Answer) {
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{} is not described: {operation}", answer.status);
    let kind = answer.header("content-type").expect("a type").split(';').next().unwrap();
    let content = &described["content"][kind];
    assert!(content.is_object(), "{kind}: {described}");
    if kind == "application/json" {
        fits(document, &content["schema"], &answer.json(), "");
    }
}

/// As much of JSON Schema as the document uses.
#[track_caller]
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("what is referred to");
        return fits(document, target, value, at);
    }
    if let Some(only) = schema.get("const") {
        assert_eq!(value, only, "{at}");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let is_of = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    assert!(kinds.is_empty() || kinds.iter().any(is_of), "{at} is no {kinds:?}: {value}");
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{at} has no {name}: {value}");
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(member) = value.get(name) {
            fits(document, schema, member, &format!("{at}/{name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        fits(document, &schema["items"], item, at);
    }
}
