//! The OpenAPI document says what the service does: real answers are held against it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{
    Answer, Host, exchange,
    shop::{PASSWORD, email, member, open_folder, whole_manifest},
};

#[test]
fn the_document_describes_exactly_what_is_served() {
    let host = Host::running_in(open_folder(), &whole_manifest("")).for_admin();
    let answer = host.get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")), "{document}");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    every_reference_leads_somewhere(&document, &document);

    let described: BTreeSet<(&str, &str)> = operations(&document).collect();
    let routes = [
        ("/.well-known/jwks.json", "get"),
        ("/health", "get"),
        ("/health/live", "get"),
        ("/health/ready", "get"),
        ("/openapi.json", "get"),
        ("/api/auth/register", "post"),
        ("/api/auth/login", "post"),
        ("/api/notifications", "get"),
        ("/api/orders", "get"),
        ("/api/orders", "post"),
        ("/api/orders/{id}", "get"),
        ("/api/orders/{id}/status", "patch"),
        ("/api/products", "get"),
        ("/api/products", "post"),
        ("/api/products/{id}", "get"),
        ("/api/products/{id}", "put"),
        ("/api/products/{id}", "delete"),
        ("/api/products/{id}/reserve", "post"),
        ("/api/products/{id}/release", "post"),
        ("/api/users", "get"),
        ("/api/users", "post"),
        ("/api/users/{id}", "get"),
        ("/api/users/{id}", "put"),
        ("/api/users/{id}", "delete"),
        ("/api/users/{id}/profile", "get"),
    ];
    assert_eq!(described, routes.into());
    for path in routes.map(|(path, _)| path) {
        for method in ["get", "post", "put", "patch", "delete"] {
            let served = host.json(&method.to_uppercase(), &path.replace("{id}", "7"), &json!({})).status != 405;
            assert_eq!(served, described.contains(&(path, method)), "{method} {path}");
        }
    }
    answers_are_as_described(&host, &document);
}

fn answers_of_orders(host: &Host, user: &str, token: &str) -> Vec<(&'static str, &'static str, u16, Answer)> {
    let (list, one, status) = ("/api/orders", "/api/orders/{id}", "/api/orders/{id}/status");
    let tea = host.json("POST", "/api/products", &json!({"name": "Tea", "price": 19.99, "inventory": 2})).json();
    let user = user.rsplit('/').next().unwrap();
    let wanted =
        |quantity: u32| json!({"userId": user, "items": [{"productId": tea["data"]["id"], "quantity": quantity}]});
    let made = host.json("POST", list, &wanted(2));
    let found = made.header("location").expect("where it is").to_owned();
    let step = format!("{found}/status");
    let unknown = "/api/orders/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
    let strangers = json!({"userId": "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071", "items": wanted(1)["items"]});
    let headers = [("authorization", token), ("content-type", "application/json")];
    let to = |status: &str| json!({ "status": status });
    vec![
        ("post", list, 201, made),
        ("post", list, 400, host.json("POST", list, &json!({}))),
        ("post", list, 403, host.send("POST", list, &headers, strangers.to_string().as_bytes())),
        ("post", list, 404, host.json("POST", list, &strangers)),
        ("post", list, 409, host.json("POST", list, &wanted(1))),
        ("post", list, 415, host.send("POST", list, &[], b"{}")),
        ("get", list, 200, host.get(list)),
        ("get", list, 400, host.get("/api/orders?status=new")),
        ("get", one, 200, host.get(&found)),
        ("get", one, 404, host.get(unknown)),
        ("patch", status, 200, host.json("PATCH", &step, &to("cancelled"))),
        ("patch", status, 400, host.json("PATCH", &step, &to("new"))),
        ("patch", status, 403, host.send("PATCH", &step, &headers, to("shipped").to_string().as_bytes())),
        ("patch", status, 404, host.json("PATCH", &format!("{unknown}/status"), &to("shipped"))),
        ("patch", status, 409, host.json("PATCH", &step, &to("shipped"))),
    ]
}

fn answers_are_as_described(host: &Host, document: &Value) {
    let big = json!({"name": "n".repeat(2 << 20)});
    let plain = |method: &str, path: &str| host.send(method, path, &[("content-type", "text/plain")], b"{}");
    let ada = member(host, &email("ada"));
    let as_ada = |method: &str, path: &str| {
        host.send(method, path, &[("authorization", &ada.authorization), ("content-type", "application/json")], b"{}")
    };
    let nobody = |method: &str, path: &str| exchange(host.gateway, method, path, &[], b"");
    let (register, login) = ("/api/auth/register", "/api/auth/login");
    let account = json!({"email": email("account"), "name": "A", "password": PASSWORD});
    let session = json!({"email": account["email"], "password": PASSWORD});
    let wrong = json!({"email": account["email"], "password": "wrong horse battery"});
    let mut answers = vec![
        ("post", register, 201, host.json("POST", register, &account)),
        ("post", register, 400, host.json("POST", register, &json!({}))),
        ("post", register, 409, host.json("POST", register, &account)),
        ("post", register, 413, host.json("POST", register, &big)),
        ("post", register, 415, plain("POST", register)),
        ("post", login, 200, host.json("POST", login, &session)),
        ("post", login, 400, host.json("POST", login, &json!({}))),
        ("post", login, 401, host.json("POST", login, &wrong)),
    ];
    let entries = [
        ("/api/users", "/api/users/{id}", json!({"email": email("bob"), "name": "Bob"})),
        ("/api/products", "/api/products/{id}", json!({"name": "Tea", "price": 19.99, "inventory": 5})),
    ];
    for (list, one, body) in entries {
        let created = host.json("POST", list, &body);
        let found = created.header("location").expect("where it is").to_owned();
        let (unknown, malformed) = (format!("{list}/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071"), format!("{list}/7"));
        let change = json!({"name": "N"});
        host.json("POST", list, &json!({"name": "Coffee", "price": 1, "inventory": 1, "description": "Black"}));
        answers.extend([
            ("post", list, 201, created),
            ("post", list, 400, host.json("POST", list, &json!({}))),
            ("post", list, 401, nobody("POST", list)),
            ("post", list, 403, as_ada("POST", list)),
            ("post", list, 413, host.json("POST", list, &big)),
            ("post", list, 415, plain("POST", list)),
            ("get", list, 200, host.get(&format!("{list}?limit=1"))),
            ("get", list, 200, host.get(list)),
            ("get", list, 400, host.get(&format!("{list}?limit=0"))),
            ("get", list, 401, nobody("GET", list)),
            ("get", one, 200, host.get(&found)),
            ("get", one, 400, host.get(&malformed)),
            ("get", one, 401, nobody("GET", &found)),
            ("get", one, 404, host.get(&unknown)),
            ("put", one, 200, host.json("PUT", &found, &change)),
            ("put", one, 400, host.json("PUT", &found, &json!({}))),
            ("put", one, 403, as_ada("PUT", &found)),
            ("put", one, 404, host.json("PUT", &unknown, &change)),
            ("put", one, 413, host.json("PUT", &found, &big)),
            ("put", one, 415, plain("PUT", &found)),
            ("delete", one, 403, as_ada("DELETE", &found)),
            ("delete", one, 204, host.send("DELETE", &found, &[], b"")),
            ("delete", one, 400, host.send("DELETE", &malformed, &[], b"")),
            ("delete", one, 404, host.send("DELETE", &found, &[], b"")),
        ]);
    }
    let (list, one) = ("/api/users", "/api/users/{id}");
    let taken = json!({"email": account["email"], "name": "T"});
    let reserve = "/api/products/{id}/reserve";
    answers.extend([
        ("get", list, 403, as_ada("GET", list)),
        ("post", list, 409, host.json("POST", list, &taken)),
        ("put", one, 409, host.json("PUT", &ada.path, &json!({"email": taken["email"]}))),
        ("post", reserve, 403, host.json("POST", &reserve.replace("{id}", "7"), &json!({}))),
        ("post", reserve, 401, nobody("POST", &reserve.replace("{id}", "7"))),
    ]);
    let notifications = "/api/notifications";
    let of = |user: &str| format!("{notifications}?userId={user}");
    let own = ada.path.rsplit('/').next().unwrap();
    answers.extend([
        ("get", notifications, 200, as_ada("GET", &of(own))),
        ("get", notifications, 400, as_ada("GET", notifications)),
        ("get", notifications, 401, nobody("GET", &of(own))),
        ("get", notifications, 403, as_ada("GET", &of("0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071"))),
    ]);
    answers.extend(answers_of_orders(host, &ada.path, &ada.authorization));
    answers.extend(answers_of_the_host(host, &ada.path, &ada.authorization));
    for (method, path, status, answer) in answers {
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        is_described(document, &document["paths"][path][method], &answer, &format!("{method} {path} {status}"));
    }
}

fn answers_of_the_host(host: &Host, user: &str, token: &str) -> Vec<(&'static str, &'static str, u16, Answer)> {
    let profile = "/api/users/{id}/profile";
    let of =
        |user: &str, headers: &[(&str, &str)]| exchange(host.gateway, "GET", &format!("{user}/profile"), headers, b"");
    let (own, operator) = (&[("authorization", token)][..], &host.signed(&[])[..]);
    let whole = of(user, own);
    assert!(whole.json()["data"]["orders"].is_array(), "{}", whole.text());
    let mut answers = vec![
        ("get", profile, 200, whole),
        ("get", profile, 401, of(user, &[])),
        ("get", profile, 400, of("/api/users/7", operator)),
        ("get", profile, 404, of("/api/users/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071", operator)),
    ];
    let pages = ["/health", "/health/live", "/health/ready", "/openapi.json", "/.well-known/jwks.json"];
    answers.extend(pages.map(|page| ("get", page, 200, exchange(host.gateway, "GET", page, &[], b""))));
    answers
}

pub(crate) fn operations(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods").keys().filter(|key| *key != "parameters");
        methods.map(move |method| (path.as_str(), method.as_str()))
    })
}

#[track_caller]
fn is_described(document: &Value, operation: &Value, answer: &Answer, what: &str) {
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{what} is not described");
    let response = followed(document, described);
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let value = answer.header(&name.to_lowercase());
        assert!(value.is_some() || name == "X-Next-Cursor", "{what} has no `{name}`");
        if header["schema"]["type"] == "integer" {
            assert!(value.is_some_and(|value| value.parse::<u64>().is_ok()), "{what}: {name} is {value:?}");
        }
    }
    match response["content"].as_object() {
        None => assert!(answer.body.is_empty(), "{what} has a body"),
        Some(content) => {
            let media_type = answer.header("content-type").expect("a type");
            assert_matches(document, &content[media_type]["schema"], &answer.json(), what);
        }
    }
}

pub(crate) fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference into the document");
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

pub(crate) fn every_reference_leads_somewhere(document: &Value, part: &Value) {
    followed(document, part);
    match part {
        Value::Array(items) => items.iter().for_each(|item| every_reference_leads_somewhere(document, item)),
        Value::Object(fields) => fields.values().for_each(|field| every_reference_leads_somewhere(document, field)),
        _ => {}
    }
}

/// As much of JSON Schema as the document uses; a word that is not known here fails the test.
#[track_caller]
pub(crate) fn assert_matches(document: &Value, schema: &Value, value: &Value, at: &str) {
    for (word, wanted) in schema.as_object().unwrap_or_else(|| panic!("{at} has no schema")) {
        let text = || value.as_str().unwrap_or_else(|| panic!("{at} is no string: {value}"));
        match word.as_str() {
            "$ref" => assert_matches(document, followed(document, schema), value, at),
            "allOf" => wanted.as_array().unwrap().iter().for_each(|all| assert_matches(document, all, value, at)),
            "type" if wanted == "integer" => assert!(value.is_i64(), "{at}: {value}"),
            "type" => assert_eq!(kind(value), wanted, "{at}: {value}"),
            "const" => assert_eq!(value, wanted, "{at}"),
            "required" => {
                let is_there = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                assert!(wanted.as_array().unwrap().iter().all(is_there), "{at}: {value} has not all of {wanted}");
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        assert_matches(document, schema, value, &format!("{at} {name}"));
                    }
                }
            }
            "items" => value.as_array().unwrap().iter().for_each(|item| assert_matches(document, wanted, item, at)),
            "minItems" => assert!(value.as_array().unwrap().len() as u64 >= wanted.as_u64().unwrap(), "{at}: {value}"),
            "maxItems" => assert!(value.as_array().unwrap().len() as u64 <= wanted.as_u64().unwrap(), "{at}: {value}"),
            "enum" => assert!(wanted.as_array().unwrap().contains(value), "{at}: {value}"),
            "minLength" => assert!(text().chars().count() as u64 >= wanted.as_u64().unwrap(), "{at}: {value}"),
            "maxLength" => assert!(text().chars().count() as u64 <= wanted.as_u64().unwrap(), "{at}: {value}"),
            "format" if wanted == "uuid" => drop(text().parse::<uuid::Uuid>().expect(at)),
            "format" if wanted == "date-time" => drop(text().parse::<jiff::Timestamp>().expect(at)),
            "pattern" if wanted == "^[0-9a-f]{32}$" => {
                let digits = text().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                assert!(digits && text().len() == 32, "{at}: {value}");
            }
            "minimum" => assert!(value.as_f64().unwrap() >= wanted.as_f64().unwrap(), "{at}: {value}"),
            "maximum" => assert!(value.as_f64().unwrap() <= wanted.as_f64().unwrap(), "{at}: {value}"),
            "multipleOf" if *wanted == json!(0.01) => {
                let decimals = value.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
                assert!(decimals <= 2, "{at}: {value}");
            }
            "description" => {}
            other => panic!("{at}: `{other}` is not known to this test"),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
