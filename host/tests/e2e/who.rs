//! Who may what: every row of the contract's table, for everybody who may come.

use serde_json::{Value, json};

use crate::harness::{
    Answer, Host, Shared, exchange,
    shop::{self, Member, data, email, envelope, member, refused, user, with_products},
};

static SHOP: Shared = Shared::new(|| with_products("", ""));

const JSON: (&str, &str) = ("content-type", "application/json");
const UNKNOWN: &str = "0190b5a2-7c3e-7d4f-8a1b-2c3d4e5f6071";
const FORBIDDEN: &str = "Your token does not allow this";

/// Everybody who may come, in the order of the columns below.
struct Callers {
    other: Member,
    owner: Member,
    admin: String,
}

impl Callers {
    fn of(host: &Host) -> Self {
        let admin = format!("Bearer {}", host.token("operator", &["admin"]));
        Self { other: member(host, &email("other")), owner: member(host, &email("owner")), admin }
    }

    /// Without a token, with a bad one, as another user, as the owner, as an admin.
    fn each(&self) -> [Option<&str>; 5] {
        let (other, owner) = (&*self.other.authorization, &*self.owner.authorization);
        [None, Some("Bearer not.a.token"), Some(other), Some(owner), Some(&self.admin)]
    }
}

#[track_caller]
fn ask(host: &Host, who: Option<&str>, method: &str, path: &str, body: &[u8]) -> Answer {
    let headers: Vec<_> = [JSON].into_iter().chain(who.map(|who| ("authorization", who))).collect();
    exchange(host.gateway, method, path, &headers, body)
}

#[track_caller]
fn check(host: &Host, callers: &Callers, method: &str, path: &str, body: &Value, expected: [u16; 5]) {
    for (who, status) in callers.each().into_iter().zip(expected) {
        // A new email each time, so that nobody meets the one before.
        let body = body.to_string().replace("NEW", &email("new"));
        let answer = ask(host, who, method, path, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        match status {
            _ if method == "HEAD" => {}
            401 => drop(envelope(&answer, 401)),
            403 => refused(&answer, 403, FORBIDDEN),
            _ => {}
        }
        let told = answer.header("www-authenticate").map(|told| told.starts_with("Bearer"));
        assert_eq!(told, (status == 401).then_some(true), "{method} {path}");
    }
}

fn product(host: &Host) -> String {
    let new = json!({"name": "Tea", "price": 1, "inventory": 1});
    format!("/api/products/{}", data(&host.json("POST", "/api/products", &new), 201)["id"].as_str().unwrap())
}

#[test]
fn everybody_may_exactly_what_the_table_says() {
    let host = SHOP.get();
    let callers = Callers::of(&host);
    let check = |method, path: &str, body: Value, expected| check(&host, &callers, method, path, &body, expected);

    let account = json!({"email": "NEW", "name": "N", "password": "1234567890"});
    check("POST", "/api/auth/register", account, [201; 5]);
    let login = json!({"email": email("nobody"), "password": "1234567890"});
    let statuses =
        callers.each().map(|who| ask(&host, who, "POST", "/api/auth/login", login.to_string().as_bytes()).status);
    assert_eq!(statuses, [401; 5], "the password decides, not a token");

    let (none, owner) = (json!({}), callers.owner.path.as_str());
    check("GET", owner, none.clone(), [401, 401, 403, 200, 200]);
    check("HEAD", owner, none.clone(), [401, 401, 403, 200, 200]);
    check("PUT", owner, json!({"name": "N"}), [401, 401, 403, 200, 200]);
    check("GET", "/api/users", none.clone(), [401, 401, 403, 403, 200]);
    check("POST", "/api/users", json!({"email": "NEW", "name": "N"}), [401, 401, 403, 403, 201]);

    let tea = product(&host);
    check("GET", "/api/products", none.clone(), [401, 401, 200, 200, 200]);
    check("GET", &tea, none.clone(), [401, 401, 200, 200, 200]);
    check("POST", "/api/products", json!({"name": "N", "price": 1, "inventory": 1}), [401, 401, 403, 403, 201]);
    check("PUT", &tea, json!({"name": "N"}), [401, 401, 403, 403, 200]);
    for (what, body) in
        [("reserve", json!({"quantity": 1, "orderId": UNKNOWN})), ("release", json!({"orderId": UNKNOWN}))]
    {
        for product in [&*tea, &format!("/api/products/{UNKNOWN}"), "/api/products/7"] {
            check("POST", &format!("{product}/{what}"), body.clone(), [401, 401, 403, 403, 403]);
        }
    }
    assert_eq!(data(&host.get(&tea), 200)["inventory"], 1, "nobody has taken any");

    check("DELETE", &tea, none.clone(), [401, 401, 403, 403, 204]);
    check("DELETE", owner, none.clone(), [401, 401, 403, 204, 404]);
    for nowhere in ["/nowhere", "/api", "/api/auth", "/api/auth/register/x", "/api/auth/registerx", "/api/auth/login/"]
    {
        check("POST", nowhere, none.clone(), [401, 401, 404, 404, 404]);
    }
    for public in ["/api/auth/register", "/api/auth/login"] {
        check("GET", public, none.clone(), [401, 401, 405, 405, 405]);
    }
}

#[test]
fn somebody_elses_id_is_403_whether_it_exists_or_not() {
    let host = SHOP.get();
    let ada = member(&host, &email("ada"));
    let bob = user(&host, &email("bob"), "Bob");
    let bob = format!("/api/users/{}", bob["id"].as_str().unwrap());
    let unknown = format!("/api/users/{UNKNOWN}");
    for method in ["GET", "PUT", "DELETE"] {
        let ask = |path: &str| ask(&host, Some(&ada.authorization), method, path, b"{\"name\":\"N\"}");
        for path in [&*bob, &unknown, &bob.to_uppercase().replace("/API/USERS", "/api/users")] {
            refused(&ask(path), 403, FORBIDDEN);
        }
        refused(&ask("/api/users/7"), 400, "The id in the path is not a UUID");
        refused(&host.send(method, &unknown, &[JSON], b"{\"name\":\"N\"}"), 404, "User not found");
    }
    let own = ada.path.to_uppercase().replace("/API/USERS", "/api/users");
    assert_eq!(ask(&host, Some(&ada.authorization), "GET", &own, b"").status, 200, "an id is one in either case");
}

#[test]
fn who_may_is_decided_before_the_body_is_looked_at() {
    let host = SHOP.get();
    let ada = member(&host, &email("ada"));
    let tea = product(&host);
    for (method, path) in [
        ("POST", "/api/users"),
        ("PUT", &*format!("/api/users/{UNKNOWN}")),
        ("POST", "/api/products"),
        ("PUT", &tea),
        ("POST", &format!("{tea}/reserve")),
    ] {
        for body in [&b"nonsense"[..], b"{}", b""] {
            refused(&ask(&host, Some(&ada.authorization), method, path, body), 403, FORBIDDEN);
        }
        let headers = [("authorization", &*ada.authorization), ("content-type", "text/plain")];
        refused(&exchange(host.gateway, method, path, &headers, b"{}"), 403, FORBIDDEN);
    }
}

#[test]
fn nobody_becomes_somebody_else_by_a_header() {
    let host = SHOP.get();
    let ada = member(&host, &email("ada"));
    let tea = product(&host);
    let claims: [&[(&str, &str)]; 4] = [
        &[("x-user-roles", "admin")],
        &[("x-user-id", "operator"), ("x-user-roles", "admin")],
        &[("x-source-service", "orders")],
        &[("X-User-Id", "operator"), ("X-USER-ROLES", "admin"), ("X-Source-Service", "orders")],
    ];
    let reserve = format!("{tea}/reserve");
    let body = json!({"quantity": 1, "orderId": UNKNOWN}).to_string();
    for claimed in claims {
        let mine: Vec<_> = claimed.iter().copied().chain([JSON, ("authorization", &*ada.authorization)]).collect();
        let nobodys: Vec<_> = claimed.iter().copied().chain([JSON]).collect();
        for (method, path) in [("GET", "/api/users"), ("DELETE", &*tea), ("POST", &*reserve)] {
            refused(&exchange(host.gateway, method, path, &mine, body.as_bytes()), 403, FORBIDDEN);
            assert_eq!(exchange(host.gateway, method, path, &nobodys, body.as_bytes()).status, 401, "{claimed:?}");
        }
        assert_eq!(host.send("POST", &reserve, claimed, body.as_bytes()).status, 403, "admin too");
    }
}

/// The service looks itself: a gateway that lets everybody through opens nothing.
#[test]
fn a_route_that_is_public_by_mistake_lets_nobody_in() {
    let manifest = shop::manifest("", "").replace(
        "path = \"/api/users/{*rest}\"\nservice = \"users\"",
        "path = \"/api/users/{*rest}\"\nservice = \"users\"\npublic = true",
    );
    assert!(manifest.matches("public = true").count() == 3, "{manifest}");
    let host = Host::running_in(shop::open_folder(), &manifest);
    for (method, path) in [("GET", "/api/users"), ("POST", "/api/users"), ("DELETE", &*format!("/api/users/{UNKNOWN}"))]
    {
        for who in [None, Some(format!("Bearer {}", host.token("operator", &["admin"])))] {
            let answer = ask(&host, who.as_deref(), method, path, b"{}");
            envelope(&answer, 401);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.header("x-service"), Some("users"), "it was the service");
        }
    }
}
