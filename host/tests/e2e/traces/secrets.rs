//! Nothing that is secret is in a span or a log line, whatever it came in.

use serde_json::json;

use crate::harness::{
    Collector, Host,
    shop::{email, member, open_folder, user, whole_manifest},
};

#[test]
fn passwords_tokens_cookies_queries_and_bodies_are_in_no_span_and_no_line() {
    let collector = Collector::start();
    let manifest = format!("{}{}", whole_manifest(""), collector.telemetry(""));
    let host = Host::running_in(open_folder(), &manifest).for_admin();
    let address = email("canary");
    let somebody = member(&host, &address);
    let token = somebody.authorization.trim_start_matches("Bearer ").to_owned();
    let login = json!({"email": address, "password": "canary-of-a-password"}).to_string();
    let headers = [("content-type", "application/json"), ("cookie", "session=canary-of-a-cookie")];
    assert_eq!(host.send("POST", "/api/auth/login?key=canary-of-a-query", &headers, login.as_bytes()).status, 401);
    let named = user(&host, &email("named"), "canary-of-a-body");
    let path = format!("/api/users/{}?key=canary-of-a-query", named["id"].as_str().unwrap());
    let own = [("authorization", &*somebody.authorization), ("x-secret", "canary-of-a-header")];
    assert_eq!(host.send("GET", &path, &own, b"").status, 403);
    assert_eq!(host.send("GET", &path, &[("authorization", "Bearer canary-of-a-token")], b"").status, 401);
    let log = host.log.text();
    drop(host.stop());
    let spans = format!("{:?}", collector.spans());
    assert!(spans.contains("db.query.text") && spans.contains("/api/auth/login"), "there is something to look at");
    for text in [&*spans, &*log] {
        assert!(!text.contains("canary-of-a"), "{}", around(text, "canary-of-a"));
        assert!(!text.contains(&token), "a token");
    }
}

fn around(text: &str, what: &str) -> String {
    let at = text.find(what).unwrap_or_default();
    text.chars().skip(at.saturating_sub(300)).take(400).collect()
}
