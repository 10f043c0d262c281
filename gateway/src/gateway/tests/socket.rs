//! The gateway behind its real listener: what a client on a socket gets.

use std::net::SocketAddr;

use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{drain::Drain, listener};

/// Nothing here takes longer unless it is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that listens on 127.0.0.1 until it is dropped.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    drain: Drain,
}

impl Served {
    pub(super) fn new(gateway: Gateway) -> Self {
        Self::shared(Arc::new(gateway))
    }

    pub(super) fn shared(gateway: Arc<Gateway>) -> Self {
        let listeners = listener::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners.addresses().next().unwrap();
        let drain = Drain::new();
        let settings = listener::Settings::new(NonZeroUsize::new(64).unwrap());
        tokio::spawn(listener::serve(listeners, gateway, settings, drain.clone()));
        Self { address, drain }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// All that comes back until the connection closes.
    pub(super) async fn exchange(&self, sent: impl AsRef<[u8]>) -> String {
        let mut socket = self.connect().await;
        socket.write_all(sent.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("it closes").unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The same of a connection that may be reset.
    pub(super) async fn exchange_until_gone(&self, sent: impl AsRef<[u8]>) -> String {
        let mut socket = self.connect().await;
        socket.write_all(sent.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        let _either_way = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("it closes");
        String::from_utf8(answer).unwrap()
    }

    /// HTTP/2 by prior knowledge.
    pub(super) async fn h2<B>(&self) -> SendRequest<B>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.drain.cut();
    }
}

#[tokio::test]
async fn a_head_without_a_body_keeps_the_length_of_what_it_stands_for() {
    // As a service answers that knows the length and sends nothing, or sends all of it.
    for body in ["", "hello"] {
        let served = Served::new(gateway(service(move |request| {
            let status: u16 = request.uri().path()[1..].parse().unwrap();
            Ok(Response::builder().status(status).header("content-length", "1234").body(body::full(body)).unwrap())
        })));
        let mut h2 = served.h2().await;
        for (method, status, length) in [
            ("HEAD", 200, Some("1234")),
            ("HEAD", 404, Some("1234")),
            ("HEAD", 304, Some("1234")),
            ("GET", 304, Some("1234")),
            ("HEAD", 204, None),
            ("GET", 204, None),
        ] {
            let line = length.map(|length| format!("content-length: {length}\r\n"));
            let once = format!("{method} /{status} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let answer = served.exchange(once).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {status}: {answer}");
            assert_eq!(line.as_deref(), answer.split_inclusive("\r\n").find(|line| line.starts_with("content-length")));
            assert!(answer.ends_with("\r\n\r\n"), "{method} {status}: {answer}");

            let request = Request::builder().method(method).uri(format!("http://a/{status}"));
            let answer = h2.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), status, "{method}");
            assert_eq!(answer.headers().get("content-length").map(|value| value.to_str().unwrap()), length);
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "");
        }
        // Nothing follows the head, so the next answer on the connection is read as what it is.
        let twice = "GET /304 HTTP/1.1\r\nhost: a\r\n\r\nHEAD /200 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = served.exchange(twice).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
        assert_eq!(answer.matches("content-length: 1234\r\n").count(), 2, "{answer}");
    }
}

#[tokio::test]
async fn http_1_0_without_a_host_is_answered_by_the_routes_that_name_none() {
    for hosts in [&[][..], &["shop.test", "b.test"]] {
        let seen = Seen::default();
        let mut elsewhere = entry("/{*rest}", Methods::Any, hello());
        elsewhere.route.host = Some("shop.test".parse().unwrap());
        let own = Settings { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..settings() };
        let probe = Entry { exempt: true, ..entry("/health", Methods::parse(["GET"]).unwrap(), hello()) };
        let routes = table(vec![elsewhere, entry("/{*rest}", Methods::Any, recording(&seen)), probe]);
        let served = Served::new(Gateway::new(routes, own));
        for (head, status) in [
            ("GET /a HTTP/1.0\r\n\r\n", 200),
            ("GET /health HTTP/1.0\r\n\r\n", 200),
            ("OPTIONS / HTTP/1.0\r\n\r\n", 405), // what HAProxy sends where nothing else is said
            ("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
            ("GET /a HTTP/1.0\r\nHost:\r\n\r\n", 400),
        ] {
            let answer = served.exchange(head).await;
            assert!(answer.contains(&format!(" {status} ")), "{head}: {answer}");
        }
        let seen = seen.lock().unwrap();
        assert_eq!(field(&seen[0].0.headers, "host"), [hosts.first().unwrap_or(&"localhost")]);
        assert_eq!(seen.len(), 1);
    }
}

#[tokio::test]
async fn the_crumbs_of_a_cookie_are_one_field_for_a_service_and_for_the_limit() {
    let seen = Seen::default();
    let served = Served::new(gateway(recording(&seen)));
    let mut h2 = served.h2().await;
    let crumbs: Vec<String> = (0..300).map(|n| format!("c{n}=\u{e9}")).collect();
    for (fields, status) in [(90, 200), (120, 431)] {
        let mut request = Request::get("http://a/");
        for crumb in &crumbs {
            request = request.header("cookie", HeaderValue::from_bytes(crumb.as_bytes()).unwrap());
        }
        for n in 0..fields {
            request = request.header(format!("x-{n}"), "1");
        }
        let answer = h2.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    let one = Request::get("http://a/").header("cookie", "a=b; c=d").body(Empty::<Bytes>::new()).unwrap();
    h2.send_request(one).await.unwrap();
    let seen = seen.lock().unwrap();
    let cookies: Vec<_> = seen.iter().map(|(head, _)| field(&head.headers, "cookie")).collect();
    assert_eq!(cookies.iter().map(|cookies| cookies.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(cookies[0][0].as_bytes(), crumbs.join("; ").as_bytes());
    assert_eq!(cookies[1][0], "a=b; c=d");
}

#[tokio::test]
async fn crumbs_over_the_limit_of_a_head_never_become_a_cookie() {
    let seen = Seen::default();
    let served = Served::new(gateway(recording(&seen)));
    let mut request = Request::get("http://a/");
    for n in 0..3000 {
        request = request.header("cookie", format!("crumb{n}=0123456789"));
    }
    let answer = served.h2().await.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_reads_only_when_all_is_sent() {
    let reading = |_cx: Arc<RequestContext>, request: Request<Body>| -> Dispatched<'static> {
        Box::pin(async move {
            let refused = request.uri().path() == "/401";
            let status = if refused { 401 } else { u16::from(request.into_body().collect().await.is_ok()) + 200 };
            Ok(Response::builder().status(status).body(body::full("said")).unwrap())
        })
    };
    let roomy = Settings { body_limit_bytes: 1 << 30, ..settings() };
    let routes = || table(vec![entry("/{*rest}", Methods::Any, reading)]);
    let (small, large) = (Served::new(Gateway::new(routes(), settings())), Served::new(Gateway::new(routes(), roomy)));
    const LENGTH: usize = 32 << 20;
    for (served, path, status) in [(&small, "/", 413), (&large, "/401", 401)] {
        for framing in [format!("Content-Length: {LENGTH}"), "Transfer-Encoding: chunked".to_owned()] {
            let mut socket = served.connect().await;
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            let chunked = framing.starts_with('T');
            let piece = if chunked { format!("10000\r\n{}\r\n", "x".repeat(0x10000)) } else { "x".repeat(0x10000) };
            for _ in 0..LENGTH / 0x10000 {
                socket.write_all(piece.as_bytes()).await.expect("it is read on");
            }
            if chunked {
                socket.write_all(b"0\r\n\r\n").await.unwrap();
            }
            let mut answer = String::new();
            timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("it closes").unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{framing}: {answer}");
            assert!(answer.contains("connection: close\r\n"), "{framing}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_target_as_browsers_send_it_is_taken_and_normal_for_its_service() {
    let seen = Seen::default();
    let served = Served::new(gateway(recording(&seen)));
    let target = "/a|b[1]^{c}?q=`|[]^{}\\'&r=%7c";
    let answer = served.exchange(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let by_h2 = Request::get(format!("http://a{target}")).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(served.h2().await.send_request(by_h2).await.unwrap().status(), 200);
    // Whoever asks the gateway without a socket is told the same.
    let direct = |target: &str| request(&format!("GET {target}"));
    let gateway = gateway(recording(&seen));
    assert_eq!(send(&gateway, direct(target)).await.status(), 200);
    for (head, _) in &*seen.lock().unwrap() {
        assert_eq!(head.uri.path_and_query().unwrap(), "/a%7Cb%5B1%5D%5E%7Bc%7D?q=`|[]^{}\\'&r=%7c");
    }
    for target in ["/a;b", "/a\\b", "/a\""] {
        let answer = served.exchange(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        assert_eq!(send(&gateway, direct(target)).await.status(), 400, "{target}");
    }
}
