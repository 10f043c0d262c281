//! HTTP/1: refusals, pipelining, bodies, broken answers.

use super::*;

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

/// Responses in `text`; every one has a length here.
fn heads(text: &str) -> usize {
    text.matches("\r\ncontent-length: ").count()
}

#[tokio::test]
async fn a_bad_head_is_answered_once_after_the_requests_before_it_and_nothing_follows() {
    let server = Server::start(echo);
    let bad = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = server.exchange(format!("{GET}{GET}{bad}{GET}{bad}")).await;
    assert_eq!(heads(&answer), 3, "{answer}");
    assert_eq!(answer.matches("200 OK").count(), 2);
    let refusal = &answer[answer.rfind("HTTP/1.1").unwrap()..];
    assert!(refusal.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{refusal}");
    assert!(refusal.contains("connection: close\r\n") && refusal.contains("refused: "), "{refusal}");
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_refusal_waits_for_a_slow_answer_before_it() {
    let go = Arc::new(Notify::new());
    let server = Server::start(held(go.clone()));
    let mut socket = server.connect().await;
    socket.write_all(format!("{GET}BAD\r\n\r\n").as_bytes()).await.unwrap();
    until("the request arrives", || server.calls() == 1).await;
    go.notify_one();
    let (answer, _) = read_to_close(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("between"), "{answer}");
    assert_eq!(heads(&answer), 2);
}

#[tokio::test]
async fn no_attack_ever_reaches_the_handler_and_each_gets_one_4xx() {
    let server = Server::start(echo);
    for (attack, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400),
        (&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), 414),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(101)), 431),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(70_000)), 431),
    ] {
        let answer = server.exchange(attack).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{attack:.60}: {answer}");
        assert_eq!(heads(&answer), 1, "{attack:.60}: {answer}");
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn the_largest_head_within_the_limits_is_served_however_it_is_split() {
    let server = Server::start(echo);
    let filler = format!("X: {}\r\n", "y".repeat(650)).repeat(99);
    let head = format!("GET /big HTTP/1.1\r\nHost: a\r\n{filler}\r\n");
    assert!(head.len() > 64_000 && head.len() <= 64 * 1024);
    let mut socket = server.connect().await;
    for piece in head.as_bytes().chunks(1000) {
        socket.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    socket.write_all(GET.as_bytes()).await.unwrap();
    let answer = read_until(&mut socket, "/a []").await;
    assert!(answer.contains("/big []"), "{answer}");
}

#[tokio::test]
async fn a_bad_chunk_fails_the_body_and_gets_one_answer() {
    let server = Server::start(echo);
    let answer = server
        .exchange(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n-1\r\n{GET}"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("body cut"), "{answer}");
    assert_eq!((heads(&answer), server.calls()), (1, 1));
}

#[tokio::test]
async fn bodies_of_both_kinds_arrive_whole_and_keep_the_connection() {
    let server = Server::start(echo);
    let mut socket = server.connect().await;
    let requests = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
        POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n1;x=y\r\ng\r\n0\r\nT: u\r\n\r\n";
    for byte in requests.as_bytes() {
        socket.write_all(&[*byte]).await.unwrap();
    }
    let answer = read_until(&mut socket, "/2 [defg]").await;
    assert!(answer.contains("/1 [abc]"), "{answer}");
}

#[tokio::test]
async fn a_client_that_expects_a_100_gets_it_before_it_sends_its_body() {
    let server = Server::start(echo);
    let mut socket = server.connect().await;
    let head = "POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut socket, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"ok").await.unwrap();
    read_until(&mut socket, "/c [ok]").await;
}

#[tokio::test]
async fn an_answer_given_before_a_large_body_was_read_reaches_the_client() {
    let server = Server::start(|_request| Box::pin(async { status(413, "too large") }));
    let mut socket = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b'x'; 400_000]).await.unwrap();
    let (answer, closed) = read_to_close(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("too large"), "{answer}");
    closed.unwrap();
}

#[tokio::test]
async fn an_answer_that_breaks_never_looks_whole() {
    let server = Server::start(|request| {
        Box::pin(async move {
            let cut = || Err(BodyError::DeadlineExceeded);
            let with_length =
                |length: &str, body| Response::builder().header("content-length", length).body(body).unwrap();
            match request.uri().path() {
                "/chunked" => Response::new(frames(&["some"], cut())),
                "/length" => with_length("10", frames(&["some"], cut())),
                "/short" => with_length("10", frames(&["some"], Ok(()))),
                "/long" => with_length("4", frames(&["some", "more"], Ok(()))),
                other => panic!("{other}"),
            }
        })
    });
    for (path, length) in [("chunked", None), ("length", Some(10)), ("short", Some(10)), ("long", Some(4))] {
        let answer = server.exchange(format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        match length {
            Some(length) => assert!(body.len() < length, "{path}: {answer}"),
            None => assert!(!answer.contains("\r\n0\r\n"), "{path}: {answer}"),
        }
    }
    // Only the close would delimit this one, so the close is a reset.
    let mut socket = server.connect().await;
    socket.write_all(b"GET /chunked HTTP/1.0\r\n\r\n").await.unwrap();
    let (_, closed) = read_to_close(&mut socket).await;
    assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_answer_whose_length_contradicts_its_body_beforehand_is_a_502() {
    let server = Server::start(|_request| {
        Box::pin(async { Response::builder().header("content-length", "9").body(full("four")).unwrap() })
    });
    let mut socket = server.connect().await;
    socket.write_all(GET.as_bytes()).await.unwrap();
    let answer = read_until(&mut socket, "refused: ").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn a_head_request_gets_the_length_and_no_body() {
    let server = Server::start(hello);
    let answer = server.exchange("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}
