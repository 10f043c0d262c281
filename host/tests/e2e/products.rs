//! What the products service promises, seen through the gateway.

use serde_json::{Value, json};

use crate::harness::{
    Answer, Host, Postgres, Shared,
    shop::{data, moment, refused, with_products},
};

static SHOP: Shared = Shared::new(|| with_products("", ""));

const JSON: (&str, &str) = ("content-type", "application/json");
const UNKNOWN: &str = "/api/products/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";

fn send(host: &Host, method: &str, path: &str, body: &str) -> Answer {
    host.send(method, path, &[JSON], body.as_bytes())
}

#[track_caller]
fn product(host: &Host, name: &str) -> Value {
    data(&host.json("POST", "/api/products", &json!({"name": name, "price": 1, "inventory": 1})), 201)
}

#[test]
fn a_product_lives_from_201_to_404() {
    a_life(&with_products("", ""));
}

#[test]
fn a_product_lives_the_same_life_on_an_operator_s_server() {
    let server = Postgres::start();
    a_life(&with_products(&server.url(), &server.url_of("products")));
    assert!(server.log().contains("insert into products"), "it was this server");
}

#[track_caller]
fn a_life(host: &Host) {
    let body = r#"{"name": " Tea ☕ ", "price": 19.90, "inventory": 5, "description": " Green "}"#;
    let created = send(host, "POST", "/api/products", body);
    let tea = data(&created, 201);
    let path = format!("/api/products/{}", tea["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(&*path));
    let fields: Vec<&str> = tea.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["createdAt", "description", "id", "inventory", "name", "price", "updatedAt"]);
    assert_eq!((&tea["name"], &tea["description"], &tea["inventory"]), (&json!("Tea ☕"), &json!("Green"), &json!(5)));
    assert!(created.text().contains(r#""price":19.9,"#), "{}", created.text());
    assert_eq!(moment(&tea["createdAt"]), moment(&tea["updatedAt"]));
    assert_eq!(data(&host.get(&path), 200), tea);

    let mut expected = tea.clone();
    for (name, value) in
        [("name", json!("Black tea")), ("inventory", json!(0)), ("description", json!("")), ("price", json!(20))]
    {
        let changed = data(&host.json("PUT", &path, &json!({ name: value })), 200);
        assert!(moment(&changed["updatedAt"]) > moment(&expected["updatedAt"]), "{changed}");
        expected[name] = value;
        expected["updatedAt"] = changed["updatedAt"].clone();
        assert_eq!(changed, expected);
    }
    assert_eq!(data(&host.get(&path), 200), expected);
    let coffee = product(host, "Coffee");
    assert_eq!(coffee["description"], "");
    let list = host.get("/api/products");
    assert_eq!((list.header("x-total-count"), list.header("x-next-cursor")), (Some("2"), None));
    assert_eq!(data(&list, 200), json!([coffee, expected]), "newest first");

    assert_eq!(host.send("DELETE", &path, &[], b"").status, 204);
    for method in ["DELETE", "GET"] {
        refused(&host.send(method, &path, &[], b""), 404, "Product not found");
    }
    refused(&host.json("PUT", &path, &json!({"price": 1})), 404, "Product not found");
}

#[test]
fn a_price_is_a_number_of_at_most_two_decimals_and_exact() {
    let host = SHOP.get();
    let path = format!("/api/products/{}", product(&host, "Priced")["id"].as_str().unwrap());
    let table = [
        ("0", "0"),
        ("-0.0", "0"),
        ("0.01", "0.01"),
        ("0.1", "0.1"),
        ("19.99", "19.99"),
        ("20", "20"),
        ("20.0", "20"),
        ("20.00", "20"),
        ("20.000000", "20"),
        ("2e1", "20"),
        ("1999E-2", "19.99"),
        ("20.5", "20.5"),
        // Neither has an exact binary fraction.
        ("1000000.10", "1000000.1"),
        ("9999999.99", "9999999.99"),
    ];
    for (given, shown) in table {
        let shown = format!(r#""price":{shown},"#);
        let body = format!(r#"{{"name":"P","inventory":1,"price":{given}}}"#);
        let created = send(&host, "POST", "/api/products", &body);
        data(&created, 201);
        let changed = send(&host, "PUT", &path, &format!(r#"{{"price":{given}}}"#));
        for answer in [&created, &changed, &host.get(&path), &host.get(created.header("location").unwrap())] {
            assert!(answer.text().contains(&shown), "{given}: {}", answer.text());
        }
    }
    let sentence = "Field `price` must be an amount from 0 to 9999999.99 with at most two decimals";
    for refuse in [
        "19.999",
        "0.001",
        "-0.01",
        "-1",
        "10000000",
        "9999999.995",
        "1e99",
        "1e-3",
        "1e999999999999",
        "19.990000000001",
    ] {
        let body = format!(r#"{{"name":"P","inventory":1,"price":{refuse}}}"#);
        refused(&send(&host, "POST", "/api/products", &body), 400, sentence);
        refused(&send(&host, "PUT", &path, &format!(r#"{{"price":{refuse}}}"#)), 400, sentence);
    }
    for (refuse, kind) in [("\"19.99\"", "a string"), ("null", "null"), ("[1]", "an array"), ("true", "a boolean")] {
        let answer = send(&host, "PUT", &path, &format!(r#"{{"price":{refuse}}}"#));
        refused(&answer, 400, &format!("Field `price` must be a number, not {kind}"));
    }
}

#[test]
fn each_field_has_its_bounds_and_its_name_in_the_refusal() {
    let host = SHOP.get();
    let path = format!("/api/products/{}", product(&host, "Bounded")["id"].as_str().unwrap());
    let (name, text) = ("🦀".repeat(255), "é".repeat(4000));
    let longest = json!({"name": name, "description": text, "inventory": 1_000_000_000, "price": 1});
    let created = data(&host.json("POST", "/api/products", &longest), 201);
    assert_eq!((&created["name"], &created["description"]), (&json!(name), &json!(text)));
    let stock = "Field `inventory` must be a whole number from 0 to 1000000000";
    let table = [
        (r#"{"name":""}"#.to_owned(), "Field `name` must be 1 to 255 characters long"),
        (format!(r#"{{"name":"{name}x"}}"#), "Field `name` must be 1 to 255 characters long"),
        (format!(r#"{{"description":"{text}x"}}"#), "Field `description` must be 0 to 4000 characters long"),
        (r#"{"inventory":-1}"#.to_owned(), stock),
        (r#"{"inventory":1000000001}"#.to_owned(), stock),
        (r#"{"inventory":1.5}"#.to_owned(), stock),
        (r#"{"inventory":99999999999999999999}"#.to_owned(), stock),
        (r#"{"inventory":"5"}"#.to_owned(), "Field `inventory` must be a number, not a string"),
        (r#"{"name":null}"#.to_owned(), "Field `name` must be a string, not null"),
        (r#"{"id":"x"}"#.to_owned(), "Field `id` is unknown; there are `name`, `price`, `inventory`, `description`"),
        ("{}".to_owned(), "There is nothing to change: give `name`, `price`, `inventory` or `description`"),
        (r#"{"price":1,"price":1}"#.to_owned(), "Field `price` is given twice"),
    ];
    for (body, sentence) in table {
        refused(&send(&host, "PUT", &path, &body), 400, sentence);
    }
    for body in ["{}", r#"{"name":"N","price":1}"#, r#"{"name":"N","inventory":1}"#, r#"{"price":1,"inventory":1}"#] {
        refused(&send(&host, "POST", "/api/products", body), 400, "Name, price and inventory are required");
    }
    for method in ["GET", "PUT", "DELETE"] {
        refused(&send(&host, method, "/api/products/7", "{}"), 400, "The id in the path is not a UUID");
        refused(&send(&host, method, UNKNOWN, r#"{"price":1}"#), 404, "Product not found");
    }
}

#[track_caller]
fn names(answer: &Answer) -> Vec<String> {
    let Value::Array(products) = data(answer, 200) else { panic!("no list: {answer:?}") };
    products.iter().map(|product| product["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_list_is_searched_by_a_part_of_the_name_whatever_the_case() {
    // A server whose locale lower-cases ASCII only.
    let server = Postgres::start();
    let host = with_products(&server.url(), &server.url_of("products"));
    let all = ["100% wool", "Under_score", "Back\\slash", "Grüner TEE", "STRASSE", "o'clock", "tea", "Team", "steam"];
    for name in all {
        product(&host, name);
    }
    let table: [(&str, &[&str]); 12] = [
        ("%25", &["100% wool"]),
        ("_", &["Under_score"]),
        ("%5C", &["Back\\slash"]),
        ("tea", &["steam", "Team", "tea"]),
        ("TEA", &["steam", "Team", "tea"]),
        ("GR%C3%9CNER", &["Grüner TEE"]),
        ("stra%C3%9Fe", &["STRASSE"]),
        ("o%27c", &["o'clock"]),
        ("00%25+w", &["100% wool"]),
        ("t%25a", &[]),
        ("t_a", &[]),
        ("nothing", &[]),
    ];
    for (part, expected) in table {
        let answer = host.get(&format!("/api/products?q={part}"));
        assert_eq!(names(&answer), expected, "{part}");
        assert_eq!(answer.header("x-total-count"), Some(&*expected.len().to_string()), "{part}");
        assert_eq!(answer.header("x-next-cursor"), None);
    }
    let first = host.get("/api/products?q=tea&limit=2");
    assert_eq!((names(&first), first.header("x-total-count")), (vec!["steam".into(), "Team".into()], Some("3")));
    let cursor = first.header("x-next-cursor").expect("there is more");
    product(&host, "Later tea");
    let second = host.get(&format!("/api/products?q=tea&limit=2&cursor={cursor}"));
    assert_eq!((names(&second), second.header("x-next-cursor")), (vec!["tea".to_owned()], None));
    assert_eq!(names(&host.get("/api/products?q=tea&limit=1&offset=3")), ["tea"]);
    data(
        &host.json(
            "PUT",
            &format!("/api/products/{}", data(&second, 200)[0]["id"].as_str().unwrap()),
            &json!({"name": "Cocoa"}),
        ),
        200,
    );
    assert_eq!(names(&host.get("/api/products?q=COCOA")), ["Cocoa"], "a new name is found");

    for (query, sentence) in [
        ("q=", "Query parameter `q` is empty"),
        ("q=a&q=a", "Query parameter `q` is given twice"),
        ("q=%ff", "The query is not percent-encoded UTF-8"),
        ("q=%00", "The query is not percent-encoded UTF-8"),
        ("name=tea", "Query parameter `name` is unknown; there are `limit`, `offset`, `cursor`, `q`"),
        ("q=tea&limit=0", "Query parameter `limit` must be a whole number from 1 to 100"),
    ] {
        refused(&host.get(&format!("/api/products?{query}")), 400, sentence);
    }
}
