//! What a collector is told of requests: ids, parents, kinds and attributes, in one trace from the client's
//! request to whatever came of it.

use serde_json::{Value, json};

use crate::harness::{
    Answer, Collector, Host, Span, by_quick_door,
    shop::{data, email, open_folder, user, whole_manifest},
};

mod by_choice;
mod export;
mod failures;
mod receiver;
mod secrets;
mod storm;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[track_caller]
fn one<'a>(spans: &'a [Span], service: &str, name: &str) -> &'a Span {
    let of: Vec<_> = spans.iter().filter(|span| span.service == service && span.name == name).collect();
    assert_eq!(of.len(), 1, "`{name}` of `{service}` in\n{}", crate::harness::tree(spans));
    of[0]
}

/// Each of these has told something, and whatever the others are within. Batches of services come apart.
fn told(spans: &[Span], services: &[&str]) -> bool {
    let is_there = |parent: &str| parent == "b7ad6b7169203331" || spans.iter().any(|span| span.id == parent);
    services.iter().all(|service| spans.iter().any(|span| span.service == *service))
        && spans.iter().all(|span| is_there(&span.parent))
}

#[track_caller]
fn said(span: &Span, wanted: &[(&str, &str)]) {
    for (key, value) in wanted {
        assert_eq!(span.attributes.get(*key).map(String::as_str), Some(*value), "{key} of {span:#?}");
    }
}

fn order(host: &Host, user: &str, product: &str) -> Answer {
    let body = json!({"userId": user, "items": [{"productId": product, "quantity": 2}]});
    let headers = [("content-type", "application/json"), ("traceparent", PARENT), ("tracestate", "a=1,b=2")];
    host.send("POST", "/api/orders?ignored=secret-of-a-query", &headers, body.to_string().as_bytes())
}

fn product(host: &Host) -> String {
    let body = json!({"name": "P", "price": 19.99, "inventory": 10});
    data(&host.json("POST", "/api/products", &body), 201)["id"].as_str().unwrap().to_owned()
}

#[test]
fn one_trace_leads_from_the_clients_request_to_the_stored_notification() {
    let collector = Collector::start();
    let manifest = format!("{}{}", whole_manifest(""), collector.telemetry(""));
    let host = Host::running_in(open_folder(), &manifest).for_admin();
    let customer = user(&host, &email("traced"), "Traced")["id"].as_str().unwrap().to_owned();
    let product = product(&host);
    assert_eq!(order(&host, &customer, &product).status, 201);
    let all = ["gateway", "orders", "users", "products", "notifications"];
    let is_stored = |span: &Span| span.name == "insert notifications";
    let stored = |spans: &[Span]| spans.iter().any(is_stored) && told(spans, &all);
    let spans = collector.trace(TRACE, stored);
    println!("{}", crate::harness::tree(&spans));

    let gateway = one(&spans, "gateway", "POST /api/orders/{*rest}");
    assert_eq!((gateway.kind, &*gateway.parent, &*gateway.tracestate), (2, "b7ad6b7169203331", "a=1,b=2"));
    let attributes = [
        ("http.request.method", "POST"),
        ("http.route", "/api/orders/{*rest}"),
        ("http.response.status_code", "201"),
        ("url.path", "/api/orders"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
    ];
    said(gateway, &attributes);
    let orders = one(&spans, "orders", "POST /api/orders/{*rest}");
    assert_eq!((orders.kind, &orders.parent), (2, &gateway.id));
    said(orders, &[("http.response.status_code", "201")]);
    for key in ["archipel.fresh", "archipel.cpu_us", "archipel.memory_bytes", "archipel.queue_us"] {
        assert!(orders.attributes.contains_key(key), "{key} of {orders:#?}");
    }
    assert!(orders.resource["service.version"].starts_with("1.0.0+"), "{:?}", orders.resource);
    assert_eq!(orders.resource["service.namespace"], "test");
    assert_eq!(orders.resource["service.instance.id"], gateway.resource["service.instance.id"]);

    // A call is a span of who calls and one of who is called.
    let call = spans.iter().find(|span| span.service == "orders" && span.name == "GET").expect("a call to users");
    assert_eq!((call.kind, &call.parent), (3, &orders.id));
    let full = format!("http://users.internal/api/users/{customer}");
    said(call, &[("url.full", &*full), ("service.peer.name", "users"), ("http.response.status_code", "200")]);
    let users = one(&spans, "users", "GET");
    assert_eq!((users.kind, &users.parent), (2, &call.id));

    // A step that the component names itself is within its run, and what it asks for meanwhile within that.
    let step = one(&spans, "orders", "reserve stock");
    assert_eq!((step.kind, &step.parent, &*step.attributes["lines"]), (1, &orders.id, "1"));
    let reserved =
        spans.iter().find(|span| span.service == "orders" && span.name == "POST").expect("a call to products");
    assert_eq!((reserved.kind, &reserved.parent), (3, &step.id));
    said(reserved, &[("service.peer.name", "products")]);

    // Statements without values, within the one that sent them.
    let read = spans.iter().find(|span| span.service == "users" && span.name == "SELECT users").expect("a statement");
    assert_eq!((read.kind, &read.parent), (3, &users.id));
    said(read, &[("db.system.name", "postgresql"), ("db.namespace", "users"), ("db.response.returned_rows", "1")]);
    assert!(read.attributes["db.query.text"].contains("$1"), "{read:#?}");

    // The event: sent within the order's work, handled in the same trace, and linked.
    let sent = one(&spans, "orders", "send order.created");
    assert_eq!((sent.kind, &sent.parent), (4, &orders.id));
    let handled = one(&spans, "notifications", "process order.created");
    assert_eq!((handled.kind, &handled.parent, &handled.links), (5, &sent.id, &vec![sent.id.clone()]));
    assert_eq!(handled.attributes["messaging.message.id"], sent.attributes["messaging.message.id"]);
    said(handled, &[("messaging.system", "redis"), ("messaging.consumer.group.name", "notifications")]);
    let stored = one(&spans, "notifications", "insert notifications");
    assert_eq!((stored.kind, &stored.parent), (3, &handled.id));
    said(stored, &[("db.system.name", "redis"), ("db.operation.name", "insert")]);

    // What the start had to do to databases.
    let migrated: Vec<_> = collector.spans().into_iter().filter(|span| span.name == "migrate orders").collect();
    assert_eq!((migrated.len(), &*migrated[0].service, migrated[0].kind), (1, "gateway", 1), "{migrated:#?}");
    assert!(migrated[0].attributes["archipel.files"].parse::<u32>().is_ok_and(|files| files > 0), "{migrated:#?}");
    assert!(migrated[0].ended > migrated[0].began && migrated[0].ended < gateway.began, "{migrated:#?}");

    for span in &spans {
        assert!(span.began <= span.ended, "{span:#?}");
        assert!(!span.is_error, "{span:#?}");
        let parent = spans.iter().find(|other| other.id == span.parent);
        assert!(parent.is_some() || span.parent == "b7ad6b7169203331", "no parent of {span:#?}");
    }
}

#[test]
fn a_gathered_answer_is_a_span_with_its_parts_within() {
    let collector = Collector::start();
    let manifest = format!("{}{}", whole_manifest(""), collector.telemetry(""));
    let host = Host::running_in(open_folder(), &manifest).for_admin();
    let customer = user(&host, &email("gathered"), "Gathered")["id"].as_str().unwrap().to_owned();
    let path = format!("/api/users/{customer}/profile");
    assert_eq!(host.send("GET", &path, &[("traceparent", PARENT)], b"").status, 200);
    let spans = collector.trace(TRACE, |spans| told(spans, &["gateway", "users", "orders"]));
    let gather = one(&spans, "gateway", "gather");
    assert_eq!(gather.parent, one(&spans, "gateway", "GET /api/users/{id}/profile").id);
    for service in ["users", "orders"] {
        let part = spans.iter().find(|span| span.service == service && span.kind == 2).expect("a part");
        assert_eq!(part.parent, gather.id, "{service}");
    }
}

#[test]
fn a_trap_fails_its_span_and_the_gateways_and_says_why() {
    let collector = Collector::start();
    let host = Host::running(&format!("{}{}", crate::harness::probe(""), collector.telemetry("")));
    assert_eq!(host.send("GET", "/trap", &[("traceparent", PARENT)], b"").status, 502);
    let spans = collector.trace(TRACE, |spans| told(spans, &["gateway", "probe"]));
    let probe = one(&spans, "probe", "GET /{*rest}");
    assert!(probe.is_error, "{probe:#?}");
    said(probe, &[("error.type", "trap")]);
    let reason = &probe.attributes["archipel.reason"];
    assert!(reason.contains("unreachable") && reason.contains("probe::crash::trap (probe/src/crash.rs:"), "{reason}");
    let door = if by_quick_door() { "archipel:http" } else { "wasi:http" };
    said(probe, &[("code.file.path", "probe/src/crash.rs"), ("archipel.door", door)]);
    assert!(probe.attributes["code.line.number"].parse::<u32>().is_ok_and(|line| line > 0), "{probe:#?}");
    let gateway = one(&spans, "gateway", "GET /{*rest}");
    assert!(gateway.is_error);
    said(gateway, &[("error.type", "502"), ("http.response.status_code", "502")]);
}

#[test]
fn a_service_elsewhere_continues_the_trace_within_the_gateways_own_request() {
    let (collector, legacy) = (Collector::start(), crate::harness::Upstream::answering("legacy\n"));
    let service = format!("[services.legacy]\nurl = \"{}\"\n", legacy.url(""));
    let route = "[[routes]]\npath = \"/{*rest}\"\nservice = \"legacy\"\npublic = true\n";
    let host = Host::running(&format!("{service}{route}{}", collector.telemetry("")));
    assert_eq!(host.send("GET", "/x", &[("traceparent", PARENT)], b"").status, 200);
    let spans = collector.trace(TRACE, |spans| spans.len() == 2);
    let (gateway, call) = (one(&spans, "gateway", "GET /{*rest}"), one(&spans, "gateway", "GET"));
    assert_eq!((call.kind, &call.parent), (3, &gateway.id));
    said(call, &[("service.peer.name", "legacy"), ("http.response.status_code", "200")]);
    let asked = legacy.requests().into_iter().find(|head| head.starts_with("GET /x")).expect("it was asked");
    assert!(asked.contains(&format!("00-{TRACE}-{}-01", call.id)), "{asked}");
}

/// What a host that samples nothing sends of these requests: the paths.
fn kept(lines: &str, requests: &[(&str, Option<&str>)], last: &str) -> Vec<String> {
    let collector = Collector::start();
    let host = Host::running(&format!("{}{}", crate::harness::probe(""), collector.telemetry(lines)));
    for (path, parent) in requests {
        let headers: Vec<_> = parent.iter().map(|parent| ("traceparent", *parent)).collect();
        host.send("GET", path, &headers, b"");
    }
    drop(host.stop()); // what waits is sent
    let of = |span: Span| (span.service == "gateway").then(|| span.attributes["url.path"].clone());
    let paths: Vec<_> = collector.spans().into_iter().filter_map(of).collect();
    assert!(paths.iter().any(|path| path == last), "{paths:?}");
    paths
}

#[test]
fn what_is_not_sampled_is_sent_if_it_failed_or_was_slow_or_its_caller_says_so() {
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let requests = [
        ("/", None),
        ("/sampled", Some(PARENT)),
        ("/not", Some(unsampled)),
        ("/status?code=404", None),
        ("/sleep?ms=4400", None),
        ("/trap", Some(unsampled)),
    ];
    let kept = kept("sample = \"0%\"\nslow = \"4s\"", &requests, "/trap");
    assert_eq!(kept, ["/sampled", "/sleep", "/trap"]);
}

#[test]
fn callees_are_told_whether_the_trace_is_sampled() {
    let collector = Collector::start();
    let lines = format!("{}{}", crate::harness::probe(""), collector.telemetry("sample = \"0%\""));
    let host = Host::running(&lines);
    let seen = |headers: &[(&str, &str)]| -> String {
        let answer = host.send("GET", "/echo", headers, b"");
        let told: Value = answer.json();
        let headers = told["headers"].as_array().expect("a list").iter();
        let of = |pair: &Value| (pair[0] == "traceparent").then(|| pair[1].as_str().unwrap_or_default().to_owned());
        headers.into_iter().find_map(of).unwrap_or_default()
    };
    let flags = |traceparent: String| traceparent.rsplit('-').next().unwrap_or_default().to_owned();
    assert_eq!(flags(seen(&[])), "02", "random, and not sampled");
    assert_eq!(flags(seen(&[("traceparent", PARENT)])), "01");
}

#[test]
fn probes_leave_no_trace() {
    let collector = Collector::start();
    let host = Host::running(&format!("{}{}", crate::harness::probe(""), collector.telemetry("")));
    (0..5).for_each(|_| assert_eq!(host.get("/health/live").status, 200));
    host.get("/");
    drop(host.stop());
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert!(!names.is_empty() && names.iter().all(|name| !name.contains("health")), "{names:?}");
}
