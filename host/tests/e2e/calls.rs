//! Services call each other: what is passed on, what is refused, what a failure costs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Connection, Host, Upstream, by_quick_door, exchange, until,
    upstream::{Act, ok, quoted},
};

/// A caller at `/caller…` that may call itself and `callee`, a callee that only it can reach.
fn pair(caller: &str, callee: &str) -> String {
    let caller = if caller.contains("permissions") {
        caller.to_owned()
    } else {
        format!("permissions = {{ call = [\"callee\", \"caller\"] }}\n{caller}")
    };
    format!(
        "[services.caller]\ncomponent = \"COMPONENTS/probe_net.wasm\"\n{caller}\n\
         [services.callee]\ncomponent = \"COMPONENTS/probe.wasm\"\n{callee}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"caller\"\npublic = true\n"
    )
}

/// For what a caller does many times over.
const PATIENT: &str = "[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"60s\"\n";

/// One call of the caller, told by it.
#[track_caller]
fn call(host: &Host, parameters: &str) -> Value {
    let answer = host.get(&format!("/call?{parameters}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()[0].clone()
}

fn url(to: &str) -> String {
    format!("url={}", quoted(to))
}

fn header<'a>(headers: &'a Value, name: &str) -> Vec<&'a str> {
    let all = headers.as_array().unwrap().iter();
    all.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

#[test]
fn a_callee_sees_who_calls_on_whose_behalf_and_nothing_that_the_guest_made_up() {
    let host = Host::running(&pair("", ""));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let forged = [
        "x-source-service: admin",
        "x-user-id: 7",
        "x-user-roles: admin",
        "x-user-anything: 1",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: evil",
        "forwarded: for=192.0.2.1",
        "x-real-ip: 192.0.2.1",
        "traceparent: 00-11111111111111111111111111111111-2222222222222222-01",
        "tracestate: evil=1",
        "x-request-id: forged",
        "x-trace-id: 11111111111111111111111111111111",
        "te: trailers, deflate",
        "trailer: x",
        "authorization: Bearer from-the-guest",
        "x-own: kept",
    ];
    let path = format!(
        "/call?{}&headers={}&method=POST&body=hello",
        url("http://callee.internal/echo?name=%2Fb"),
        quoted(&forged.join("\n").replace(": ", ":"))
    );
    let headers = [
        ("traceparent", format!("00-{trace}-b7ad6b7169203331-01")),
        ("tracestate", "ours=1".to_owned()),
        ("x-request-id", "request-7".to_owned()),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let told = host.send("GET", &path, &headers, b"").json()[0].clone();
    assert_eq!(told["status"], 200, "{told}");
    let seen: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&seen["method"], &seen["authority"], &seen["target"], &seen["body"], &seen["scheme"]),
        (&json!("POST"), &json!("callee.internal"), &json!("/echo?name=%2Fb"), &json!("hello"), &json!("http"))
    );
    let mut names: Vec<&str> =
        seen["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut expected =
        vec!["authorization", "te", "traceparent", "tracestate", "x-own", "x-request-id", "x-source-service"];
    if by_quick_door() {
        expected.insert(1, "content-length"); // the length of plain values is known
    }
    assert_eq!(names, expected);
    let one = |name: &str| {
        let values = header(&seen["headers"], name);
        assert_eq!(values.len(), 1, "{name}");
        values[0].to_owned()
    };
    assert_eq!(one("x-source-service"), "caller");
    assert_eq!(one("x-request-id"), "request-7");
    assert_eq!(one("tracestate"), "ours=1");
    assert_eq!(one("te"), "trailers");
    assert_eq!(one("authorization"), "Bearer from-the-guest");
    let parent = one("traceparent");
    assert!(parent.starts_with(&format!("00-{trace}-")) && !parent.contains("b7ad6b7169203331"), "{parent}");
    assert_eq!(header(&told["headers"], "x-service"), ["callee"]);
    assert_eq!(header(&told["headers"], "x-trace-id"), [trace]);
}

#[test]
fn a_call_needs_its_grant_and_a_narrowed_one_covers_its_requests_only() {
    let narrowed = "permissions = { call = { callee = [\"POST /echo\", \"GET /status/*\"] } }";
    let host = Host::running(&pair(narrowed, ""));
    let denied = |parameters: &str| {
        let told = call(&host, parameters);
        assert_eq!(told["error"], "ErrorCode::HttpRequestDenied", "{parameters}: {told}");
    };
    assert_eq!(call(&host, &format!("{}&method=POST&body=x", url("http://callee.internal/echo")))["status"], 200);
    assert_eq!(call(&host, &format!("{}&method=POST&body=x", url("http://CALLEE.Internal./%65cho")))["status"], 200);
    assert_eq!(call(&host, &url("http://callee.internal/status/7"))["status"], 404, "let through");
    denied(&url("http://callee.internal/echo"));
    denied(&format!("{}&method=POST&body=x", url("http://callee.internal/echo/")));
    denied(&url("http://callee.internal/status/7/8"));
    denied(&url("http://caller.internal/"));
    denied(&url("http://nobody.internal/"));
    denied(&url("https://callee.internal/echo"));
    denied(&url("http://callee.internal:8080/echo"));
    denied(&url("http://127.0.0.1/"));
    let invalid = call(&host, &url("http://callee.internal/status/../echo"));
    assert_eq!(invalid["error"], "ErrorCode::HttpRequestUriInvalid");
    let line = host.log.expect_line("GET http://callee.internal/echo");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["service"], &line["allow"]), (&json!("caller"), &json!("call = { callee = [\"GET /echo\"] }")));
    assert!(line["rule"].is_string() && line["traceId"].is_string(), "{line}");
}

#[test]
fn a_circle_of_calls_ends_as_508_quickly_and_hurts_nobody() {
    let host = Host::running(&pair("limits = { concurrency = 64 }", ""));
    let began = Instant::now();
    let answer = host.get("/circle");
    println!("a circle ended after {:?}", began.elapsed());
    assert_eq!(answer.status, 508, "{}", answer.text());
    assert_eq!(answer.json()["success"], false);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(host.get("/").status, 200);
    assert_eq!(host.get("/health").status, 200);
    assert_eq!(call(&host, &url("http://callee.internal/"))["body"], "probe\n");
}

#[test]
fn a_circle_through_one_place_waits_no_longer_than_its_queue() {
    let host = Host::running(&pair("limits = { concurrency = 1, queue = { length = 8, wait = \"100ms\" } }", ""));
    let began = Instant::now();
    let answer = host.get("/circle");
    println!("a circle through one place ended after {:?}", began.elapsed());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(host.get("/").status, 200, "its place is free again");
}

#[test]
fn failures_of_a_callee_are_the_answers_that_the_gateway_gives() {
    let host = Host::running(&pair("", "limits = { timeout = \"1500ms\" }"));
    for (path, status) in [("/trap", 502), ("/no-answer", 502), ("/sleep?ms=30000", 504), ("/status?code=409", 409)] {
        let told = call(&host, &format!("{}&method=POST", url(&format!("http://callee.internal{path}"))));
        assert_eq!(told["status"], status, "{path}: {told}");
        assert_eq!(told["whole"], true);
        if status > 409 {
            let body: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
            assert_eq!(body["success"], false, "{path}");
            assert_eq!(header(&told["headers"], "x-trace-id"), [body["traceId"].as_str().unwrap()]);
        }
    }
}

#[test]
fn a_slow_callee_costs_its_caller_two_seconds_and_no_more() {
    let patient = "limits = { timeout = \"9s\" }";
    let host = Host::running(&pair(patient, patient));
    let waited = |hurry: &str| {
        let told = call(&host, &format!("{}{hurry}", url("http://callee.internal/sleep?ms=30000")));
        assert_eq!(told["status"], 504, "{told}");
        told["ms"].as_u64().unwrap()
    };
    let once = waited("");
    assert!((1900..4000).contains(&once), "one try, not repeated: {once} ms");
    let shortest = (0..3).map(|_| waited("&first=300")).min().unwrap();
    assert!(shortest < 1800, "as the guest asked: {shortest} ms at best");
}

#[test]
fn in_a_chain_the_slow_service_is_late_and_those_before_it_answer() {
    let middle =
        "[services.middle]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = { call = [\"callee\"] }\n";
    let caller = "permissions = { call = [\"middle\"] }\nlimits = { timeout = \"3s\" }";
    let host = Host::running(&format!("{}{middle}", pair(caller, "")));
    let slow = quoted("http://callee.internal/sleep?ms=20000");
    let to = url(&format!("http://middle.internal/proxy?url={slow}"));
    for hurry in ["&first=800", "&first=400", ""] {
        // It has a tenth of a second for that, which a busy machine may take; then the same is asked again.
        until(&format!("it passes on what it was told: {hurry}"), || {
            let told = call(&host, &format!("{to}{hurry}&method=POST"));
            assert_eq!(told["status"], 504, "{told}");
            header(&told["headers"], "x-service") == ["middle"]
        });
    }
    let through =
        format!("http://middle.internal/call?{}&first=15000&method=POST", url("http://callee.internal/sleep?ms=20000"));
    until("it tells its caller before that has to answer", || {
        let answer = host.get(&format!("/call?{}&first=15000&method=POST", url(&through)));
        answer.status == 200 && answer.json()[0]["status"] == 200
    });
}

#[test]
fn a_failing_callee_opens_its_breaker_and_callers_are_answered_at_once() {
    let host = Host::running(&format!("{PATIENT}{}", pair("limits = { timeout = \"60s\" }\n", "")));
    let answer = host.get(&format!("/call?times=40&method=POST&{}", url("http://callee.internal/trap")));
    let statuses: Vec<u64> =
        answer.json().as_array().unwrap().iter().map(|told| told["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses[..20], [502; 20]);
    assert!(statuses[20..].contains(&503), "{statuses:?}");
    let health = exchange(host.admin, "GET", "/health/services/caller", &[], b"");
    let told = call(&host, &url("http://callee.internal/"));
    if told["status"] == 503 {
        assert!(told["ms"].as_u64().unwrap() < 1000, "{told}");
        assert_eq!(health.json()["checks"]["call.callee"]["status"], "unhealthy", "{}", health.text());
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while call(&host, &url("http://callee.internal/"))["status"] != 200 {
        assert!(Instant::now() < deadline, "it recovers");
    }
}

#[test]
fn a_caller_in_a_hurry_puts_nobody_to_rest_and_a_callee_that_is_late_by_its_own_limit_rests() {
    let patient = "limits = { timeout = \"60s\" }\n";
    let statuses = |host: &Host, parameters: &str| -> Vec<u64> {
        let to = url("http://callee.internal/sleep?ms=30000");
        let answer = host.get(&format!("/call?times=45&method=POST&{to}{parameters}"));
        answer.json().as_array().unwrap().iter().map(|told| told["status"].as_u64().unwrap()).collect()
    };
    let host = Host::running(&format!("{PATIENT}{}", pair(patient, "")));
    assert_eq!(statuses(&host, "&first=1"), [504; 45], "it is asked every time");
    let health = exchange(host.admin, "GET", "/health/services/caller", &[], b"").json();
    assert_eq!(health["checks"]["call.callee"]["status"], "healthy", "{health}");
    assert_eq!(call(&host, &format!("{}&method=POST", url("http://callee.internal/")))["status"], 200);

    let host = Host::running(&format!("{PATIENT}{}", pair(patient, "limits = { timeout = \"100ms\" }")));
    let statuses = statuses(&host, "");
    assert_eq!(statuses[..20], [504; 20]);
    assert!(statuses[20..].contains(&503), "{statuses:?}");
}

#[test]
fn health_of_a_caller_names_each_callee() {
    let host = Host::running(&pair("", ""));
    let health = exchange(host.admin, "GET", "/health/services/caller", &[], b"").json();
    assert_eq!(health["checks"]["call.callee"]["status"], "healthy", "{health}");
    assert_eq!(health["checks"]["call.caller"]["status"], "healthy");
}

/// A callee that asks `upstream`, so that the test can count, and then answers 503.
fn counting(upstream: &Upstream) -> (Host, String) {
    let caller = "permissions = { call = [\"counter\"] }";
    let counter = format!(
        "[services.counter]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ net = [\"{}\"] }}\n",
        upstream.address
    );
    let host = Host::running(&format!("{}{counter}", pair(caller, "")));
    let to = format!("http://counter.internal/call?url={}&then=503", quoted(&upstream.url("/count")));
    (host, url(&to))
}

#[test]
fn a_post_reaches_a_service_once_and_a_get_three_times() {
    let upstream = Upstream::answering("counted");
    let (host, to) = counting(&upstream);
    assert_eq!(call(&host, &format!("{to}&method=POST&body=x"))["status"], 503);
    assert_eq!(upstream.requests().len(), 1, "a POST is sent once");
    assert_eq!(call(&host, &to)["status"], 503);
    assert_eq!(upstream.requests().len(), 4, "a GET is tried three times");
    let keyed = format!("{to}&method=POST&body=x&headers={}", quoted("idempotency-key:1"));
    assert_eq!(call(&host, &keyed)["status"], 503);
    assert_eq!(upstream.requests().len(), 7, "so is a POST with an Idempotency-Key, its body kept");
}

#[test]
fn an_answer_that_its_callee_cut_never_looks_whole_to_the_caller() {
    let host = Host::running(&pair("", "limits = { cpu = \"100ms\" }"));
    for path in ["/trap-after-head", "/spin-after-head", "/length?says=100&sends=10"] {
        let to = url(&format!("http://callee.internal{path}"));
        let told = call(&host, &format!("{to}&method=POST"));
        let failed = |status: u64| status == 502 || by_quick_door() && status == 504; // no head, no answer
        assert!(told["status"].as_u64().is_some_and(failed) || told["whole"] == false, "{path}: {told}");
        let proxied = host.get(&format!("/proxy?{to}"));
        assert!(failed(proxied.status.into()) || !proxied.whole, "{path}: {proxied:?}");
    }
    if by_quick_door() {
        return;
    }
    let told = call(&host, &url("http://callee.internal/spin-after-head"));
    assert_eq!((&told["status"], &told["whole"]), (&json!(200), &json!(false)), "{told}");
}

#[test]
fn half_a_request_of_a_caller_that_died_is_never_taken_for_a_whole_one() {
    if by_quick_door() {
        return println!("this needs a stream");
    }
    let upstream = Upstream::answering("counted");
    let counter = format!("permissions = {{ net = [\"{}\"] }}\n", upstream.address);
    let caller = "permissions = { call = [\"callee\", \"counter\"] }";
    let host = Host::running(&format!(
        "{}[services.counter]\ncomponent = \"COMPONENTS/probe_net.wasm\"\n{counter}",
        pair(caller, "")
    ));
    for _ in 0..12 {
        let to = format!("http://counter.internal/proxy?url={}", quoted(&upstream.url("/")));
        let answer = host.get(&format!("/die?method=POST&ms=5&{}", url(&to)));
        assert_eq!(answer.status, 502);
    }
    assert_eq!(upstream.requests(), Vec::<String>::new(), "the chunked bodies never ended");
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn bodies_stream_through_a_call_in_both_directions_at_once() {
    if by_quick_door() {
        return println!("this needs a stream");
    }
    let limits = "limits = { timeout = \"60s\", cpu = \"20s\" }";
    let host = Host::running(&format!("{PATIENT}body_limit = \"64MiB\"\n{}", pair(limits, limits)));
    let before = host.memory_mib();
    let path = format!("/proxy?{}", url("http://callee.internal/echo-body"));
    let mut connection = Connection::open(host.gateway);
    let size = 24 << 20;
    connection
        .write(format!("POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {size}\r\n\r\n", host.gateway).as_bytes());
    connection.write(&[b'x'; 4096]);
    let mut answer = connection.begin().expect("the answer begins before the request has ended");
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut writer = connection.writer();
    let sending = std::thread::spawn(move || {
        let piece = vec![b'x'; 64 << 10];
        let mut left = size - 4096;
        while left > 0 {
            let now = left.min(piece.len());
            std::io::Write::write_all(&mut writer, &piece[..now]).unwrap();
            left -= now;
        }
    });
    connection.finish(&mut answer);
    sending.join().unwrap();
    assert!(answer.whole && answer.body.len() == size, "{} bytes, whole: {}", answer.body.len(), answer.whole);
    let growth = host.memory_peak_mib().saturating_sub(before);
    println!("24 MiB through two services and back: +{growth} MiB");
    assert!(growth < 64, "{growth} MiB");
}

#[test]
fn a_client_that_leaves_ends_the_whole_chain() {
    if by_quick_door() {
        return println!("this needs a stream");
    }
    let callee = "limits = { concurrency = 1, queue = { length = 0, wait = \"1ms\" }, timeout = \"60s\" }";
    let host = Host::running(&format!("{PATIENT}{}", pair("limits = { timeout = \"60s\" }", callee)));
    let mut connection = Connection::open(host.gateway);
    connection.request(
        "GET",
        &format!("/proxy?{}", url("http://callee.internal/stream?chunks=1200&size=1&ms=50")),
        &[],
        b"",
    );
    assert_eq!(connection.begin().expect("it begins").status, 200);
    let busy = call(&host, &format!("{}&method=POST", url("http://callee.internal/")));
    assert_eq!(busy["status"], 503, "the callee is taken");
    drop(connection);
    let deadline = Instant::now() + Duration::from_secs(20);
    while call(&host, &format!("{}&method=POST", url("http://callee.internal/")))["status"] != 200 {
        assert!(Instant::now() < deadline, "the callee was let go");
    }
}

#[test]
fn what_a_callee_computes_is_not_billed_to_its_caller() {
    let host = Host::running(&pair("limits = { cpu = \"60ms\" }", ""));
    let told = call(&host, &url("http://callee.internal/spin?ms=400"));
    assert_eq!(told["status"], 200, "{told}");
    let streamed = call(&host, &url("http://callee.internal/stream?chunks=50&size=1000"));
    assert_eq!((&streamed["status"], &streamed["whole"]), (&json!(200), &json!(true)));
}

#[test]
fn a_call_to_nobody_is_a_mistake_of_the_manifest() {
    let failed = Host::start(crate::harness::place(), &pair("permissions = { call = [\"calee\"] }", ""));
    let errors = failed.err().expect("refused").errors;
    assert!(errors.contains("there is no service `calee`; did you mean `callee`?"), "{errors}");
}

#[test]
fn a_retry_gets_the_answer_of_a_server_that_recovered() {
    let upstream = Upstream::acting(|number, _| match number {
        0 => Act::Say(b"HTTP/1.1 503 Not Yet\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => Act::Say(ok("recovered").into_bytes()),
    });
    let counter = format!(
        "[services.counter]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ net = [\"{}\"] }}\n",
        upstream.address
    );
    let host = Host::running(&format!("{}{counter}", pair("permissions = { call = [\"counter\"] }", "")));
    let to = format!("http://counter.internal/proxy?url={}", quoted(&upstream.url("/")));
    let told = call(&host, &url(&to));
    assert_eq!((&told["status"], &told["body"]), (&json!(200), &json!("recovered")), "{told}");
    assert_eq!(upstream.requests().len(), 2);
}
