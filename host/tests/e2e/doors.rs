//! The two doors of a component: which one a request takes, and what is only so behind the quick one.
//!
//! What is the same behind both is held by the same tests: `just doors` runs those of guests' behaviours once more
//! with guests that have the quick door and no other.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Answer, Command, Connection, Host, Shared, Upstream, components, exchange, free, until,
    upstream::{Act, ok, quoted},
};

/// A service behind the quick door only.
fn quick(lines: &str) -> String {
    format!(
        "[services.quick]\ncomponent = \"COMPONENTS/probe_quick.wasm\"\n{lines}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"quick\"\npublic = true\n"
    )
}

static QUICK: Shared = Shared::new(|| {
    Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nbody_limit = \"256KiB\"\n{}",
        quick("limits = { memory = \"64MiB\" }")
    ))
});

fn chunked(host: &Host, path: &str, pieces: &[&[u8]], end: &str) -> Answer {
    let mut connection = Connection::open(host.gateway);
    connection.write(format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes());
    for piece in pieces {
        connection.write(format!("{:x}\r\n", piece.len()).as_bytes());
        connection.write(&[piece, &b"\r\n"[..]].concat());
    }
    connection.write(end.as_bytes());
    connection.answer(false).expect("an answer")
}

#[test]
fn the_doors_of_a_component_are_told_by_inspect_check_and_run() {
    for (name, doors) in [
        ("hello", json!(["wasi:http", "archipel:http"])),
        ("plain", json!(["wasi:http"])),
        ("probe_quick", json!(["archipel:http"])),
    ] {
        let file = components().join(name).with_extension("wasm");
        let found = Command::new(&["inspect", file.to_str().unwrap()]).json();
        assert_eq!((&found["doors"], &found["runnable"]), (&doors, &json!(true)), "{name}");
    }
    let host = QUICK.get();
    assert_eq!(host.report["services"][0]["doors"], json!(["archipel:http"]));
    let manifest = host.folder.path().join("manifest.toml");
    let checked = Command::new(&["check", manifest.to_str().unwrap()]).json();
    assert_eq!(checked["doors"], json!({ "quick": ["archipel:http"] }));
}

#[test]
fn a_component_behind_the_quick_door_only_gets_its_uploads_as_a_whole_and_none_that_are_too_long() {
    let host = QUICK.get();
    let piece = vec![b'x'; 50_000];
    let answer = chunked(&host, "/echo-body", &[&piece[..]; 3], "0\r\nx-trailer: 1\r\n\r\n");
    assert_eq!((answer.status, answer.body.len()), (200, 150_000), "{}", answer.text());
    let declared = host.send("POST", "/echo-body", &[], &[b'y'; 200_000]);
    assert_eq!((declared.status, declared.body.len()), (200, 200_000));
    let long = chunked(&host, "/echo-body", &[&piece[..]; 6], "0\r\n\r\n");
    assert_eq!((long.status, &long.json()["success"]), (413, &json!(false)), "found out on the way");
    assert_eq!(host.send("POST", "/echo-body", &[], &[b'y'; 300_000]).status, 413, "and before it");
    assert_eq!(chunked(&host, "/echo-body", &[&piece[..]], "zz\r\n").status, 400, "a broken one never reaches it");
    assert_eq!(host.get("/").status, 200);
}

#[test]
fn a_component_behind_both_doors_takes_an_upload_while_it_arrives_and_a_whole_request_as_values() {
    let host = Host::running(
        "[services.hello]\ncomponent = \"COMPONENTS/hello.wasm\"\n\
         [[routes]]\npath = \"/{*rest}\"\nservice = \"hello\"\npublic = true\n",
    );
    let mut connection = Connection::open(host.gateway);
    connection.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\nthe beginning");
    let early = connection.answer(false).expect("before the request's end");
    assert_eq!((early.status, early.text()), (200, "hello from archipel\n".to_owned()));
    assert_eq!(host.send("POST", "/", &[], b"whole").text(), "hello from archipel\n");
    // Behind the quick door alone nobody answers half a request.
    let host = QUICK.get();
    let mut connection = Connection::open(host.gateway);
    connection.write(b"POST /discard-body HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\nthe beginning");
    assert_eq!(host.get("/").status, 200, "and nobody else waits for it");
    connection.write(&vec![b'x'; 200_000 - "the beginning".len()]);
    assert_eq!(connection.answer(false).expect("an answer").text(), "not read\n");
}

#[test]
fn values_that_are_no_valid_http_are_a_bad_gateway_and_the_log_says_which() {
    let host = QUICK.get();
    for (path, named) in [
        ("/status?code=99", "its status is 99"),
        ("/status?code=1000", "its status is 1000"),
        ("/status?code=101", "101"),
        ("/header?name=connection&value=close", "`connection`: forbidden header name"),
        ("/header?name=transfer-encoding&value=chunked", "`transfer-encoding`: forbidden header name"),
        ("/header?name=x-a&value=b%0d%0ax-evil:%201", "`x-a`: invalid header value"),
        ("/header?name=x-a%0d%0ax-evil&value=1", "`x-a\\r\\nx-evil`: invalid header name"),
        ("/length?says=100&sends=10", "`Content-Length` is 100, its body 10"),
        ("/no-answer", "an answer"),
    ] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.header("x-evil")), (502, None), "{path}: {answer:?}");
        let trace = answer.header("x-trace-id").unwrap();
        let says = |line: &str| (line.contains(trace) && line.replace("\\\\", "\\").contains(named)).then_some(());
        assert!(host.log.find(says).is_some(), "{path}: {named}\n{}", host.log.text());
    }
    let many = "/stream?chunks=2200&size=4096";
    assert_eq!(host.get(many).status, 502, "an answer of more than 8 MiB");
    let large = host.get("/stream?chunks=1700&size=4096");
    assert_eq!((large.status, large.body.len()), (200, 1700 * 4096));
}

#[test]
fn an_instance_that_wants_to_retire_is_not_asked_again() {
    let host = Host::running(&quick("limits = { reuse = { requests = 100, idle = \"1h\" } }"));
    let count = |path: &str| host.get(path).json()["count"].as_u64().unwrap();
    assert_eq!([count("/counter"), count("/counter")], [1, 2]);
    assert_eq!([count("/counter?name=retire"), count("/counter")], [3, 1]);
}

#[test]
fn an_answer_counts_against_the_memory_of_all_guests_until_its_client_has_read_it() {
    let host = QUICK.get();
    let memory = || host.command(&["status", "--json"]).json()["services"][0]["memoryBytes"].as_u64().unwrap();
    let mut stuck = Connection::open(host.gateway);
    stuck.request("GET", "/stream?chunks=1700&size=4096&ms=0", &[], b"");
    let answer = stuck.begin().expect("its head");
    assert_eq!(answer.status, 200);
    assert!(memory() > 6 << 20, "{}", memory());
    drop(stuck);
    until("it is given back", || memory() <= 6 << 20);
}

/// A service that sends by the quick client, to `callee` and to these places outside.
fn sender(net: &str) -> Host {
    Host::running(&format!(
        "[services.sender]\ncomponent = \"COMPONENTS/probe_client.wasm\"\n\
         permissions = {{ call = [\"callee\"], net = [{net}] }}\n\
         [services.callee]\ncomponent = \"COMPONENTS/probe_quick.wasm\"\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"sender\"\npublic = true\n"
    ))
}

#[track_caller]
fn sent(host: &Host, url: &str, more: &str) -> Value {
    let answer = host.get(&format!("/call?url={}{more}", quoted(url)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()[0].clone()
}

#[test]
fn a_whole_request_goes_out_where_a_streamed_one_may_and_comes_back_whole() {
    let upstream = Upstream::answering("hello");
    let host = sender(&format!("\"{}\"", upstream.address));
    let headers = quoted("x-own:1\nx-user-id:7\naccept:a/b");
    let told = sent(&host, "http://callee.internal/echo?name=1", &format!("&method=PUT&body=abc&headers={headers}"));
    let seen: Value = serde_json::from_str(told["body"].as_str().unwrap_or_else(|| panic!("{told}"))).unwrap();
    assert_eq!(
        (&seen["method"], &seen["target"], &seen["body"]),
        (&json!("PUT"), &json!("/echo?name=1"), &json!("abc"))
    );
    let names: Vec<&str> = seen["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    assert!(
        names.contains(&"x-own") && names.contains(&"x-source-service") && !names.contains(&"x-user-id"),
        "{names:?}"
    );

    let told = sent(&host, &upstream.url("/a?b=c"), &format!("&method=POST&body=abc&headers={headers}"));
    assert_eq!((&told["status"], &told["body"]), (&json!(200), &json!("hello")), "{told}");
    let request = upstream.requests().remove(0).to_ascii_lowercase();
    assert!(request.starts_with("post /a?b=c http/1.1\r\n") && request.contains("content-length: 3\r\n"), "{request}");
    assert!(
        request.contains(&format!("host: {}\r\n", upstream.address)) && !request.contains("x-user-id"),
        "{request}"
    );
}

#[test]
fn a_whole_request_that_has_no_answer_says_why() {
    let upstream = Upstream::acting(|_, head| match head.split(' ').nth(1) {
        Some("/hang") => Act::Hang,
        Some("/cut") => Act::Pause(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(), Duration::ZERO),
        Some("/slow") => {
            Act::Pause(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(), Duration::from_secs(30))
        }
        _ => Act::Say(ok("0123456789").into_bytes()),
    });
    let unused = free();
    let host = sender(&format!("\"{}\", \"{unused}\"", upstream.address));
    let named = |url: &str, more: &str| {
        let told = sent(&host, url, more);
        told["named"].as_str().unwrap_or_else(|| panic!("{url}{more}: {told}")).to_owned()
    };
    let whole = upstream.url("/");
    assert_eq!(sent(&host, &whole, "&most=10")["body"], "0123456789");
    for (url, more, starts) in [
        (&*whole, "&most=9", "Error::TooLarge"),
        (&*upstream.url("/hang"), "&first=200", "Error::Timeout"),
        (&*upstream.url("/slow"), "&first=200", "Error::Timeout"),
        (&*upstream.url("/cut"), "", "Error::Unreachable"),
        (&*format!("http://{unused}/"), "", "Error::Unreachable"),
        ("http://callee.internal/stream?chunks=3&size=10", "&most=29", "Error::TooLarge"),
        (&*whole, "&method=GE%20T", "Error::InvalidRequest"),
        (&*whole, "&method=TRACE", "Error::InvalidRequest"),
        (&*whole, "&headers=connection%3Aclose", "Error::InvalidRequest"),
        (&*whole, "&headers=content-length%3A4&body=abc", "Error::InvalidRequest"),
        ("http://user@callee.internal/", "", "Error::InvalidRequest"),
        ("http://callee.internal/a/../b", "", "Error::InvalidRequest"),
        ("http://nobody.internal/", "", "Error::Denied"),
    ] {
        let error = named(url, more);
        assert!(error.starts_with(starts), "{url}{more}: {error}");
    }
    let elsewhere = Upstream::answering("hello");
    let error = named(&elsewhere.url("/secret"), "");
    assert_eq!((error, elsewhere.connections()), (format!("Error::Denied(\"{}\")", elsewhere.address), 0));
    let line: Value = serde_json::from_str(&host.log.expect_line(&elsewhere.address.to_string())).unwrap();
    assert_eq!(line["allow"], format!("net = [\"{}\"]", elsewhere.address));
    let health = exchange(host.admin, "GET", "/health/services/sender", &[], b"").json();
    assert_eq!(health["checks"]["call.callee"]["status"], "healthy", "{health}");
}

#[test]
fn a_component_that_sends_whole_requests_without_a_grant_does_not_start() {
    let manifest = "[services.sender]\ncomponent = \"COMPONENTS/probe_client.wasm\"\n";
    let refused = Host::start(crate::harness::place(), manifest).err().expect("refused").errors;
    assert!(refused.contains("imports `archipel:http/client@0.1.0`"), "{refused}");
    assert!(refused.contains("call = [\"SERVICE\"] or net = [\"HOST:PORT\"]"), "{refused}");
}
