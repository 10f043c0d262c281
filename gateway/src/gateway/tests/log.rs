//! What the log says of a request, and what it never says.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use super::*;
use crate::auth::{TokenError, Verified, Verify};

/// The JSON log of the whole test run. One for all tests: a log of one thread would race with the
/// others for the process's cache of what is listened to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn listen() -> Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        let start = || {
            let lines = Self::default();
            let writer = lines.clone();
            let log = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::DEBUG);
            log.with_writer(move || writer.clone()).init();
            lines
        };
        LINES.get_or_init(start).clone()
    }

    /// The one event of a target about a trace.
    fn only(&self, target: &str, trace_id: &str) -> serde_json::Value {
        let bytes = self.0.lock().unwrap().clone();
        let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<serde_json::Value>();
        let ours = |event: &serde_json::Value| event["target"] == target && event["traceId"] == trace_id;
        let mut events: Vec<_> = lines.map(Result::unwrap).filter(ours).collect();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }
}

#[tokio::test]
async fn each_request_is_one_access_event_without_its_query() {
    let lines = Lines::listen();
    let trace_id = "a".repeat(32);
    let gateway = Gateway::new(table(vec![entry("/users/{id}", Methods::Any, hello())]), settings());
    let sent = format!("GET /users/7?token=canary\nx-request-id: r-1\nx-trace-id: {trace_id}");
    text(send(&gateway, request(&sent)).await).await.unwrap();

    let event = lines.only("access", &trace_id);
    for (name, value) in [
        ("message", "request"),
        ("method", "GET"),
        ("path", "/users/7"),
        ("requestId", "r-1"),
        ("service", "service"),
        ("route", "/users/{id}"),
    ] {
        assert_eq!(event[name], value, "{event}");
    }
    assert_eq!((event["status"].as_u64(), event["complete"].as_bool()), (Some(200), Some(true)));
    assert_eq!(event["level"], "INFO");
    assert!(event["durationMs"].is_f64() && event["spanId"].as_str().unwrap().len() == 16);
    assert!(!event.to_string().contains("canary"));
}

#[tokio::test]
async fn a_client_that_leaves_early_is_logged_as_gone() {
    let lines = Lines::listen();
    let trace_id = "b".repeat(32);
    let gateway = gateway(silent());
    {
        let waiting = send(&gateway, request(&format!("GET /\nx-trace-id: {trace_id}")));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
    }
    let event = lines.only("access", &trace_id);
    assert_eq!((event["status"].as_u64(), event["complete"].as_bool()), (Some(499), Some(false)));
}

#[tokio::test]
async fn a_trap_is_a_warning_with_its_reason_and_trace_id() {
    let lines = Lines::listen();
    let trace_id = "c".repeat(32);
    let trapped = |_request| Err(DispatchError::Trapped { service: "users".into(), reason: "out of bounds".into() });
    send(&gateway(service(trapped)), request(&format!("GET /\nx-trace-id: {trace_id}"))).await;
    let event = lines.only("gateway::error", &trace_id);
    assert_eq!((event["level"].as_str(), event["status"].as_u64()), (Some("WARN"), Some(502)));
    assert_eq!(event["error"], "service `users` trapped: out of bounds");
}

#[tokio::test]
async fn a_clients_mistake_is_no_alarm() {
    let lines = Lines::listen();
    let trace_id = "d".repeat(32);
    let gateway = Gateway::new(RouteTable::default(), settings());
    send(&gateway, request(&format!("GET /\nx-trace-id: {trace_id}"))).await;
    assert_eq!(lines.only("gateway::error", &trace_id)["level"], "DEBUG");
}

struct Nobody;

impl Verify for Nobody {
    fn verify<'a>(&'a self, _token: &'a str) -> Verified<'a> {
        Box::pin(async { Err(TokenError::Refused("the signature is right, but it has expired")) })
    }
}

#[tokio::test(start_paused = true)]
async fn why_a_token_was_refused_is_told_and_never_the_token() {
    let lines = Lines::listen();
    let guarded = Settings { access: Access::Token(Arc::new(Nobody)), ..settings() };
    let gateway = Gateway::new(RouteTable::default(), guarded);
    let ask = async |trace_id: &str| {
        let head = format!("GET /\nx-trace-id: {trace_id}\nauthorization: Bearer canary");
        assert_eq!(send(&gateway, request(&head)).await.status(), 401);
    };
    let trace_id = "e".repeat(32);
    ask(&trace_id).await;
    let event = lines.only("gateway::gateway", &trace_id);
    assert_eq!((event["level"].as_str(), event["client"].as_str()), (Some("INFO"), Some("192.0.2.7")));
    assert_eq!(event["reason"], "the token is refused: the signature is right, but it has expired");
    for n in 1..=50 {
        ask(&format!("{n:032}")).await;
    }
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    // Others of this process are in the log, too.
    let is_ours = |line: &&str| line.contains("a token was refused") && line.contains(&"0".repeat(30));
    assert_eq!(log.lines().filter(is_ours).count(), 4, "with the one before it five, and this second does not pass");
    assert!(!log.contains("canary"));
}

#[tokio::test]
async fn the_line_tells_who_asked_for_which_host_how_and_how_much() {
    let lines = Lines::listen();
    let trace_id = "f".repeat(32);
    let answers = |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        Box::pin(async move {
            request.into_body().collect().await?;
            Ok(Response::new(stream(&["hel", "lo"], true)))
        })
    };
    let trusting = Settings { trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()], ..settings() };
    let gateway = Gateway::new(table(vec![entry("/{*rest}", Methods::Any, answers)]), trusting);
    let agent = "a".repeat(300);
    let head = format!(
        "POST /\nhost: Shop.test:3000\nuser-agent: {agent}\nx-forwarded-for: 203.0.113.5\nx-trace-id: {trace_id}"
    );
    let asked = request(&head).map(|_none| Full::new(Bytes::from("1234567")));
    text(send(&gateway, asked).await).await.unwrap();
    let event = lines.only("access", &trace_id);
    for (name, value) in
        [("client", "203.0.113.5"), ("host", "Shop.test:3000"), ("protocol", "HTTP/1.1"), ("userAgent", &agent[..256])]
    {
        assert_eq!(event[name], value, "{event}");
    }
    assert_eq!((event["bytesIn"].as_u64(), event["bytesOut"].as_u64()), (Some(7), Some(5)), "{event}");
}

#[tokio::test]
async fn a_probe_is_no_news() {
    let lines = Lines::listen();
    let probe = Entry { exempt: true, ..entry("/health/{*rest}", Methods::Any, hello()) };
    let gateway = Gateway::new(table(vec![probe, entry("/healthy", Methods::Any, hello())]), settings());
    for (path, trace_id, level) in [
        ("/health/ready", "1".repeat(32), "DEBUG"),
        ("/health", "2".repeat(32), "DEBUG"),
        ("/healthy", "3".repeat(32), "INFO"),
    ] {
        text(send(&gateway, request(&format!("GET {path}\nx-trace-id: {trace_id}"))).await).await.unwrap();
        assert_eq!(lines.only("access", &trace_id)["level"], level, "{path}");
    }
}
