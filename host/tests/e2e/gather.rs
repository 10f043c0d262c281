//! Gathered answers, of real components.

use serde_json::{Value, json};

use crate::harness::{Answer, Host};

const ZERO_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// One component twice, as `users` and `orders`, behind `/g/{id}` with this `gather`.
fn host(gather: &str, route: &str) -> Host {
    let service = |name: &str| {
        format!("[services.{name}]\ncomponent = \"COMPONENTS/probe.wasm\"\nlimits = {{ timeout = \"30s\" }}\n")
    };
    Host::running(&format!(
        "{}{}[[routes]]\npath = \"/g/{{id}}\"\ngather = {{ {gather} }}\npublic = true\n{route}\n\
         [[routes]]\npath = \"/gone/{{*rest}}\"\nstatic = 410\npublic = true\n",
        service("users"),
        service("orders"),
    ))
}

/// The envelope of a success, checked; gives its `data`.
#[track_caller]
fn data(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{}", answer.text());
    assert_eq!(answer.header("x-service"), None, "it is no one component's answer");
    let json = answer.json();
    assert_eq!((&json["success"], json["traceId"].as_str()), (&json!(true), answer.header("x-trace-id")));
    let timestamp = json["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
    assert_eq!(json.as_object().unwrap().len(), 4);
    json["data"].clone()
}

fn asked_with<'a>(part: &'a Value, name: &str) -> Option<&'a str> {
    part["headers"].as_array().unwrap().iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str())
}

#[test]
fn parts_are_asked_as_the_caller_and_their_data_is_passed_on_byte_for_byte() {
    let host = host(
        "user = \"users:/data?name={id}\", money = \"orders:/data?value=%7B%22total%22%3A20.00%2C%22n%22%3A12345678901234567890.10%7D\"",
        "",
    );
    let headers = [("traceparent", ZERO_TRACE), ("x-request-id", "mine"), ("if-none-match", "\"x\"")];
    let answer = host.send("GET", "/g/a%2b%25%26%C3%A9", &headers, b"");
    let gathered = data(&answer);
    assert!(answer.text().contains(r#""money":{"total":20.00,"n":12345678901234567890.10}"#), "{}", answer.text());
    let user = &gathered["user"];
    assert_eq!((&user["method"], &user["target"]), (&json!("GET"), &json!("/data?name=a%2B%25%26%C3%A9")));
    assert_eq!(asked_with(user, "x-request-id"), Some("mine"));
    assert_eq!(asked_with(user, "if-none-match"), None);
    assert_eq!(asked_with(user, "x-forwarded-for"), Some("127.0.0.1"));
    let parent = asked_with(user, "traceparent").unwrap();
    assert!(parent.starts_with(&ZERO_TRACE[..36]) && !parent.contains(&ZERO_TRACE[36..52]), "{parent}");
    assert!(gathered.get("partial").is_none());

    let head = host.send("HEAD", "/g/1", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(host.send("POST", "/g/1", &[], b"").status, 405);
    assert_eq!(host.get("/g/1/").status, 404);
}

#[test]
fn a_part_that_fails_is_replaced_or_is_the_answer() {
    let with = |user: &str, orders: &str| {
        host(&format!("user = \"users:{user}\", orders = {{ from = \"orders:{orders}\", default = [] }}"), "")
    };
    let all = json!({ "user": {}, "orders": [], "partial": ["orders"] });
    for orders in ["/status?code=500", "/data?code=404", "/trap", "/echo", "/no-answer"] {
        assert_eq!(data(&with("/data?value=%7B%7D", orders).get("/g/1")), all, "{orders}");
    }
    for (user, status) in [("/data?code=404&value=1", 404), ("/trap", 502), ("/echo", 502), ("/status?code=503", 503)] {
        let answer = with(user, "/data?value=1").get("/g/1");
        assert_eq!((answer.status, answer.header("x-service")), (status, None), "{user}");
        if status == 404 {
            assert_eq!(answer.text(), r#"{"success":false,"data":1}"#, "as it was");
        }
    }
}

#[test]
fn a_late_part_leaves_the_answer_its_time_and_a_failed_one_waits_for_nobody() {
    let late = "orders = { from = \"orders:/sleep?ms=20000\", default = [] }";
    let gathered = host(&format!("user = \"users:/data?value=1\", {late}"), "timeout = \"5s\"");
    let began = std::time::Instant::now();
    assert_eq!(data(&gathered.get("/g/1"))["partial"], json!(["orders"]));
    println!("a late part of a route of 5 s: {:?}", began.elapsed());
    let failed = host(&format!("user = \"users:/data?code=404\", {late}"), "timeout = \"60s\"");
    let began = std::time::Instant::now();
    assert_eq!(failed.get("/g/1").status, 404);
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    let timed_out = host("user = \"users:/sleep?ms=20000\"", "timeout = \"1s\"");
    assert_eq!(timed_out.get("/g/1").status, 504);
}

#[test]
fn a_static_route_has_one_answer() {
    let host = host("user = \"users:/data\"", "");
    let answer = host.get("/gone/anything");
    assert_eq!((answer.status, answer.json()["error"].as_str()), (410, Some("Gone")));
    assert_eq!(host.send("DELETE", "/gone", &[], b"").status, 410);
}
