//! HTTP/2 with a client written by hand.

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
/// `:method GET`, `:scheme http`, `:path /` from the static table, `:authority: a` literal.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

async fn greet(server: &Server, settings: &[u8]) -> TcpStream {
    let mut socket = server.connect().await;
    socket.write_all(PREFACE).await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    socket
}

/// The next frame; `None` when the server has closed.
async fn next(socket: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    timeout(PATIENCE, socket.read_exact(&mut head)).await.expect("the server speaks").ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    socket.read_exact(&mut payload).await.ok()?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Reads until a frame of `kind` comes.
async fn find(socket: &mut TcpStream, kind: u8) -> Option<Frame> {
    loop {
        let frame = next(socket).await?;
        if frame.kind == kind {
            return Some(frame);
        }
    }
}

#[tokio::test]
async fn prior_knowledge_is_recognised_and_can_be_switched_off() {
    let server = Server::start(hello);
    let mut socket = greet(&server, &[]).await;
    socket.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)).await.unwrap();
    assert_eq!(find(&mut socket, DATA).await.unwrap().payload, b"hello");

    let server = Server::with(|settings| settings.h2c = false, hello);
    let answer = server.exchange(PREFACE).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn rapid_resets_end_in_enhance_your_calm() {
    let server = Server::start(|_request| Box::pin(std::future::pending()));
    let mut socket = greet(&server, &[]).await;
    let mut flood = Vec::new();
    for stream in (1..20_000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET));
        flood.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    // The server may close before it has taken all of it.
    let _ = socket.write_all(&flood).await;
    let goaway = find(&mut socket, GOAWAY).await.expect("a GOAWAY comes");
    assert_eq!(goaway.payload[4..8], ENHANCE_YOUR_CALM);
    assert!(server.calls() < 500, "{} calls", server.calls());
}

#[tokio::test]
async fn slow_resets_of_everything_end_the_connection_too() {
    let server = Server::start(|_request| Box::pin(std::future::pending()));
    let mut socket = greet(&server, &[]).await;
    for turn in 0..1000 {
        let open = frame(HEADERS, END_STREAM | END_HEADERS, turn * 2 + 1, GET);
        let calls = server.calls();
        if socket.write_all(&open).await.is_err() || server.drain.connections() == 0 && turn > 0 {
            break;
        }
        until("it is handled or refused", || server.calls() > calls || (turn > 0 && server.drain.connections() == 0))
            .await;
        let reset = frame(RST_STREAM, 0, turn * 2 + 1, &[0, 0, 0, 8]);
        if socket.write_all(&reset).await.is_err() {
            break;
        }
    }
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
    assert!(server.calls() < 400, "{} calls", server.calls());
}

#[tokio::test]
async fn endless_continuations_end_in_enhance_your_calm() {
    let server = Server::start(hello);
    let mut socket = greet(&server, &[]).await;
    let mut flood = frame(HEADERS, END_STREAM, 1, GET);
    for _ in 0..100_000 {
        flood.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    let _ = socket.write_all(&flood).await; // as above
    let goaway = find(&mut socket, GOAWAY).await.expect("a GOAWAY comes");
    assert_eq!(goaway.payload[4..8], ENHANCE_YOUR_CALM);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_head_that_contradicts_itself_is_a_4xx() {
    let server = Server::start(hello);
    let host = |value: &str| [&[0x0f, 0x17, value.len() as u8], value.as_bytes()].concat();
    let no_authority = &GET[..3];
    for (block, expected) in [
        (GET.to_vec(), true),
        ([GET, &host("A")].concat(), true),
        ([no_authority, &host("a")].concat(), true),
        ([GET, &host("b")].concat(), false),
        ([GET, &host("a"), &host("a")].concat(), false),
        (no_authority.to_vec(), false),
        ([no_authority, &host("a/b")].concat(), false),
    ] {
        let mut socket = greet(&server, &[]).await;
        socket.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await.unwrap();
        let head = find(&mut socket, HEADERS).await.unwrap();
        // 0x88 is `:status 200` of the static table, 0x8c is 400.
        assert_eq!(head.payload[0], if expected { 0x88 } else { 0x8c }, "{block:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_resets_its_stream() {
    let server = Server::start(|request| {
        Box::pin(async move {
            let length = |length: &str, body| Response::builder().header("content-length", length).body(body).unwrap();
            match request.headers().get("host").map(|host| host.as_bytes()) {
                None => Response::new(frames(&["some"], Err(BodyError::DeadlineExceeded))),
                Some(_) => length("4", frames(&["some", "more"], Ok(()))),
            }
        })
    });
    let mut socket = greet(&server, &[]).await;
    let host_too = [GET, &[0x0f, 0x17, 1, b'a']].concat();
    for (stream, block) in [(1, GET), (3, &host_too)] {
        socket.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, stream, block)).await.unwrap();
        loop {
            let frame = next(&mut socket).await.expect("the connection stays");
            if frame.stream != stream {
                continue;
            }
            if frame.kind == RST_STREAM {
                break;
            }
            assert_eq!(frame.flags & END_STREAM, 0, "stream {stream} looks whole");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_client_does_not_take_its_answer_is_reset_alone() {
    let server = Server::with(|settings| settings.times.write_stall = Duration::from_millis(100), hello);
    let mut socket = greet(&server, &[0, 4, 0, 0, 0, 0]).await; // INITIAL_WINDOW_SIZE 0
    socket.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)).await.unwrap();
    let reset = find(&mut socket, RST_STREAM).await.expect("the connection stays");
    assert_eq!(reset.stream, 1);
    assert_eq!(server.drain.connections(), 1);
}

#[tokio::test]
async fn draining_sends_goaway_and_finishes_the_streams() {
    let go = Arc::new(Notify::new());
    let server = Server::start(held(go.clone()));
    let mut socket = greet(&server, &[]).await;
    socket.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)).await.unwrap();
    until("the request arrives", || server.calls() == 1).await;
    server.drain.start();
    assert_eq!(find(&mut socket, GOAWAY).await.unwrap().payload[4..8], [0; 4]);
    go.notify_one();
    assert_eq!(find(&mut socket, DATA).await.unwrap().payload, b"hello");
    drop(socket);
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
}

#[tokio::test]
async fn the_limits_are_announced() {
    let server = Server::start(hello);
    let mut socket = greet(&server, &[]).await;
    let settings = find(&mut socket, SETTINGS).await.unwrap().payload;
    for (name, value) in [(3u16, 100u32), (6, 64 * 1024)] {
        let entry = [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        assert!(settings.chunks(6).any(|each| each == entry), "{name}: {settings:?}");
    }
}
