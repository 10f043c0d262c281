//! Components made with the stock tools of other languages: they import what they never call, run
//! without a single grant, and what they do try is denied and told.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::{Value, json};

use crate::harness::{Answer, Collector, Connection, Host, Shared, Upstream, foreign, until, upstream::quoted};

/// One host for both languages: compiling them takes seconds.
static HOST: Shared = Shared::new(start);

fn start() -> Host {
    let python = service("python", "limits = { memory = \"256MiB\", reuse = { requests = 128 } }\n");
    Host::running(&(python + &service("javascript", "")))
}

/// A service without permissions, for the host `NAME.test`.
fn service(name: &str, lines: &str) -> String {
    let component = foreign(name);
    format!(
        "[services.{name}]\ncomponent = \"{component}\"\n{lines}\
         [[routes]]\nhost = \"{name}.test\"\npath = \"/{{*rest}}\"\nservice = \"{name}\"\npublic = true\n"
    )
}

/// What the service says, and the trace under which the log speaks of it.
#[track_caller]
fn ask(host: &Host, service: &str, path: &str) -> (Answer, String) {
    let (answer, trace) = tried(host, service, path);
    (answer.expect("an answer"), trace)
}

/// No answer: it was cut before its head was sent.
fn tried(host: &Host, service: &str, path: &str) -> (Option<Answer>, String) {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let trace = format!("0af7651916cd43dd8448eb211c80{:04x}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut connection = Connection::open(host.gateway);
    let head = format!("host: {service}.test\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\n");
    connection.write(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes());
    (connection.answer(false), trace)
}

#[track_caller]
fn answers(host: &Host, service: &str) {
    let (answer, _) = ask(host, service, "/");
    assert_eq!((answer.status, answer.text()), (200, format!("{service}\n")));
}

#[track_caller]
fn starts_without_grants_and_answers(service: &str) {
    let host = HOST.get();
    let services = host.report["services"].as_array().unwrap();
    let told = services.iter().find(|told| told["name"] == service).expect("in the report");
    assert_eq!(told["permissions"], json!([]));
    answers(&host, service);
}

#[test]
fn a_stock_python_component_starts_without_grants_and_answers() {
    starts_without_grants_and_answers("python");
}

#[test]
fn a_stock_javascript_component_starts_without_grants_and_answers() {
    starts_without_grants_and_answers("javascript");
}

/// An attempt that must fail in the guest with one of `errors`, and be told with the line that would
/// allow it, which has `allow` in it.
#[track_caller]
fn is_denied(host: &Host, service: &str, path: &str, errors: &[&str], allow: &str) -> Value {
    let (answer, trace) = ask(host, service, path);
    assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    assert!(errors.contains(&answer.text().trim()), "{path}: {}", answer.text());
    let denial = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["traceId"] == trace && line["rule"].is_string()).then_some(line)
    };
    let line = host.log.find(denial).unwrap_or_else(|| panic!("{path} is not told in:\n{}", host.log.text()));
    assert_eq!((&line["service"], &line["level"]), (&json!(service), &json!("warn")), "{path}");
    assert!(line["allow"].as_str().is_some_and(|found| found.contains(allow)), "{path}: no `{allow}` in {line}");
    line["target"].clone()
}

#[test]
fn what_they_try_beyond_their_grants_is_denied_and_told() {
    let elsewhere = Upstream::answering("hello");
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let host = HOST.get();
    let to = elsewhere.address;

    let sockets = |path: &str| is_denied(&host, "python", path, &["PermissionError EACCES"], "sockets = true");
    assert_eq!(sockets(&format!("/connect?to={to}")), "TCP sockets");
    sockets(&format!("/send?to={}", datagrams.local_addr().unwrap()));
    sockets("/listen?at=127.0.0.1:0");
    let no_name = ["gaierror EAI_FAIL", "PermissionError EACCES"];
    let name = is_denied(&host, "python", "/resolve?name=probe.invalid", &no_name, "sockets = true");
    assert!(name.as_str().is_some_and(|name| name.contains("probe.invalid")), "{name}");

    for (service, error) in [
        ("python", "ErrorCode_HttpRequestDenied"),
        ("javascript", "TypeError: NetworkError when attempting to fetch resource"),
    ] {
        let fetch =
            |url: &str, allow: &str| is_denied(&host, service, &format!("/fetch?url={}", quoted(url)), &[error], allow);
        assert_eq!(fetch(&elsewhere.url("/"), &format!("net = [\"{to}\"]")), to.to_string());
        fetch("http://users.internal/", "call = [\"users\"]");
    }

    // Nothing asks the host for these: there is no folder to look in, and the variables are not there.
    let manifest = host.folder.path().join("manifest.toml");
    for path in [manifest.to_str().unwrap(), "/etc/passwd", "../manifest.toml"] {
        let (answer, _) = ask(&host, "python", &format!("/open?path={}", quoted(path)));
        assert_eq!((answer.status, answer.text().trim()), (403, "FileNotFoundError ENOENT"), "{path}");
    }
    assert_eq!(ask(&host, "python", "/env?name=CANARY").0.text(), "absent\n");

    assert_eq!(elsewhere.connections(), 0, "nothing may leave the host");
    datagrams.set_nonblocking(true).unwrap();
    assert_eq!(datagrams.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock, "nothing may leave the host");
    ["python", "javascript"].iter().for_each(|service| answers(&host, service));
}

/// What the log and the trace say of a request that fails: the error in one line, and the exception's type, message
/// and stack.
#[track_caller]
fn fails(host: &Host, collector: &Collector, service: &str, path: &str) -> (String, [String; 3]) {
    // JavaScript's engine begins an answer before it ends: where it is slow, that is cut.
    let asked = || tried(host, service, path);
    let (answer, trace) = until("an answer is whole", || Some(asked()).filter(|(answer, _)| answer.is_some()));
    let answer = answer.expect("whole");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(!answer.text().contains("Error"), "nothing of it reaches a client: {}", answer.text());
    // It is this request's failure and no reason to put a service to rest, however often.
    let all: Vec<_> = (0..24).filter_map(|_| Some(asked().0?.status)).collect();
    assert!(all.iter().all(|status| *status == 500), "{all:?}");
    answers(host, service);
    let failure = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["traceId"] == trace && line["message"] == "a request failed").then(|| line["error"].to_string())
    };
    let error = host.log.find(failure).unwrap_or_else(|| panic!("{path} is not told in:\n{}", host.log.text()));
    let spans = collector.trace(&trace, |spans| spans.iter().any(|span| span.service == service));
    let span = spans.iter().find(|span| span.service == service).expect("the guest's");
    assert!(span.is_error, "{span:#?}");
    let (name, said) = span.events.first().unwrap_or_else(|| panic!("no event in {span:#?}"));
    assert_eq!((name.as_str(), span.events.len()), ("exception", 1), "{span:#?}");
    (error, ["type", "message", "stacktrace"].map(|name| said[&format!("exception.{name}")].clone()))
}

/// Where a source has this text for the first time.
fn line_of(source: &str, text: &str) -> usize {
    1 + source.lines().position(|line| line.contains(text)).expect("a line of the source")
}

#[test]
fn an_error_that_nobody_catches_is_told_with_its_own_stack() {
    let collector = Collector::start();
    let limits = "limits = { memory = \"256MiB\" }\n";
    let host = Host::running(&(service("python", limits) + &service("javascript", "") + &collector.telemetry("")));
    let python = include_str!("../../../components/foreign/python/app.py");
    let at = format!("app.py:{})", line_of(python, "place(query[\"to\"])"));
    let (error, [kind, message, stack]) = fails(&host, &collector, "python", "/connect");
    assert!(error.contains("KeyError: 'to'; in connect (") && error.contains(&at), "{error}");
    assert!(error.contains(", called by handle ("), "{error}");
    assert_eq!((&*kind, &*message), ("KeyError", "'to'"));
    assert!(stack.starts_with("at connect (") && stack.contains(&at) && stack.contains("\nat handle ("), "{stack}");
    let javascript = include_str!("../../../components/foreign/javascript/app.js");
    let at = format!("app.js:{}:", line_of(javascript, "throw new RangeError"));
    let (error, [kind, message, stack]) = fails(&host, &collector, "javascript", "/throw");
    assert!(error.contains("Error: no price of tea; in price (") && error.contains(&at), "{error}");
    assert!(error.contains(", called by answer ("), "{error}");
    assert_eq!((&*kind, &*message), ("Error", "no price of tea"));
    assert!(stack.starts_with("at price (") && stack.contains(&at) && stack.contains("\nat answer ("), "{stack}");
}
