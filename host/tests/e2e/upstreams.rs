//! Services that run elsewhere: what they are asked, what they answer, what a failure of theirs costs.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{
    Command, Connection, Host, Upstream,
    admin::wasm,
    free, probe, until,
    upstream::{Act, ok, quoted},
};

/// `legacy` at this URL, behind every path, public; with these lines in its table.
fn legacy(url: &str, lines: &str) -> String {
    format!(
        "[services.legacy]\nurl = {url}\n{lines}\n[[routes]]\npath = \"/{{*rest}}\"\nservice = \"legacy\"\npublic = true\n"
    )
}

fn at(upstream: &Upstream) -> String {
    format!("\"http://{}\"", upstream.address)
}

/// The URL of a port where nobody listens.
fn nowhere() -> String {
    format!("http://{}", free())
}

/// What the admin API says of it now.
#[track_caller]
fn status(host: &Host) -> Value {
    host.admin("GET", "/v1/services/legacy", b"").json()["data"].clone()
}

#[test]
fn a_service_elsewhere_is_asked_as_a_component_would_be_and_its_answer_cleaned() {
    let answer = "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
                  x-user-id: 7\r\nx-service: forged\r\nset-cookie: a=b\r\n\r\nhi";
    let elsewhere = Upstream::acting(move |_, _| Act::Say(answer.into()));
    let host = Host::running(&legacy(&at(&elsewhere), ""));
    let headers = [
        ("connection", "x-mine"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("x-user-id", "forged"),
        ("x-source-service", "forged"),
        ("x-forwarded-for", "192.0.2.1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-request-id", "request-7"),
        ("x-own", "kept"),
    ];
    let answer = host.send("POST", "/a%20b?c=d", &headers, b"hello");
    assert_eq!((answer.status, answer.text()), (201, "hi".into()));
    assert_eq!(answer.header("set-cookie"), Some("a=b"));
    assert_eq!(answer.header("x-service"), Some("legacy"));
    for gone in ["x-hop", "keep-alive", "x-user-id", "x-service-version"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    let seen = elsewhere.requests()[0].to_ascii_lowercase();
    assert!(seen.starts_with("post /a%20b?c=d http/1.1\r\n") && seen.ends_with("\r\n\r\nhello"), "{seen}");
    for there in [
        &format!("\r\nhost: {}\r\n", elsewhere.address),
        &format!("\r\nx-forwarded-host: {}\r\n", host.gateway),
        "\r\nx-forwarded-for: 127.0.0.1\r\n",
        "\r\nx-request-id: request-7\r\n",
        "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-",
        "\r\nx-own: kept\r\n",
        "\r\ncontent-length: 5\r\n",
    ] {
        assert!(seen.contains(there), "{there} in {seen}");
    }
    for gone in ["x-mine", "x-user-id", "x-source-service", "b7ad6b7169203331", "forged"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[test]
fn a_component_that_may_calls_it_and_who_calls_on_whose_behalf_is_told() {
    let elsewhere = Upstream::answering("{\"data\": {\"from\": \"elsewhere\"}}");
    let host = Host::running(&format!(
        "[auth.main]\nissuer = \"a\"\naudience = \"b\"\nkeys = {{ generate = true }}\n\
         [services.legacy]\nurl = {}\n\
         [services.caller]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ call = {{ legacy = [\"GET /a\"] }} }}\n\
         [[routes]]\npath = \"/{{*rest}}\"\nservice = \"caller\"\nauth = \"main\"\n\
         [[routes]]\npath = \"/both\"\nmethods = [\"GET\"]\npublic = true\n\
         gather = {{ one = \"legacy:/one\", two = {{ from = \"legacy:/two\", default = 2 }} }}\n",
        at(&elsewhere)
    ));
    let token = format!("Bearer {}", host.token("user-7", &["admin"]));
    let call = |to: &str| {
        let path = format!("/call?url={}", quoted(to));
        host.send("GET", &path, &[("authorization", &token)], b"").json()[0].clone()
    };
    let told = call("http://legacy.internal/a");
    assert_eq!((&told["status"], &told["body"]), (&json!(200), &json!("{\"data\": {\"from\": \"elsewhere\"}}")));
    let seen = elsewhere.requests()[0].to_ascii_lowercase();
    for there in [
        "\r\nx-source-service: caller\r\n",
        "\r\nx-user-id: user-7\r\n",
        "\r\nx-user-roles: admin\r\n",
        "\r\ntraceparent: ",
    ] {
        assert!(seen.contains(there), "{there} in {seen}");
    }
    assert!(!seen.contains("authorization"), "{seen}");
    let refused = call("http://legacy.internal/b");
    assert!(refused["error"].to_string().contains("HttpRequestDenied"), "{refused}");
    assert_eq!(elsewhere.requests().len(), 1, "what is not granted is not sent");

    let both = host.get("/both").json();
    assert_eq!(both["data"], json!({ "one": { "from": "elsewhere" }, "two": { "from": "elsewhere" } }));
}

#[test]
fn failures_elsewhere_have_the_answers_of_failures_here() {
    let elsewhere = Upstream::acting(|_, head| match head.split(' ').nth(1).unwrap() {
        "/garbage" => Act::Pause(b"SSH-2.0-OpenSSH\r\n".to_vec(), Duration::ZERO),
        "/late" => Act::Hang,
        "/upgraded" => {
            Act::Say(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec())
        }
        _ => Act::Say(b"HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\n\r\n".to_vec()),
    });
    let host = Host::running(&format!(
        "{}[services.gone]\nurl = \"{}\"\n[[routes]]\npath = \"/gone\"\nservice = \"gone\"\npublic = true\n",
        legacy(&at(&elsewhere), "limits = { timeout = \"3s\" }"),
        nowhere()
    ));
    assert_eq!(host.get("/own").status, 418, "its own word passes");
    for (path, status, error) in [
        ("/garbage", 502, "The service gave no valid answer"),
        ("/upgraded", 502, "The service gave no valid answer"),
        ("/late", 504, "The service did not answer in time"),
        ("/gone", 503, "The service is not available; try again shortly"),
    ] {
        let answer = host.get(path);
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{path}");
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"), "{path}");
    }
    host.log.expect_line("cannot be reached: the connection was refused");
}

#[test]
fn an_answer_that_breaks_off_elsewhere_is_aborted_here() {
    let elsewhere = Upstream::acting(|_, head| match head.split(' ').nth(1).unwrap() {
        "/length" => Act::Pause(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec(), Duration::ZERO),
        "/late" => Act::Pause(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec(), Duration::from_secs(60)),
        _ => {
            Act::Pause(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(), Duration::ZERO)
        }
    });
    let host = Host::running(&legacy(&at(&elsewhere), "limits = { timeout = \"3s\" }"));
    for path in ["/length", "/chunks", "/late"] {
        let mut connection = Connection::open(host.gateway);
        connection.request("GET", path, &[], b"");
        assert!(!connection.answer(false).expect("a head").whole, "{path} looked whole");
    }
    host.log.expect_line("its answer took longer than `limits.timeout`");
    until("all are out", || status(&host)["inFlight"] == 0);
}

#[test]
fn bodies_stream_both_ways_and_arrive_whole() {
    let elsewhere = Upstream::acting(|_, request| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        Act::Say(ok(&body.len().to_string()).into_bytes())
    });
    let host = Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nbody_limit = \"4MiB\"\n{}",
        legacy(&at(&elsewhere), "")
    ));
    let body = vec![b'x'; 3 << 20];
    assert_eq!(host.send("PUT", "/", &[], &body).text(), body.len().to_string());

    let large = "y".repeat(8 << 20);
    let answer = ok(&large);
    let sender = Upstream::acting(move |_, _| Act::Say(answer.clone().into_bytes()));
    let host = Host::running(&legacy(&at(&sender), ""));
    assert_eq!(host.get("/").text().len(), large.len());
    assert_eq!(host.send("HEAD", "/none", &[], b"").status, 200);
}

#[test]
fn where_it_is_changes_while_the_host_runs_and_what_is_counted_goes_on() {
    let (old, new) = (Upstream::answering("old"), Upstream::answering("new"));
    let host = Host::running(&legacy(&at(&old), ""));
    assert_eq!(host.get("/").text(), "old");
    let file = host.folder.path().join("manifest.toml");
    let moved = fs::read_to_string(&file).unwrap().replace(&old.address.to_string(), &new.address.to_string());
    let applied = host.apply(&moved);
    assert_eq!(applied.json()["data"]["services"], json!([{ "name": "legacy", "change": "changed", "version": null }]));
    assert_eq!(host.get("/").text(), "new");
    let now = status(&host);
    assert_eq!((&now["requests"], &now["url"]), (&json!(2), &json!([format!("http://{}", new.address)])));
    assert_eq!(host.apply(&moved).json()["data"]["services"][0]["change"], "kept");

    let gone = moved.split("[services.legacy]").next().unwrap().to_owned();
    assert_eq!(host.apply(&gone).json()["data"]["services"][0]["change"], "removed");
    assert_eq!(host.get("/").status, 404);
}

#[test]
fn it_is_no_component_and_says_so_when_it_is_to_be_swapped() {
    let host = Host::running(&legacy(&format!("\"{}\"", nowhere()), ""));
    let refused = host.swap("legacy", &wasm("hello"));
    assert_eq!(refused.status, 409);
    let error = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("service `legacy` is no component: it runs at http://127.0.0.1:"), "{error}");
    assert!(error.contains("archipel apply"), "{error}");
    assert_eq!(host.admin("POST", "/v1/services/legacy/rollback", b"").status, 409);
    assert_eq!(host.admin("GET", "/v1/services/legacy/versions", b"").status, 409);
    assert_eq!(host.admin("GET", "/v1/services/nobody", b"").status, 404);
}

#[test]
fn status_metrics_health_and_the_commands_know_it() {
    let elsewhere = Upstream::answering("hello");
    let url = format!("[\"http://{}\", \"{}\"]", elsewhere.address, nowhere());
    // A check may take as long as it is to the next.
    let lines = "health = { path = \"/health\", interval = \"1s\" }";
    let host = Host::running(&legacy(&url, lines));
    assert_eq!(host.report["elsewhere"]["legacy"][0], json!(format!("http://{}", elsewhere.address)));
    until("the one that nobody listens at is down", || status(&host)["addresses"][1]["health"] == "down");
    (0..20).for_each(|_| assert_eq!(host.get("/").text(), "hello"));
    let now = status(&host);
    assert_eq!((&now["requests"], &now["errors"], &now["retries"]), (&json!(20), &json!(0), &json!(0)));
    let whole = host.admin("GET", "/v1/status", b"").json()["data"].clone();
    assert_eq!((&whole["elsewhere"][0]["name"], &whole["services"]), (&json!("legacy"), &json!([])));
    assert_eq!(host.admin("GET", "/health/services/legacy", b"").json()["status"], "healthy");
    let page = host.admin("GET", "/metrics", b"").text();
    for line in [
        "archipel_service_requests_total{service=\"legacy\"} 20",
        "archipel_upstream_addresses{service=\"legacy\",health=\"well\"} 1",
        "archipel_upstream_addresses{service=\"legacy\",health=\"down\"} 1",
        "archipel_upstream_retries_total{service=\"legacy\"} 0",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    let file = host.folder.path().join("manifest.toml");
    let file = file.to_str().unwrap();
    assert_eq!(Command::new(&["check", file]).json()["services"], json!(1));
    let explained = Command::new(&["explain", file, "GET", "/a"]).json();
    let target = explained["route"]["target"].as_str().unwrap().to_owned();
    assert!(target.starts_with(&format!("service legacy at http://{}", elsewhere.address)), "{target}");
    let other = host.folder.path().join("other.toml");
    fs::write(&other, fs::read_to_string(file).unwrap().replace(&elsewhere.address.to_string(), "10.0.0.7:1")).unwrap();
    let diff = Command::new(&["diff", file, other.to_str().unwrap()]).json();
    assert_eq!(diff["changes"]["url of legacy"]["added"], json!(["http://10.0.0.7:1"]));

    let alone = Host::running(&legacy(&format!("\"{}\"", nowhere()), lines));
    until("it is not well", || alone.admin("GET", "/health/services/legacy", b"").status == 503);
    let began = Instant::now();
    assert_eq!(alone.get("/").status, 503);
    assert!(began.elapsed() < Duration::from_secs(4), "before `limits.timeout`: at once");
}

#[test]
fn one_that_fails_most_requests_rests_and_its_places_are_bounded() {
    let elsewhere = Upstream::acting(|_, head| match head.split(' ').nth(1).unwrap() {
        "/hang" => Act::Hang,
        "/broken" => Act::Pause(b"nothing\r\n\r\n".to_vec(), Duration::ZERO),
        _ => Act::Say(ok("hello").into_bytes()),
    });
    let host = Host::running(&legacy(&at(&elsewhere), "limits = { concurrency = 1, queue = { length = 0 } }"));
    let mut hanging = Connection::open(host.gateway);
    hanging.request("GET", "/hang", &[], b"");
    until("it is in", || status(&host)["inFlight"] == 1);
    let full = host.get("/");
    assert_eq!(
        (full.status, full.json()["error"].clone()),
        (503, json!("The service is overloaded; try again shortly"))
    );
    drop(hanging);
    until("it is out", || status(&host)["inFlight"] == 0);
    assert_eq!(host.get("/").text(), "hello");
    until("its place is free", || status(&host)["inFlight"] == 0);
    // It rests for a second only: whoever goes on asking may see the end of that.
    let mut statuses: Vec<u16> = Vec::new();
    while statuses.len() < 25 && statuses.last() != Some(&503) {
        statuses.push(host.send("POST", "/broken", &[], b"").status);
    }
    statuses.dedup();
    assert_eq!(statuses, [502, 503], "first it is tried, then it rests");
    until("it is tried again", || host.get("/").status == 200);
}

/// Server-sent events, one each 100 ms.
fn events(count: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let _ = socket.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
                let said = (0..count).try_fold(socket.write_all(head.as_bytes()), |said, _| {
                    said.as_ref().ok()?;
                    thread::park_timeout(Duration::from_millis(100));
                    Some(socket.write_all(b"9\r\ndata: 1\n\n\r\n"))
                });
                if said.is_some() {
                    let _ = socket.write_all(b"0\r\n\r\n");
                }
            });
        }
    });
    address
}

#[test]
fn a_stream_outlives_the_time_of_its_service_elsewhere_and_here_and_no_other_route_does() {
    let limits = "limits = { timeout = \"2s\" }";
    let routes = |service: &str| {
        format!(
            "[[routes]]\npath = \"/{service}/stream\"\nservice = \"{service}\"\npublic = true\nstream = true\n\
             [[routes]]\npath = \"/{service}/{{*rest}}\"\nservice = \"{service}\"\npublic = true\n"
        )
    };
    let host = Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"2s\"\n\
         [services.legacy]\nurl = \"http://{}\"\n{limits}\n{}",
        events(30),
        routes("legacy"),
    ));
    let whole = host.get("/legacy/stream");
    assert!(whole.whole);
    assert_eq!((whole.text().len(), whole.header("content-type")), (30 * 9, Some("text/event-stream")));
    let mut connection = Connection::open(host.gateway);
    connection.request("GET", "/legacy/other", &[], b"");
    assert!(!connection.answer(false).expect("a head").whole, "it is cut");

    let stream = "[[routes]]\npath = \"/stream\"\nservice = \"probe\"\npublic = true\nstream = true\n";
    let host =
        Host::running(&format!("[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"2s\"\n{}{stream}", probe(limits)));
    let answer = host.get("/stream?chunks=30&size=1&ms=100");
    assert_eq!((answer.whole, answer.text().len()), (true, 30));
}

/// Listens until the test's process ends: each connection gets the head of an answer that has no end, this much at
/// once; how many bytes anybody has taken of one.
fn endless(piece: &'static [u8], pause: Duration) -> (String, Arc<AtomicUsize>) {
    let (listener, most) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::<AtomicUsize>::default());
    let (url, told) = (format!("http://{}", listener.local_addr().unwrap()), most.clone());
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let most = most.clone();
            thread::spawn(move || {
                let mut sent = 0;
                // Who answers before it is asked has another fault: that connection was never good.
                let asked = socket.read(&mut [0; 1]);
                let begun = asked.and_then(|_| socket.write_all(b"HTTP/1.1 200 OK\r\n"));
                while begun.is_ok() && socket.write_all(piece).is_ok() {
                    sent += piece.len();
                    most.fetch_max(sent, Relaxed);
                    thread::park_timeout(pause);
                }
            });
        }
    });
    (url, told)
}

#[test]
fn a_head_without_an_end_is_no_answer() {
    let fields = endless(b"a:b\r\n".repeat(800).leak(), Duration::ZERO);
    let field = endless(&[b'x'; 4096], Duration::ZERO);
    let trickle = endless(b"a:b\r\n", Duration::from_millis(200));
    for ((url, taken), status) in [(fields, 502), (field, 502), (trickle, 504)] {
        let host = Host::running(&legacy(&format!("\"{url}\""), "limits = { timeout = \"3s\" }"));
        let before = host.memory_mib();
        let began = Instant::now();
        let answer = host.get("/");
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(host.memory_peak_mib() < before + 16, "{} MiB", host.memory_peak_mib() - before);
        // The kernel's buffers take some MiB of it; then nobody reads on.
        let taken = taken.load(Relaxed);
        assert!(taken < 16 << 20, "{taken} bytes");
        // And the same where a component asks.
        let address = url.trim_start_matches("http://");
        let dialler = Host::running(&format!(
            "[services.dialler]\ncomponent = \"COMPONENTS/probe_net.wasm\"\npermissions = {{ net = [\"{address}\"] }}\n\
             [[routes]]\npath = \"/{{*rest}}\"\nservice = \"dialler\"\npublic = true\n"
        ));
        let told = dialler.get(&format!("/call?first=3000&url={}", quoted(&url))).json()[0]["error"].clone();
        // What grows without an end is too large, or no HTTP by then, or cut while it is still sent.
        let expected: &[&str] = match status {
            502 => &[
                "ErrorCode::HttpResponseHeaderSectionSize(None)",
                "ErrorCode::HttpProtocolError",
                "ErrorCode::ConnectionTerminated",
            ],
            _ => &["ErrorCode::HttpResponseTimeout"],
        };
        assert!(expected.iter().any(|expected| told == *expected), "{told}");
    }
}
