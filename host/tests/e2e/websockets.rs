//! WebSockets to services elsewhere: what passes both ways, who may open one, and when it is over.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustls_pki_types::{PrivateKeyDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{self, ClientConnection, ServerConnection, StreamOwned};
use tungstenite::{
    Message, WebSocket, accept_hdr,
    client::{IntoClientRequest, client_with_config},
    handshake::server,
    http::Request,
};

use crate::harness::{Connection, Host, admin::build, admin::wasm, place, probe, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// A WebSocket server that says what it hears.
struct Echo {
    address: SocketAddr,
    /// The heads it was asked with.
    heads: Arc<Mutex<Vec<server::Request>>>,
}

impl Echo {
    fn plain() -> Self {
        Self::over(Some)
    }

    /// Behind TLS, where it would rather speak HTTP/2.
    fn secured(config: rustls::ServerConfig) -> Self {
        let config = Arc::new(config);
        Self::over(move |tcp| Some(StreamOwned::new(ServerConnection::new(config.clone()).ok()?, tcp)))
    }

    fn over<S: Read + Write + Send + 'static>(wrap: impl Fn(TcpStream) -> Option<S> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::default());
        let seen: Arc<Mutex<Vec<server::Request>>> = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok).filter_map(wrap) {
                let seen = seen.clone();
                thread::spawn(move || answer(stream, &seen));
            }
        });
        Self { address, heads }
    }
}

#[allow(clippy::result_large_err, reason = "the shape of tungstenite's callback")]
fn answer(stream: impl Read + Write, seen: &Mutex<Vec<server::Request>>) {
    let note = |head: &server::Request, response: server::Response| {
        seen.lock().unwrap().push(head.clone());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr(stream, note) else { return };
    while let Ok(message) = socket.read() {
        let said = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message),
            _ => socket.flush(), // pongs and closes are answered by the library
        };
        if said.is_err() {
            return;
        }
    }
}

/// `legacy` at this URL: `/socket` may be one, other paths may not; with these lines in its table.
fn manifest(url: &str, lines: &str, route: &str) -> String {
    format!(
        "[services.legacy]\nurl = \"{url}\"\n{lines}\n\
         [[routes]]\npath = \"/socket\"\nservice = \"legacy\"\npublic = true\nstream = true\n{route}\n\
         [[routes]]\npath = \"/plain\"\nservice = \"legacy\"\npublic = true\n"
    )
}

fn at(echo: &Echo) -> String {
    format!("http://{}", echo.address)
}

type Opened<S> = Result<WebSocket<S>, u16>;

/// Asks for a WebSocket over `stream`; the status where there is none.
fn open<S: Read + Write>(stream: S, host: &str, path: &str, headers: &[(&str, &str)]) -> Opened<S> {
    let mut request: Request<()> = format!("ws://{host}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    match client_with_config(request, stream, None) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("no answer: {error}"),
    }
}

fn tcp(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn opened(host: &Host, headers: &[(&str, &str)]) -> Opened<TcpStream> {
    open(tcp(host.gateway), &host.gateway.to_string(), "/socket", headers)
}

#[track_caller]
fn says(socket: &mut WebSocket<impl Read + Write>, text: &str) {
    socket.send(Message::text(text)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text(text));
}

/// Ends it in order.
fn close(mut socket: WebSocket<impl Read + Write>) {
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

fn metric(host: &Host, line: &str) -> bool {
    host.admin("GET", "/metrics", b"").text().contains(line)
}

#[test]
fn a_websocket_passes_both_ways_outlives_every_timeout_and_the_swap_of_another_service() {
    let echo = Echo::plain();
    let host = Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"3s\"\n{}{}",
        manifest(&at(&echo), "limits = { timeout = \"3s\" }", ""),
        probe("")
    ));
    let forged = [("x-user-id", "forged"), ("x-own", "kept"), ("sec-websocket-protocol", "chat")];
    let mut socket = opened(&host, &forged[..2]).unwrap();
    says(&mut socket, "hello");
    assert!(metric(&host, "archipel_tunnels_open 1\n"));
    let now = host.admin("GET", "/v1/services/legacy", b"").json()["data"].clone();
    assert_eq!((&now["inFlight"], &now["addresses"][0]["inFlight"]), (&1.into(), &1.into()), "it has a place");

    let large = vec![7; 3 << 20];
    socket.send(Message::binary(large.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(large));
    assert_eq!(host.swap("probe", &build(&wasm("probe"), 1)).status, 200);
    let began = Instant::now();
    until("it is older than any request may be", || began.elapsed() > Duration::from_millis(3500));
    says(&mut socket, "still here");
    close(socket);
    until("all are out", || {
        host.admin("GET", "/v1/services/legacy", b"").json()["data"]["inFlight"] == 0
            && metric(&host, "archipel_tunnels_open 0\n")
    });

    let head = echo.heads.lock().unwrap()[0].clone();
    let field = |name: &str| head.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!((field("x-user-id"), field("x-own")), (None, Some("kept".into())));
    assert_eq!((field("connection"), field("upgrade")), (Some("upgrade".into()), Some("websocket".into())));
    assert_eq!(field("x-forwarded-host"), Some(host.gateway.to_string()));
    assert!(field("traceparent").is_some());
    let line = host.log.expect_line("\"status\":101");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(line["durationMs"].as_f64().unwrap() > 3500.0 && line["complete"] == true, "{line}");
    let carried = ["bytesIn", "bytesOut"].map(|name| line[name].as_u64().unwrap());
    assert!(carried.iter().all(|bytes| (3 << 20..4 << 20).contains(bytes)), "{line}");
    assert!(metric(&host, &format!("archipel_tunnel_bytes_total{{direction=\"in\"}} {}\n", carried[0])));
}

#[test]
fn who_may_not_ask_is_refused_before_the_service_hears_of_it() {
    let echo = Echo::plain();
    let host = Host::running(&format!(
        "[auth.main]\nissuer = \"a\"\naudience = \"b\"\nkeys = {{ generate = true }}\n{}\
         [[routes]]\npath = \"/own\"\nservice = \"legacy\"\nauth = \"main\"\nstream = true\nlimit = \"2/h\"\n{}\
         [[routes]]\npath = \"/echo\"\nservice = \"probe\"\npublic = true\nstream = true\n",
        manifest(&at(&echo), "", "cors = { origins = [\"https://app.example\"] }"),
        probe("")
    ));
    let ask = |path: &str, headers: &[(&str, &str)]| {
        open(tcp(host.gateway), &host.gateway.to_string(), path, headers).map(close).err().unwrap_or(101)
    };
    let token = format!("Bearer {}", host.token("user-7", &[]));
    assert_eq!(ask("/own", &[]), 401);
    assert_eq!(ask("/own", &[("authorization", &token)]), 101);
    assert_eq!(ask("/own", &[("authorization", &token)]), 101);
    assert_eq!(ask("/own", &[("authorization", &token)]), 429, "each counts as a request");
    let own = format!("http://{}", host.gateway);
    for (origin, status) in [("https://app.example", 101), (&*own, 101), ("https://evil.test", 403), ("null", 403)] {
        assert_eq!(ask("/socket", &[("origin", origin)]), status, "{origin}");
    }
    assert_eq!(echo.heads.lock().unwrap()[0].headers()["x-user-id"], "user-7");
    let heard = echo.heads.lock().unwrap().len();
    assert_eq!(ask("/echo", &[]), 200, "a component is asked as without a wish");
    assert_ne!(ask("/plain", &[]), 101, "its route does not say `stream`");
    assert_eq!(echo.heads.lock().unwrap().len(), heard);
    assert!(metric(&host, "archipel_http_requests_refused_total{reason=\"origin\"} 2\n"));
}

#[test]
fn websockets_have_bounds_are_ended_when_silent_and_with_the_drain() {
    let echo = Echo::plain();
    let limits = "limits = { concurrency = 1, queue = { length = 0 } }";
    let manifest = manifest(&at(&echo), limits, "idle = \"4s\"");
    let mut host = Host::running(&format!("[host]\ndrain = \"300ms\"\n{manifest}"));
    let mut first = opened(&host, &[]).unwrap();
    assert_eq!(opened(&host, &[]).err(), Some(503), "its one place is taken");
    assert!(first.read().is_err(), "nobody says anything");
    until("the place is free", || host.admin("GET", "/v1/services/legacy", b"").json()["data"]["inFlight"] == 0);

    let mut last = opened(&host, &[]).unwrap();
    says(&mut last, "hello");
    host.signal("TERM");
    host.log.expect_line("draining");
    let chatting = thread::spawn(move || while last.send(Message::text("x")).is_ok() && last.read().is_ok() {});
    assert!(host.ended().success());
    chatting.join().unwrap();
}

#[test]
fn an_answer_that_does_not_prove_that_it_read_the_wish_is_none() {
    let wrong = crate::harness::Upstream::acting(|_, _| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                    sec-websocket-accept: c29tZXRoaW5nIGVsc2UgZW50aXI=\r\n\r\nsmuggled";
        crate::harness::upstream::Act::Say(head.into())
    });
    let host = Host::running(&manifest(&format!("http://{}", wrong.address), "", ""));
    assert_eq!(opened(&host, &[]).err(), Some(502));
    host.log.expect_line("its `Sec-WebSocket-Accept` is not that of the key");
    let mut other = Connection::open(host.gateway);
    other.request("GET", "/socket", &[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")], b"");
    assert_eq!(other.answer(false).expect("an answer").status, 502);
    let asked = wrong.requests()[1].to_ascii_lowercase();
    assert!(!asked.contains("upgrade") && !asked.contains("h2c"), "{asked}");
}

#[test]
fn a_websocket_passes_through_tls_on_both_sides() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = place();
    let chain = folder.path().join("chain.pem");
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let server = server.unwrap().with_no_client_auth();
    let mut server = server.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let echo = Echo::secured(server);

    let gateway = "[gateway]\nlisten = \"127.0.0.1:0\"\ntls = { cert = \"chain.pem\", key = \"key.pem\" }\n";
    let manifest = manifest(&format!("https://localhost:{}", echo.address.port()), "", "");
    let roots = [("SSL_CERT_FILE", chain.to_str().unwrap())];
    let host = Host::start_with(folder, &format!("{gateway}{manifest}"), &roots).ok().expect("it starts");

    let mut believed = rustls::RootCertStore::empty();
    believed.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = Arc::new(client.unwrap().with_root_certificates(believed).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let stream = StreamOwned::new(ClientConnection::new(client, name).unwrap(), tcp(host.gateway));
    let mut socket = open(stream, "localhost", "/socket", &[]).unwrap();
    says(&mut socket, "hello");
    let large = vec![7; 1 << 20];
    socket.send(Message::binary(large.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(large));
    close(socket);
    host.log.expect_line("\"status\":101");
}
