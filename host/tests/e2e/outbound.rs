//! Services dial out: only where they may, over connections that are used again, and never longer
//! than they may wait.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Host, Upstream, free,
    upstream::{Act, ok, quoted},
};

fn dialler(net: &str) -> Host {
    Host::running(&service(net))
}

fn service(net: &str) -> String {
    format!(
        "[services.dialler]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ net = {net} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"dialler\"\npublic = true\n"
    )
}

#[track_caller]
fn call(host: &Host, url: &str, more: &str) -> Value {
    let answer = host.get(&format!("/call?url={}{more}", quoted(url)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()[0].clone()
}

#[test]
fn a_granted_server_is_reached_and_learns_nothing_about_users() {
    let upstream = Upstream::answering("hello");
    let host = dialler(&format!("[\"{}\"]", upstream.address));
    let forged = "x-user-id:7\nx-user-roles:admin\nx-source-service:a\nx-forwarded-for:192.0.2.1\n\
                  traceparent:00-11111111111111111111111111111111-2222222222222222-01\nauthorization:Basic eA==\nx-own:1";
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let path = format!("/call?method=POST&body=abc&url={}&headers={}", quoted(&upstream.url("/a?b=c")), quoted(forged));
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let told = host.send("GET", &path, &[("traceparent", &traceparent), ("x-user-id", "9")], b"").json()[0].clone();
    assert_eq!((&told["status"], &told["body"]), (&json!(200), &json!("hello")), "{told}");
    let request = upstream.requests().remove(0).to_ascii_lowercase();
    assert!(request.starts_with("post /a?b=c http/1.1\r\n") && request.contains("abc"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", upstream.address)), "{request}");
    assert!(request.contains(&format!("traceparent: 00-{trace}-")), "{request}");
    assert!(request.contains("authorization: basic ea==\r\n") && request.contains("x-own: 1\r\n"), "{request}");
    for never in ["x-user", "x-source", "x-forwarded", "1111111", "b7ad6b7169203331"] {
        assert!(!request.contains(never), "{never} in {request}");
    }
}

#[test]
fn what_is_not_granted_is_refused_and_the_log_names_the_line_to_add() {
    let elsewhere = Upstream::answering("hello");
    let host = dialler("[\"api.example.com:443\"]");
    let answer = host.get(&format!("/fetch?url={}", quoted(&elsewhere.url("/secret?token=canary"))));
    assert_eq!((answer.status, answer.text().trim()), (403, "ErrorCode::HttpRequestDenied"));
    assert_eq!(elsewhere.connections(), 0, "nothing may leave the host");
    let line = host.log.expect_line("may not reach");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["service"], "dialler");
    assert_eq!(line["target"], elsewhere.address.to_string());
    assert_eq!(line["allow"], format!("net = [\"{}\"]", elsewhere.address));
    assert!(line["rule"].is_string() && !host.log.text().contains("canary"), "{line}");
}

#[test]
fn no_spelling_of_this_machine_gets_past_a_grant_for_names() {
    let here = Upstream::answering("hello");
    let port = here.address.port();
    let host = dialler(&format!(
        "{{ allow = [\"*.example.com\", \"0.0.0.0/0\", \"[::/0]\", \"localhost.:{port}\"], deny = [\"localhost\"] }}"
    ));
    for place in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::7f00:1]",
        "localhost",
        "LOCALHOST.",
        "127.0.0.1%00",
        "user@127.0.0.1",
        "169.254.169.254",
    ] {
        let told = call(&host, &format!("http://{place}:{port}/"), "");
        let error = told["error"].as_str().unwrap_or_else(|| panic!("{place}: {told}"));
        let refused = ["ErrorCode::HttpRequestDenied", "ErrorCode::HttpRequestUriInvalid"];
        assert!(refused.contains(&error), "{place}: {error}");
    }
    assert_eq!(here.connections(), 0);
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused_unless_it_is_localhost_itself() {
    let here = Upstream::answering("hello");
    let host = dialler(&format!("[\"localhost:{}\"]", here.address.port()));
    let told = call(&host, &format!("http://localhost:{}/", here.address.port()), "");
    assert_eq!(told["status"], 200, "{told}");
}

#[test]
fn connections_are_used_again_and_never_by_another_service() {
    let upstream = Upstream::answering("hello");
    let net = format!("[\"{}\"]", upstream.address);
    let other = service(&net).replace("dialler", "other").replace("/{*rest}", "/other/{*rest}");
    let host = Host::running(&format!("{}{other}", service(&net)));
    let answer = host.get(&format!("/call?times=10&url={}", quoted(&upstream.url("/"))));
    assert!(answer.json().as_array().unwrap().iter().all(|told| told["status"] == 200), "{}", answer.text());
    for _ in 0..5 {
        assert_eq!(call(&host, &upstream.url("/"), "")["status"], 200);
    }
    let connections = upstream.connections();
    // One that is just being given back is not there for the next request.
    assert!(upstream.requests().len() == 15 && connections <= 2, "{connections}");
}

#[test]
fn every_wait_on_the_way_out_has_its_own_limit_and_error() {
    let slow = Upstream::acting(|_, head| match head.split(' ').nth(1) {
        Some("/head") => Act::Hang,
        Some("/body") => {
            Act::Pause(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(), Duration::from_secs(30))
        }
        Some("/cut") => Act::Pause(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(), Duration::ZERO),
        Some("/close") => Act::Pause(Vec::new(), Duration::ZERO),
        Some("/fields") => Act::Say(
            [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(200), b"content-length: 0\r\n\r\n".to_vec()].concat(),
        ),
        Some("/long") => Act::Say(
            [b"HTTP/1.1 200 OK\r\na: ".to_vec(), vec![b'b'; 200_000], b"\r\ncontent-length: 0\r\n\r\n".to_vec()]
                .concat(),
        ),
        _ => Act::Say(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
    });
    let unused = free();
    let host = dialler(&format!("[\"{}\", \"{unused}\", \"no-such-name.invalid:80\"]", slow.address));
    let error = |path: &str, more: &str| {
        let told = call(&host, &slow.url(path), more);
        told["error"].as_str().unwrap_or_else(|| panic!("{path}: {told}")).to_owned()
    };
    let began = Instant::now();
    assert_eq!(error("/head", "&first=200"), "ErrorCode::HttpResponseTimeout");
    let told = call(&host, &slow.url("/body"), "&between=200");
    assert_eq!((&told["status"], &told["body"], &told["whole"]), (&json!(200), &json!("half"), &json!(false)));
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    let told = call(&host, &slow.url("/cut"), "");
    assert_eq!((&told["body"], &told["whole"]), (&json!("half"), &json!(false)));
    assert_eq!(error("/close", ""), "ErrorCode::ConnectionTerminated");
    for path in ["/fields", "/long"] {
        assert_eq!(error(path, ""), "ErrorCode::HttpResponseHeaderSectionSize(None)", "{path}");
    }
    assert_eq!(error("/garbage", ""), "ErrorCode::HttpProtocolError");
    let told = call(&host, &format!("http://{unused}/"), "");
    assert_eq!(told["error"], "ErrorCode::ConnectionRefused");
    let told = call(&host, "http://no-such-name.invalid/", "");
    assert!(told["error"].as_str().unwrap().starts_with("ErrorCode::Dns"), "{told}");
}

#[test]
fn a_server_that_never_answers_costs_the_caller_its_own_deadline() {
    let hanging = Upstream::acting(|_, _| Act::Hang);
    let host = Host::running(
        &service(&format!("[\"{}\"]", hanging.address))
            .replace("permissions", "limits = { timeout = \"3s\" }\npermissions"),
    );
    let began = Instant::now();
    assert_eq!(host.get(&format!("/call?url={}", quoted(&hanging.url("/")))).status, 504);
    assert!(began.elapsed() < Duration::from_secs(9), "the gateway's is 10 s: {:?}", began.elapsed());
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn a_redirect_is_the_guests_own_next_request() {
    let upstream = Upstream::acting(|_, _| {
        Act::Say(b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n".to_vec())
    });
    let host = dialler(&format!("[\"{}\"]", upstream.address));
    assert_eq!(call(&host, &upstream.url("/"), "")["status"], 302);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_large_answer_streams_through_within_bounds() {
    let size = 32 << 20;
    let upstream = Upstream::acting(move |_, _| Act::Say(ok(&"x".repeat(size)).into_bytes()));
    let host = dialler(&format!("[\"{}\"]", upstream.address));
    let before = host.memory_mib();
    let answer = host.get(&format!("/proxy?url={}", quoted(&upstream.url("/"))));
    assert!(answer.whole && answer.body.len() == size);
    let growth = host.memory_peak_mib().saturating_sub(before);
    println!("32 MiB from outside: +{growth} MiB");
    assert!(growth < 64, "{growth} MiB");
}

#[test]
fn net_true_needs_the_hosts_consent_and_is_warned_about() {
    let refused = Host::start(crate::harness::place(), &service("true")).err().expect("refused").errors;
    assert!(refused.contains("allow_unrestricted = true"), "{refused}");
    let upstream = Upstream::answering("hello");
    let host = Host::running(&format!("[host]\nallow_unrestricted = true\n{}", service("true")));
    assert_eq!(call(&host, &upstream.url("/"), "")["status"], 200);
    host.log.expect_line("reaches everything");
}

#[test]
fn half_a_request_of_a_guest_that_died_never_reaches_a_server_as_a_whole_one() {
    let upstream = Upstream::answering("counted");
    let host = dialler(&format!("[\"{}\"]", upstream.address));
    let dying = format!("method=POST&url={}", quoted(&upstream.url("/d")));
    std::thread::scope(|scope| {
        for first in 0..4_u64 {
            let (host, dying) = (&host, &dying);
            scope.spawn(move || {
                for number in 0..24 {
                    let answer = host.get(&format!("/die?{dying}&ms={}", (first + number) % 7));
                    assert_eq!(answer.status, 502, "it died, and nobody gives it a rest");
                    // Most requests must go well: the breaker would turn the next ones away.
                    (0..2).for_each(|_| assert_eq!(host.get("/").status, 200));
                }
            });
        }
    });
    assert!(upstream.connections() > 0, "some of them got as far as the server");
    assert_eq!(upstream.requests(), Vec::<String>::new(), "none of the bodies ended");
}
