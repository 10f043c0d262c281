//! What the users service promises, seen through the gateway.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{
    Answer, Connection, Host, Postgres, Shared,
    shop::{data, email, envelope, moment, refused, shop, user},
};

static SHOP: Shared = Shared::new(|| shop("", ""));

const UNKNOWN: &str = "/api/users/0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn a_user_lives_from_201_to_404() {
    a_life(&shop("", ""));
}

#[test]
fn a_user_lives_the_same_life_on_an_operator_s_server() {
    let server = Postgres::start();
    a_life(&shop("", &server.url()));
    assert!(server.log().contains("insert into users"), "it was this server");
}

#[track_caller]
fn a_life(host: &Host) {
    let created = host.json("POST", "/api/users", &json!({"email": " Zoë@Example.com ", "name": "Zoë 🦀"}));
    let ada = data(&created, 201);
    let location = created.header("location").expect("where it is").to_owned();
    let id: uuid::Uuid = ada["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(ada["id"], id.to_string(), "lower case, with dashes");
    assert_eq!(location, format!("/api/users/{id}"));
    assert_eq!(fields(&ada), ["createdAt", "email", "id", "name", "updatedAt"]);
    assert_eq!((&ada["email"], &ada["name"]), (&json!("Zoë@Example.com"), &json!("Zoë 🦀")), "trimmed, else as given");
    assert_eq!(moment(&ada["createdAt"]), moment(&ada["updatedAt"]));

    assert_eq!(data(&host.get(&location), 200), ada);
    assert_eq!(data(&host.get(&location.to_uppercase().replace("/API/USERS", "/api/users")), 200), ada);
    let list = host.get("/api/users");
    assert_eq!(list.header("x-total-count"), Some("1"));
    assert_eq!(data(&list, 200), json!([ada]));

    let bob = user(host, "bob@example.com", "Bob");
    for taken in ["zoë@example.com", "ZOË@EXAMPLE.COM", "Zoë@Example.com"] {
        let body = json!({"email": taken, "name": "Another"});
        refused(&host.json("POST", "/api/users", &body), 409, "Email already exists");
        let bob = format!("/api/users/{}", bob["id"].as_str().unwrap());
        refused(&host.json("PUT", &bob, &json!({"email": taken})), 409, "Email already exists");
    }

    let renamed = data(&host.json("PUT", &location, &json!({"name": "Ada"})), 200);
    assert_eq!(renamed, changed(&ada, &renamed, json!({"name": "Ada"})));
    let cased = data(&host.json("PUT", &location, &json!({"email": "ZOË@example.com"})), 200);
    assert_eq!(cased, changed(&renamed, &cased, json!({"email": "ZOË@example.com"})), "its own email is not taken");
    let both = data(&host.json("PUT", &location, &json!({"email": "ada@example.com", "name": "Ada L."})), 200);
    assert_eq!(both, changed(&cased, &both, json!({"email": "ada@example.com", "name": "Ada L."})));
    assert_eq!(data(&host.get(&location), 200), both);

    let deleted = host.send("DELETE", &location, &[], b"");
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!((deleted.header("content-type"), deleted.header("content-length")), (None, None));
    for method in ["DELETE", "GET"] {
        refused(&host.send(method, &location, &[], b""), 404, "User not found");
    }
    refused(&host.json("PUT", &location, &json!({"name": "Ada"})), 404, "User not found");
    let again = user(host, "ada@example.com", "Ada");
    assert_eq!(data(&host.get("/api/users"), 200), json!([again, bob]), "newest first");
}

/// What a user is after a change, whose `updatedAt` must be a later one.
#[track_caller]
fn changed(before: &Value, after: &Value, changes: Value) -> Value {
    assert!(moment(&after["updatedAt"]) > moment(&before["updatedAt"]), "{before} {after}");
    let mut expected = before.clone();
    expected["updatedAt"] = after["updatedAt"].clone();
    for (name, value) in changes.as_object().unwrap() {
        expected[name] = value.clone();
    }
    expected
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn one_of_many_who_want_an_email_at_once_gets_it() {
    let host = SHOP.get();
    let wanted = email("wanted");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = |upper: bool| {
            let email = if upper { wanted.to_uppercase() } else { wanted.clone() };
            host.json("POST", "/api/users", &json!({"email": email, "name": "N"})).status
        };
        let asking: Vec<_> = (0..16).map(|n| scope.spawn(move || ask(n % 2 == 0))).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(201), count(409)), (1, 15), "{statuses:?}");
}

#[test]
fn a_new_user_needs_an_email_and_a_name() {
    let host = SHOP.get();
    let required = "Email and name are required";
    for body in [
        json!({}),
        json!({"email": "a@example.com"}),
        json!({"name": "A"}),
        json!({"email": "", "name": ""}),
        json!({"email": " \t\n", "name": "A"}),
        json!({"email": "a@example.com", "name": "  "}),
        json!({"email": "no email"}),
    ] {
        refused(&host.json("POST", "/api/users", &body), 400, required);
    }
    for bad in ["a", "a@", "@b.co", "a@b", "a@b.", "a@.co", "a@b..co", "a@b@c.de", "a b@c.de", "a@b.co,c@d.de x"] {
        let answer = host.json("POST", "/api/users", &json!({"email": bad, "name": "A"}));
        refused(&answer, 400, "Invalid email format");
    }
}

#[test]
fn a_change_is_a_field_or_two_and_no_others() {
    let host = SHOP.get();
    let ada = user(&host, &email("ada"), "Ada");
    let path = format!("/api/users/{}", ada["id"].as_str().unwrap());
    let table = [
        (json!({}), "There is nothing to change: give `email`, `name` or both"),
        (json!({"name": ""}), "Field `name` must be 1 to 255 characters long"),
        (json!({"name": " "}), "Field `name` must be 1 to 255 characters long"),
        (json!({"email": ""}), "Field `email` must be 1 to 255 characters long"),
        (json!({"email": "ada"}), "Invalid email format"),
        (json!({"name": "A", "email": "ada"}), "Invalid email format"),
        (json!({"name": null}), "Field `name` must be a string, not null"),
        (json!({"name": "A", "id": "x"}), "Field `id` is unknown; there are `email`, `name`"),
        (json!({"createdAt": "2026"}), "Field `createdAt` is unknown; there are `email`, `name`"),
    ];
    for (body, sentence) in table {
        refused(&host.json("PUT", &path, &body), 400, sentence);
    }
    assert_eq!(data(&host.get(&path), 200), ada, "a refused change changes nothing");
}

#[test]
fn lengths_are_of_trimmed_characters_and_go_to_255() {
    let host = SHOP.get();
    let path = format!("/api/users/{}", user(&host, &email("long"), "Long")["id"].as_str().unwrap());
    for longest in ["n".repeat(255), "🦀".repeat(255), "é".repeat(255), "x".to_owned()] {
        let padded = json!({"name": format!(" \t{longest}\n "), "email": email("padded")});
        let created = data(&host.json("POST", "/api/users", &padded), 201);
        assert_eq!(created["name"], longest);
        assert_eq!(data(&host.json("PUT", &path, &json!({"name": longest})), 200)["name"], longest);
        let longer = format!("{longest}{}", "🦀".repeat(256 - longest.chars().count()));
        let sentence = "Field `name` must be 1 to 255 characters long";
        refused(&host.json("PUT", &path, &json!({"name": longer})), 400, sentence);
        let body = json!({"name": longer, "email": email("longer")});
        refused(&host.json("POST", "/api/users", &body), 400, sentence);
    }
    let long_email = |characters: usize| format!("{}@example.com", "é".repeat(characters - "@example.com".len()));
    let created = user(&host, &long_email(255), "Long");
    assert_eq!(created["email"], long_email(255));
    let body = json!({"name": "Long", "email": long_email(256)});
    refused(&host.json("POST", "/api/users", &body), 400, "Field `email` must be 1 to 255 characters long");
}

#[test]
fn text_comes_back_as_it_was_stored() {
    let host = SHOP.get();
    for name in [
        "Robert'); DROP TABLE users;--",
        r#"quote " backslash \ slash /"#,
        "two\nlines\tand \u{1} \u{7f}",
        "👩‍👩‍👧 e\u{301} é \u{200b}x ＡＢＣ ﷺ \u{202e}rtl",
        "<script>&amp;</script>",
        "$1 %s {}",
        "\u{1f980}\u{ffff}\u{10ffff}",
    ] {
        let given = email("Mixed.Case+tag");
        let path = format!("/api/users/{}", user(&host, &given, name)["id"].as_str().unwrap());
        let stored = data(&host.get(&path), 200);
        assert_eq!((&stored["name"], &stored["email"]), (&json!(name), &json!(given)));
    }
    // Escapes are characters like any other.
    let body = format!(r#"{{"email":"{}","n\u0061me":"\ud83e\udd80\u00e9\/"}}"#, email("escaped"));
    let answer = host.send("POST", "/api/users", &[JSON], body.as_bytes());
    assert_eq!(data(&answer, 201)["name"], "🦀é/");
}

#[test]
fn a_body_is_one_json_object_of_known_fields() {
    let host = SHOP.get();
    let path = format!("/api/users/{}", user(&host, &email("whole"), "Whole")["id"].as_str().unwrap());
    let nested = |levels: usize| format!(r#"{{"name":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    let table: Vec<(Vec<u8>, &str)> = vec![
        (b"".into(), "The body is not valid JSON"),
        (b"{".into(), "The body is not valid JSON"),
        (b"{\"name\":\"A\",}".into(), "The body is not valid JSON"),
        (b"{\"name\":\"A\"} {}".into(), "The body is not valid JSON"),
        (b"{'name':'A'}".into(), "The body is not valid JSON"),
        (b"{\"name\":NaN}".into(), "The body is not valid JSON"),
        (b"{\"name\":\"\\ud800\"}".into(), "The body is not valid JSON"),
        (b"{\"name\":\"a\nb\"}".into(), "The body is not valid JSON"),
        (b"\xef\xbb\xbf{\"name\":\"A\"}".into(), "The body is not valid JSON"),
        (b"[]".into(), "The body must be a JSON object, not an array"),
        (b"[{\"name\":\"A\"}]".into(), "The body must be a JSON object, not an array"),
        (b"\"name\"".into(), "The body must be a JSON object, not a string"),
        (b"null".into(), "The body must be a JSON object, not null"),
        (b"7".into(), "The body must be a JSON object, not a number"),
        (b"{\"name\":7}".into(), "Field `name` must be a string, not a number"),
        (b"{\"name\":true}".into(), "Field `name` must be a string, not a boolean"),
        (b"{\"name\":[\"A\"]}".into(), "Field `name` must be a string, not an array"),
        (b"{\"email\":{}}".into(), "Field `email` must be a string, not an object"),
        (b"{\"name\":\"A\",\"name\":\"A\"}".into(), "Field `name` is given twice"),
        (b"{\"name\":\"A\",\"n\\u0061me\":\"B\"}".into(), "Field `name` is given twice"),
        (b"{\"name\":\"A\",\"Name\":\"B\"}".into(), "Field `Name` is unknown"),
        (b"{\"name\":\"A\",\"admin\":true}".into(), "Field `admin` is unknown"),
        (b"{\"name\":\"a\\u0000b\"}".into(), "Field `name` holds a NUL character"),
        (b"{\"name\":\"a\0b\"}".into(), "Field `name` holds a NUL character"),
        (b"{\"name\":\"\xff\"}".into(), "The body is not valid UTF-8"),
        (b"{\"name\":\"\xc0\xaf\"}".into(), "The body is not valid UTF-8"),
        (nested(33).into_bytes(), "The body is nested more than 32 levels deep"),
        (nested(100_000).into_bytes(), "The body is nested more than 32 levels deep"),
        (nested(32).into_bytes(), "Field `name` must be a string, not an array"),
    ];
    for (body, sentence) in table {
        for (method, path) in [("POST", "/api/users"), ("PUT", &*path)] {
            let answer = host.send(method, path, &[JSON], &body);
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let error = envelope(&answer, 400)["error"].take();
            let required = error == "Email and name are required" && shown.contains(r#""name":["#);
            assert!(required || error.as_str().unwrap().starts_with(sentence), "{method} {shown}: {error}");
        }
    }
}

#[test]
fn a_body_says_that_it_is_json_or_is_415() {
    let host = SHOP.get();
    let body = || json!({"email": email("typed"), "name": "T"}).to_string();
    for json in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""] {
        data(&host.send("POST", "/api/users", &[("content-type", json)], body().as_bytes()), 201);
    }
    let path = format!("/api/users/{}", user(&host, &email("typed"), "T")["id"].as_str().unwrap());
    let sentence = "Send the body as JSON, with `Content-Type: application/json`";
    let others: [&[(&str, &str)]; 8] = [
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json; charset=latin1")],
        &[("content-type", "application/json; version=2")],
        &[("content-type", "application/merge-patch+json")],
        &[("content-type", "application/json, text/plain")],
        &[JSON, JSON],
    ];
    for headers in others {
        refused(&host.send("POST", "/api/users", headers, body().as_bytes()), 415, sentence);
        refused(&host.send("PUT", &path, headers, b"{\"name\":\"N\"}"), 415, sentence);
    }
}

#[test]
fn a_body_over_the_limit_is_413_whether_it_says_so_or_not() {
    let host = SHOP.get();
    let sentence = "The request body is over the limit of 2097152 bytes";
    let body = |bytes: usize| {
        let around = json!({"email": email("big"), "name": ""}).to_string();
        around.replace("\"\"", &format!("\"{}\"", "n".repeat(bytes - around.len())))
    };
    let full = host.send("POST", "/api/users", &[JSON], body(2 << 20).as_bytes());
    refused(&full, 400, "Field `name` must be 1 to 255 characters long");
    let over = body((2 << 20) + 1);
    refused(&host.send("POST", "/api/users", &[JSON], over.as_bytes()), 413, sentence);
    let mut connection = Connection::open(host.gateway);
    connection.write(b"POST /api/users HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n");
    host.signed(&[]).iter().for_each(|(name, value)| connection.write(format!("{name}: {value}\r\n").as_bytes()));
    connection.write(format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{over}\r\n0\r\n\r\n", over.len()).as_bytes());
    refused(&connection.answer(false).expect("an answer"), 413, sentence);
}

#[test]
fn an_id_is_malformed_or_unknown() {
    let host = SHOP.get();
    let ask = |method: &str, path: &str| host.send(method, path, &[JSON], b"{\"name\":\"N\"}");
    for method in ["GET", "PUT", "DELETE"] {
        for id in [
            "7",
            "me",
            "0190b5a27c3e7d4f8a1b2c3d4e5f6071",
            "%7B0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f607%7D",
            "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f607",
            "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f607g",
            "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071%20",
            "'%20or%201=1",
        ] {
            refused(&ask(method, &format!("/api/users/{id}")), 400, "The id in the path is not a UUID");
        }
        for id in [UNKNOWN, "/api/users/00000000-0000-0000-0000-000000000000"] {
            refused(&ask(method, id), 404, "User not found");
        }
    }
}

#[test]
fn a_method_that_a_path_has_not_is_405_with_those_it_has() {
    let host = SHOP.get();
    let table =
        [("/api/users", "GET, HEAD, POST", ["PUT", "DELETE"]), (UNKNOWN, "GET, HEAD, PUT, DELETE", ["POST", "PATCH"])];
    for (path, allow, methods) in table {
        for method in methods {
            let answer = host.send(method, path, &[JSON], b"{}");
            envelope(&answer, 405);
            assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        }
        let answer = host.send("OPTIONS", path, &[("origin", "http://elsewhere.example")], b"");
        envelope(&answer, 405);
        let listed = answer.header("allow").expect("the methods it has");
        assert!(allow.split(", ").all(|method| listed.split(", ").any(|other| other == method)), "{listed}");
        assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{answer:?}");
    }
    for path in ["/api/users/", &format!("{UNKNOWN}/"), &format!("{UNKNOWN}/profile"), "/api/user", "/api/Users"] {
        envelope(&host.get(path), 404);
    }
}

#[test]
fn head_is_get_without_a_body() {
    let host = SHOP.get();
    let ada = user(&host, &email("ada"), "Ada");
    let found = format!("/api/users/{}", ada["id"].as_str().unwrap());
    let differs = |answer: &Answer| {
        let same = |(name, _): &&(String, String)| !matches!(&**name, "date" | "x-trace-id" | "x-request-id");
        answer.headers.iter().filter(same).cloned().collect::<Vec<_>>()
    };
    // Not a list: others create users meanwhile.
    for path in [&*found, UNKNOWN, "/api/users/7", "/nowhere", "/health/live", "/openapi.json"] {
        let get = host.get(path);
        let mut connection = Connection::open(host.gateway);
        connection.request("HEAD", path, &host.signed(&[]), b"");
        let head = connection.answer(true).expect("an answer");
        assert_eq!((head.status, differs(&head)), (get.status, differs(&get)), "{path}");
        connection.request("GET", path, &host.signed(&[]), b"");
        let next = connection.answer(false).expect("the connection goes on");
        assert_eq!(next.status, get.status, "{path}: nothing of a body came");
    }
}
