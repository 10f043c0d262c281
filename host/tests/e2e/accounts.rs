//! Registering and logging in, seen through the gateway.

use std::thread;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{
    Answer, Host, Postgres, Session, Shared, exchange,
    shop::{self, PASSWORD, data, email, envelope, login, member, refused, shop, user},
};

static SHOP: Shared = Shared::new(|| shop("", ""));

const WRONG: &str = "Invalid email or password";
const MANY: &str = "Too many failed logins; try again later";

#[test]
fn who_registers_can_log_in_and_see_themselves() {
    an_account(&shop("", ""));
}

#[test]
fn who_registers_on_an_operator_s_server_can_log_in_and_see_themselves() {
    let server = Postgres::start();
    an_account(&shop("", &server.url()));
    assert!(server.log().contains("password_hash"), "it was this server");
    assert!(!server.log().contains(PASSWORD), "no password reaches a database");
}

#[track_caller]
fn an_account(host: &Host) {
    let body = json!({"email": " Ada@Example.com ", "name": " Ada ", "password": PASSWORD});
    let created = host.json("POST", "/api/auth/register", &body);
    let ada = data(&created, 201);
    let path = format!("/api/users/{}", ada["id"].as_str().unwrap());
    assert_eq!(created.header("location"), Some(&*path));
    assert_eq!((&ada["email"], &ada["name"]), (&json!("Ada@Example.com"), &json!("Ada")));
    assert_eq!(fields(&ada), ["createdAt", "email", "id", "name", "updatedAt"]);
    assert_eq!(data(&host.get(&path), 200), ada);

    for email in ["ada@example.com", " ADA@EXAMPLE.COM\t"] {
        let answer = login(host, email, PASSWORD);
        let session = data(&answer, 200);
        assert_eq!(fields(&session), ["expiresIn", "token", "tokenType", "user"]);
        assert_eq!((&session["tokenType"], &session["expiresIn"]), (&json!("Bearer"), &json!(3600)));
        assert_eq!(session["user"], ada);
        let token = session["token"].as_str().unwrap();
        let claims = claims(token);
        assert_eq!((&claims["sub"], &claims["roles"]), (&ada["id"], &json!(["user"])), "{claims}");
        let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("no {name} in {claims}"));
        assert_eq!(time("exp") - time("iat"), 3600);
        let own = [("authorization", &*format!("Bearer {token}"))];
        assert_eq!(data(&exchange(host.gateway, "GET", &path, &own, b""), 200), ada);
    }
    for (email, password) in [("ada@example.com", "wrong horse battery"), ("bob@example.com", PASSWORD)] {
        wrong(&login(host, email, password));
    }
    let stored = data(&host.get("/api/users"), 200);
    assert_eq!(stored, json!([ada]), "neither password nor hash is in a list");
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn wrong(answer: &Answer) {
    refused(answer, 401, WRONG);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn an_account_needs_an_email_a_name_and_a_password() {
    let host = SHOP.get();
    let required = "Email, name and password are required";
    let bounds = "Field `password` must be 10 to 128 characters long";
    let table = [
        (json!({}), required),
        (json!({"email": "a@b.co", "name": "A"}), required),
        (json!({"email": "a@b.co", "name": "A", "password": ""}), required),
        (json!({"email": " ", "name": "A", "password": PASSWORD}), required),
        (json!({"email": "a", "name": "A", "password": PASSWORD}), "Invalid email format"),
        (json!({"email": "a@b.co", "name": "A", "password": "123456789"}), bounds),
        (json!({"email": "a@b.co", "name": "A", "password": "é".repeat(129)}), bounds),
        (
            json!({"email": "a@b.co", "name": "A", "password": 1_234_567_890}),
            "Field `password` must be a string, not a number",
        ),
        (
            json!({"email": "a@b.co", "name": "A", "password": PASSWORD, "role": "admin"}),
            "Field `role` is unknown; there are `email`, `name`, `password`",
        ),
    ];
    for (body, sentence) in table {
        refused(&host.json("POST", "/api/auth/register", &body), 400, sentence);
    }
    let answer = host.send("POST", "/api/auth/register", &[], b"{}");
    assert_eq!(answer.status, 415);
}

#[test]
fn a_password_is_what_was_given_space_by_space_and_letter_by_letter() {
    let host = shop("", "");
    for password in ["1234567890", " 12345678 ", &"🦀".repeat(128), "pass\u{1}word\\\"'$1%", "          "] {
        let email = email("letter");
        let body = json!({"email": email, "name": "L", "password": password});
        data(&host.json("POST", "/api/auth/register", &body), 201);
        data(&login(&host, &email, password), 200);
    }
    let email = email("exact");
    data(
        &host.json("POST", "/api/auth/register", &json!({"email": email, "name": "E", "password": " Password 1 "})),
        201,
    );
    for near in ["Password 1", " password 1 ", " Password 1", " Password 1 \u{200b}"] {
        wrong(&login(&host, &email, near));
    }
}

#[test]
fn an_email_is_registered_once_whatever_its_case_and_whoever_made_it() {
    let host = SHOP.get();
    let (registered, created) = (email("registered"), email("created"));
    member(&host, &registered);
    user(&host, &created, "Created");
    for taken in [registered.to_uppercase(), created.to_uppercase()] {
        let body = json!({"email": taken, "name": "N", "password": PASSWORD});
        refused(&host.json("POST", "/api/auth/register", &body), 409, "Email already exists");
        refused(&host.json("POST", "/api/users", &json!({"email": taken, "name": "N"})), 409, "Email already exists");
    }
    let wanted = email("wanted");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || {
            let body = json!({"email": wanted, "name": "N", "password": PASSWORD});
            loop {
                match host.json("POST", "/api/auth/register", &body).status {
                    503 => {} // as many passwords are hashed as may be
                    status => return status,
                }
            }
        };
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
}

#[test]
fn a_login_that_is_wrong_is_401_in_the_same_words_whatever_is_wrong() {
    let host = shop("", "");
    let (ada, bob) = (email("ada"), email("bob"));
    member(&host, &ada);
    user(&host, &bob, "Nobody can log in as Bob");
    for (email, password) in [
        (&*ada, "wrong horse battery"),
        (&ada, "short"),
        (&ada, &"x".repeat(5000)),
        (&bob, PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("no email", PASSWORD),
        (&"é".repeat(5000), PASSWORD),
    ] {
        wrong(&login(&host, email, password));
    }
    let required = "Email and password are required";
    for body in [
        json!({}),
        json!({"email": ada}),
        json!({"email": " ", "password": PASSWORD}),
        json!({"email": ada, "password": ""}),
    ] {
        refused(&host.json("POST", "/api/auth/login", &body), 400, required);
    }
    let body = json!({"email": ada, "password": 1_234_567_890});
    refused(&host.json("POST", "/api/auth/login", &body), 400, "Field `password` must be a string, not a number");
    data(&login(&host, &ada, PASSWORD), 200);
}

#[test]
fn who_has_changed_their_email_logs_in_with_the_new_one() {
    let host = SHOP.get();
    let (old, new) = (email("old"), email("new"));
    let ada = member(&host, &old);
    let own = [("content-type", "application/json"), ("authorization", &*ada.authorization)];
    let body = json!({"email": new}).to_string();
    assert_eq!(host.send("PUT", &ada.path, &own, body.as_bytes()).status, 200);
    data(&login(&host, &new, PASSWORD), 200);
    wrong(&login(&host, &old, PASSWORD));
}

/// A host that has two clients: one on each address of the loopback.
fn two_clients() -> Host {
    let manifest = shop::manifest("", "").replace("\"127.0.0.1:0\"", "[\"127.0.0.1:0\", \"[::1]:0\"]");
    shop::with_compiled(|folder| Host::running_in(folder, &manifest)).for_admin()
}

/// The answer to a login by the second client.
fn second(host: &Host, email: &str, password: &str) -> Answer {
    let gateway = host.report["listening"]["gateway"][1].as_str().unwrap().parse().unwrap();
    let body = json!({"email": email, "password": password}).to_string();
    exchange(gateway, "POST", "/api/auth/login", &[("content-type", "application/json")], body.as_bytes())
}

#[track_caller]
fn too_many(answer: &Answer) {
    refused(answer, 429, MANY);
    let seconds: u32 = answer.header("retry-after").expect("when to come back").parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
}

#[test]
fn ten_failed_logins_in_fifteen_minutes_close_an_account_and_an_address() {
    let host = two_clients();
    let (ada, bob) = (email("ada"), email("bob"));
    member(&host, &ada);
    member(&host, &bob);
    for _ in 0..12 {
        data(&login(&host, &bob, PASSWORD), 200);
    }
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || loop {
            let answer = login(&host, &ada.to_uppercase(), "wrong horse battery");
            match answer.status {
                503 => {} // as many passwords are verified as may be: not a failed login
                429 => {
                    too_many(&answer);
                    return 429;
                }
                status => return status,
            }
        };
        let asking: Vec<_> = (0..25).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(401), count(429)), (10, 15), "{statuses:?}");

    too_many(&login(&host, &ada, PASSWORD)); // the right password does not help
    too_many(&second(&host, &ada, PASSWORD)); // nor does another address: the account is closed
    too_many(&login(&host, &bob, PASSWORD)); // nor another account: the address is closed
    data(&second(&host, &bob, PASSWORD), 200);

    // The failures grow old: 15 minutes later all is open, and what has expired goes.
    let look = Session::inside(&host, "users");
    look.run("UPDATE login_failures SET latest = latest - interval '15 minutes', moments = array(SELECT m - interval '15 minutes' FROM unnest(moments) AS m)");
    wrong(&second(&host, "nobody@example.com", PASSWORD));
    assert!(look.count("SELECT count(*) FROM login_failures") <= 2, "only what is new is kept");
    data(&login(&host, &ada, PASSWORD), 200);
}

#[test]
fn many_right_logins_at_once_are_no_attack() {
    let host = two_clients();
    let ada = email("ada");
    member(&host, &ada);
    thread::scope(|scope| {
        let ask = || loop {
            let answer = login(&host, &ada, PASSWORD);
            if answer.status != 503 {
                return answer.status; // 503: as many passwords are verified as may be
            }
        };
        let asking: Vec<_> = (0..25).map(|_| scope.spawn(ask)).collect();
        let statuses: Vec<u16> = asking.into_iter().map(|asked| asked.join().unwrap()).collect();
        assert_eq!(statuses, [200; 25]);
    });
}

/// One more failure closes the account: a right login is none, for as little time as may be.
#[test]
fn right_logins_count_for_nothing_beside_nine_failures() {
    let host = two_clients();
    let ada = email("ada");
    member(&host, &ada);
    (0..9).for_each(|_| wrong(&login(&host, &ada, "not the password")));
    thread::scope(|scope| {
        let ask = || loop {
            let answer = login(&host, &ada, PASSWORD);
            if answer.status != 503 {
                return answer.status;
            }
        };
        let asking: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        let statuses: Vec<u16> = asking.into_iter().map(|asked| asked.join().unwrap()).collect();
        assert_eq!(statuses, [200; 12]);
    });
    wrong(&login(&host, &ada, "not the password"));
    too_many(&login(&host, &ada, PASSWORD));
}

#[test]
fn an_email_that_nobody_has_is_closed_like_any_other() {
    let host = two_clients();
    for _ in 0..10 {
        wrong(&login(&host, "nobody@example.com", PASSWORD));
    }
    too_many(&second(&host, "Nobody@example.com", PASSWORD));
    let look = Session::inside(&host, "users");
    assert_eq!(look.count("SELECT count(*) FROM login_failures"), 2, "one address and one account");
    let told = look.text("SELECT string_agg(encode(key, 'escape'), ',') FROM login_failures");
    assert!(!told.contains("nobody") && !told.contains("127.0.0.1"), "{told}");
}

#[test]
fn a_deleted_user_cannot_log_in_and_their_token_is_worth_nothing_more_than_before() {
    let host = SHOP.get();
    let address = email("gone");
    let gone = member(&host, &address);
    let own = [("authorization", &*gone.authorization)];
    assert_eq!(host.send("DELETE", &gone.path, &own, b"").status, 204);
    refused(&host.send("GET", &gone.path, &own, b""), 404, "User not found");
    wrong(&login(&host, &address, PASSWORD));
    envelope(&host.send("GET", "/api/users", &own, b""), 403);
}
