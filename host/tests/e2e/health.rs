//! Is it alive, is it ready: what probes are told, and when.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{
    Answer, Connection, Host, Postgres, exchange,
    shop::{email, envelope, shop, trace_id, user},
    until,
};

#[track_caller]
fn page(at: SocketAddr, path: &str, status: u16) -> Value {
    let answer = exchange(at, "GET", path, &[], b"");
    shown(&answer, path, status)
}

/// A page of health: JSON of its own shape, marked as every answer is.
#[track_caller]
fn shown(answer: &Answer, path: &str, status: u16) -> Value {
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-service"), None);
    assert_eq!(answer.header("retry-after").is_some(), status == 503);
    trace_id(answer);
    answer.json()
}

/// The report without what differs from one moment to the next, after a look at that.
#[track_caller]
fn steady(mut report: Value) -> Value {
    assert!(report["uptime"].as_u64().is_some_and(|seconds| seconds < 600), "{report}");
    report.as_object_mut().unwrap().remove("uptime");
    for check in report["checks"].as_object_mut().unwrap().values_mut() {
        if let Some(latency) = check.as_object_mut().unwrap().remove("latency") {
            assert!(latency.as_f64().is_some_and(|ms| (0.0..20_000.0).contains(&ms)), "{latency}");
        }
    }
    report
}

fn version_of_users(host: &Host) -> String {
    host.get("/api/users").header("x-service-version").expect("a version").to_owned()
}

fn whole(status: &str, users: &str) -> Value {
    json!({
        "status": status, "service": "gateway", "version": env!("CARGO_PKG_VERSION"),
        "checks": {"users": {"status": users}},
    })
}

#[test]
fn a_healthy_host_says_so_on_both_listeners() {
    let host = shop("", "");
    for at in [host.gateway, host.admin] {
        assert_eq!(page(at, "/health/live", 200), json!({"status": "alive"}));
        for path in ["/health", "/health/ready"] {
            assert_eq!(steady(page(at, path, 200)), whole("healthy", "healthy"));
        }
    }
    let users = page(host.admin, "/health/services/users", 200);
    assert!(users["checks"]["postgres.users"]["latency"].is_f64(), "{users}");
    let expected = json!({
        "status": "healthy", "service": "users", "version": version_of_users(&host),
        "checks": {"postgres.users": {"status": "healthy"}},
    });
    assert_eq!(steady(users), expected);
    only_read_and_only_where_they_are(&host);
}

fn only_read_and_only_where_they_are(host: &Host) {
    for path in ["/health", "/health/live", "/health/ready"] {
        for at in [host.gateway, host.admin] {
            let head = exchange(at, "HEAD", path, &[], b"");
            assert_eq!((head.status, head.body.len()), (200, 0));
            // At the gateway, whatever is not public asks for a token first.
            let admin = [("authorization", &*format!("Bearer {}", host.admin_token()))];
            let signed = if at == host.admin { admin.to_vec() } else { host.signed(&[]) };
            for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
                let answer = exchange(at, method, path, &signed, b"");
                envelope(&answer, 405);
                assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
            }
            for other in [format!("{path}/"), format!("{path}x"), path.to_uppercase()] {
                envelope(&exchange(at, "GET", &other, &signed, b""), 404);
            }
        }
    }
    envelope(&host.get("/health/services/users"), 404);
    envelope(&exchange(host.admin, "GET", "/health/services/nobody", &[], b""), 404);
    envelope(&exchange(host.admin, "GET", "/health/services", &[], b""), 404);
    envelope(&exchange(host.admin, "GET", "/api/users", &[], b""), 401);
    envelope(&host.admin("GET", "/api/users", b""), 404);
}

#[test]
fn a_route_for_all_paths_of_a_host_leaves_the_hosts_own_pages_alone() {
    let route = "path = \"/{*rest}\"\nservice = \"probe\"\npublic = true";
    let hosted = crate::harness::probe("").replace(route, &format!("host = \"*.shop.test\"\n{route}"));
    assert!(hosted.contains("shop.test"), "{hosted}");
    let host = Host::running(&hosted);
    let ask = |path: &str| {
        let mut connection = Connection::open(host.gateway);
        connection.write(format!("GET {path} HTTP/1.1\r\nhost: api.shop.test\r\n\r\n").as_bytes());
        connection.answer(false).unwrap()
    };
    assert_eq!(ask("/health/live").json(), json!({"status": "alive"}));
    assert_eq!(ask("/.well-known/jwks.json").json(), json!({"keys": []}));
    assert_eq!(ask("/").text(), "probe\n");
}

#[test]
fn without_its_database_a_service_is_unhealthy_until_it_returns() {
    let mut server = Postgres::start();
    let host = shop("", &server.url());
    let ada = user(&host, &email("ada"), "Ada");
    let ada = format!("/api/users/{}", ada["id"].as_str().unwrap());
    assert_eq!(page(host.gateway, "/health", 200)["status"], "healthy");
    let version = version_of_users(&host);

    server.kill();
    for (method, path, body) in [
        ("GET", "/api/users", json!({})),
        ("GET", &*ada, json!({})),
        ("POST", "/api/users", json!({"email": email("bob"), "name": "Bob"})),
        ("PUT", &*ada, json!({"name": "Bob"})),
        ("DELETE", &*ada, json!({})),
    ] {
        let answer = host.json(method, path, &body);
        assert_eq!(
            envelope(&answer, 503)["error"],
            "The service is not available now; try again later",
            "{method} {path}"
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("x-service"), Some("users"));
    }
    until("the host is unhealthy", || host.get("/health").status == 503);
    for at in [host.gateway, host.admin] {
        for path in ["/health", "/health/ready"] {
            let report = page(at, path, 503);
            assert_eq!(steady(report.clone()), whole("unhealthy", "unhealthy"));
            for inside in ["127.0.0.1", &server.port().to_string(), "postgres", "refused", "connect", "os error"] {
                assert!(!report.to_string().contains(inside), "`{inside}` in {report}");
            }
        }
        assert_eq!(page(at, "/health/live", 200), json!({"status": "alive"}));
    }
    let expected = json!({
        "status": "unhealthy", "service": "users", "version": version,
        "checks": {"postgres.users": {"status": "unhealthy", "message": "not available"}},
    });
    assert_eq!(steady(page(host.admin, "/health/services/users", 503)), expected);

    server.resume();
    let back = Instant::now();
    until("the host is healthy again", || host.get("/health").status == 200);
    println!("healthy {:?} after its database was back", back.elapsed());
    assert_eq!(steady(page(host.gateway, "/health", 200)), whole("healthy", "healthy"));
    assert_eq!(host.get(&ada).status, 200);
    assert_eq!(user(&host, &email("bob"), "Bob")["name"], "Bob");
}

#[test]
fn a_service_that_can_do_without_its_database_is_only_degraded() {
    let mut server = Postgres::start();
    let host = shop("", &format!("{}\noptional = true", server.url()));
    server.kill();
    until("the host has noticed", || host.get("/health").json()["status"] != "healthy");
    assert_eq!(steady(page(host.gateway, "/health", 200)), whole("degraded", "degraded"));
    assert_eq!(page(host.gateway, "/health/ready", 200)["status"], "degraded");
    assert_eq!(page(host.admin, "/health/services/users", 200)["status"], "degraded");
}

#[test]
fn a_thousand_probes_a_second_are_one_check_a_second() {
    let server = Postgres::start();
    let host = shop("", &server.url());
    let checks = || server.log().lines().filter(|line| line.contains("pg_is_in_recovery()")).count();
    let (before, begun) = (checks(), Instant::now());
    let probe = |at| {
        let mut connection = Connection::open(at);
        (0..)
            .take_while(|n| *n < 500 || begun.elapsed() < Duration::from_millis(2500))
            .map(|n| {
                connection.request("GET", ["/health", "/health/ready"][n % 2], &[], b"");
                assert_eq!(connection.answer(false).expect("an answer").status, 200);
            })
            .count()
    };
    let probes: usize = thread::scope(|scope| {
        let listeners = [host.gateway, host.admin].map(|at| scope.spawn(move || probe(at)));
        listeners.into_iter().map(|probing| probing.join().unwrap()).sum()
    });
    let (elapsed, asked) = (begun.elapsed(), checks() - before);
    println!("{probes} probes in {elapsed:?} asked the database {asked} times");
    assert!((1..=elapsed.as_secs() as usize + 2).contains(&asked), "{asked} in {elapsed:?}");
}

#[test]
fn a_draining_host_is_alive_and_not_ready() {
    let mut host = shop("[host]\nlinger = \"1m\"", "");
    host.signal("TERM");
    until("it is not ready", || exchange(host.admin, "GET", "/health/ready", &[], b"").status == 503);
    for at in [host.gateway, host.admin] {
        let report = steady(page(at, "/health/ready", 503));
        assert_eq!(report, whole("shutting_down", "healthy"));
        assert_eq!(page(at, "/health/live", 200), json!({"status": "alive"}));
    }
    assert_eq!(host.get("/api/users").status, 200, "load balancers have not noticed yet");
    host.signal("TERM");
    assert!(!host.ended().success(), "a second signal ends it at once");
}
