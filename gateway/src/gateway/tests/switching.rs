//! Requests that end in another protocol: what passes, when it is over, what is counted.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{socket::Served, *};
use crate::dispatch::Switched;

/// A service that agrees to whatever it is asked for, says `hello `, then what it hears, and `bye` at the end.
struct Echo {
    seen: Seen,
}

impl Dispatch for Echo {
    fn dispatch(&self, cx: Arc<RequestContext>, request: Request<Body>) -> Dispatched<'_> {
        let (head, _) = request.into_parts();
        let protocol = head.headers.get("upgrade").cloned();
        self.seen.lock().unwrap().push((head, (*cx).clone()));
        Box::pin(async move {
            let Some(protocol) = protocol else { return Ok(Response::new(body::full("no wish"))) };
            let (ours, theirs) = duplex(64);
            tokio::spawn(echo(ours));
            let answer = Response::builder().status(101).header("upgrade", protocol).header("content-length", "0");
            let mut answer = answer.body(body::empty()).unwrap();
            answer.extensions_mut().insert(Switched::new(theirs));
            Ok(answer)
        })
    }

    fn may_switch(&self) -> bool {
        true
    }
}

async fn echo(wire: DuplexStream) {
    let (mut reader, mut writer) = tokio::io::split(wire);
    if writer.write_all(b"hello ").await.is_ok() && tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        let _ = writer.write_all(b"bye").await;
        let _ = writer.shutdown().await;
    }
}

fn streaming(idle: Duration, service: impl Dispatch) -> Entry {
    let mut entry = entry("/switch", Methods::Any, service);
    entry.route.stream = Some(idle);
    entry
}

fn served(idle: Duration) -> (Arc<Gateway>, Served, Seen) {
    let seen = Seen::default();
    let routes = vec![
        streaming(idle, Echo { seen: seen.clone() }),
        entry("/{*rest}", Methods::Any, Echo { seen: seen.clone() }),
    ];
    let gateway = Arc::new(Gateway::new(table(routes), settings()));
    (gateway.clone(), Served::shared(gateway), seen)
}

const HEAD: &str =
    "GET /switch HTTP/1.1\r\nhost: shop.test\r\nconnection: x-mine, Upgrade\r\nupgrade: Custom/1\r\nx-mine: 1\r\n\r\n";

#[tokio::test]
async fn what_a_client_said_early_is_carried_and_each_side_may_end_by_itself() {
    let (gateway, served, seen) = served(Duration::from_secs(60));
    for early in ["", "early, no HTTP ", "GET / HTTP/1.1\r\nhost: b\r\n\r\n", "GET / HT"] {
        let mut client = served.connect().await;
        client.write_all(format!("{HEAD}{early}").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"hello ") {
            head.push(client.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("\r\nconnection: upgrade\r\n") && head.contains("\r\nupgrade: Custom/1\r\n"), "{head}");
        assert!(!head.contains("content-length") && head.contains("\r\nx-trace-id: "), "{head}");
        assert_eq!((gateway.in_flight(), gateway.counts().tunnels.open()), (0, 1), "it is a connection now");
        client.write_all(b"late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, format!("{early}latebye"));
    }
    let (head, _) = &seen.lock().unwrap()[0];
    assert_eq!(field(&head.headers, "connection"), ["upgrade"]);
    assert_eq!(field(&head.headers, "upgrade"), ["Custom/1"]);
    assert!(!head.headers.contains_key("x-mine"));
    let tunnels = &gateway.counts().tunnels;
    assert_eq!((tunnels.opened.get(), tunnels.bytes_in.get()), (4, 4 * 4 + 15 + 27 + 8));
    assert_eq!(tunnels.bytes_out.get(), tunnels.bytes_in.get() + 4 * 9);
    let routes = gateway.routes();
    let counts = routes.values().next().unwrap();
    assert!(counts.each().any(|each| each == ("GET", "1xx", 4)), "counted with its head");
}

#[tokio::test]
async fn a_wish_passes_only_where_the_route_and_the_page_and_the_protocol_may() {
    let (gateway, served, seen) = served(Duration::from_secs(60));
    let close = "connection: upgrade, close\r\nupgrade: custom\r\n";
    for (request, status) in [
        (format!("GET /other HTTP/1.1\r\nhost: a\r\n{close}\r\n"), 200),
        ("GET /switch HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n\r\n".into(), 200),
        (format!("POST /switch HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n{close}\r\nx"), 200),
        (format!("GET /switch HTTP/1.1\r\nhost: a\r\norigin: https://b\r\n{close}\r\n"), 403),
    ] {
        let answer = served.exchange(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    for (head, _) in &*seen.lock().unwrap() {
        assert!(!head.headers.contains_key("upgrade") && !head.headers.contains_key("connection"), "{head:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), 3, "who may not asks no service");
    let refused: Vec<_> = gateway.counts().refused.each().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("origin", 1)]);
}

#[tokio::test]
async fn a_tunnel_in_which_nobody_says_anything_is_ended_and_so_is_one_that_the_drain_cuts() {
    let (gateway, silent, _) = served(Duration::from_millis(50));
    let answer = silent.exchange_until_gone(HEAD).await;
    assert!(answer.ends_with("hello "), "{answer}");
    let (other, cut, _) = served(Duration::from_secs(60));
    let mut client = cut.connect().await;
    client.write_all(HEAD.as_bytes()).await.unwrap();
    while client.read_u8().await.unwrap() != b'o' || other.counts().tunnels.open() == 0 {}
    drop(cut);
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await; // a reset, or what was there before it
    assert!(rest.len() <= 2000);
    assert_eq!((gateway.counts().tunnels.open(), gateway.in_flight()), (0, 0));
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_and_one_for_something_else_are_no_answers() {
    struct Wrong(bool);
    impl Dispatch for Wrong {
        fn dispatch(&self, _: Arc<RequestContext>, _: Request<Body>) -> Dispatched<'_> {
            let mut answer = Response::builder().status(101).header("upgrade", "other").body(body::empty()).unwrap();
            if self.0 {
                answer.extensions_mut().insert(Switched::new(duplex(1).0));
            }
            Box::pin(std::future::ready(Ok(answer)))
        }

        fn may_switch(&self) -> bool {
            true
        }
    }
    let idle = Duration::from_secs(60);
    for switched in [true, false] {
        let served = Served::new(Gateway::new(table(vec![streaming(idle, Wrong(switched))]), settings()));
        for wish in ["connection: upgrade, close\r\nupgrade: custom\r\n", "connection: close\r\n"] {
            if wish.starts_with("connection: close") && switched {
                continue; // nobody makes one who was not asked
            }
            let answer = served.exchange(format!("GET /switch HTTP/1.1\r\nhost: a\r\n{wish}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{wish}: {answer}");
        }
    }
}
