//! Time limits and connection limits.

use super::*;
use crate::listener::Admission;

const SHORT: Duration = Duration::from_millis(100);

fn impatient(settings: &mut Settings) {
    settings.times = times(SHORT);
}

#[tokio::test]
async fn a_head_that_does_not_end_in_time_is_a_408() {
    let server = Server::with(impatient, hello);
    let answer = server.exchange("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_without_a_word() {
    let server = Server::with(impatient, hello);
    assert_eq!(server.exchange("").await, "");
    let answer = server.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    // A preface alone, or part of one, holds nothing open either.
    server.exchange("PRI * HT").await;
    server.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
}

#[tokio::test]
async fn how_long_a_connection_may_be_idle_changes_while_it_is_open() {
    let keep_alive = KeepAlive::new(SHORT);
    let server = Server::with(|settings| settings.times.idle = keep_alive.clone(), hello);
    let mut socket = server.connect().await;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut socket, "hello").await;
    keep_alive.set(PATIENCE * 10);
    let early = timeout(SHORT * 4, socket.read(&mut [0; 1])).await;
    assert!(early.is_err(), "closed too early");

    keep_alive.set(SHORT);
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (answer, closed) = read_to_close(&mut socket).await;
    assert!(answer.ends_with("hello"), "{answer}");
    closed.unwrap();
}

#[tokio::test]
async fn an_answer_in_the_making_is_not_an_idle_connection() {
    let go = Arc::new(Notify::new());
    let server = Server::with(impatient, held(go.clone()));
    let mut socket = server.connect().await;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the request arrives", || server.calls() == 1).await;
    let early = timeout(SHORT * 4, socket.read(&mut [0; 1])).await;
    assert!(early.is_err(), "closed too early");
    go.notify_one();
    read_until(&mut socket, "hello").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server =
        Server::with(impatient, |_request| Box::pin(async { Response::new(full(vec![b'x'; 64 * 1024 * 1024])) }));
    let mut socket = server.connect().await;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("it is accepted", || server.drain.connections() == 1).await;
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
    assert!(read_to_close(&mut socket).await.0.len() < 64 * 1024 * 1024);
}

#[tokio::test]
async fn a_client_that_sends_on_after_its_refusal_is_cut_off_in_time() {
    let server = Server::with(impatient, |_request| Box::pin(async { status(413, "too large") }));
    let mut socket = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut socket, "too large").await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close\r\n"), "{answer}");
    let sending = async { while socket.write_all(&[b'x'; 1024]).await.is_ok() {} };
    timeout(PATIENCE, sending).await.expect("it is cut off");

    // A drain does not wait for it either.
    let server = Server::start(|_request| Box::pin(async { status(413, "too large") }));
    let mut socket = server.connect().await;
    socket.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut socket, "too large").await;
    server.drain.start();
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
}

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let server = Server::with(|settings| settings.admission = Admission::with(connections(1024), 2), hello);
    let (_first, _second) = (server.connect().await, server.connect().await);
    until("both are counted", || server.drain.connections() == 2).await;
    assert_eq!(read_to_close(&mut server.connect().await).await.0, "");
}

#[tokio::test]
async fn more_connections_come_in_at_once_and_fewer_close_none_but_let_none_in() {
    let admission = Admission::with(connections(2), 100);
    let server = Server::with(|settings| settings.admission = admission.clone(), hello);
    let mut open = vec![server.connect().await, server.connect().await];
    until("both are in", || server.drain.connections() == 2).await;
    let waiting = server.connect().await;
    admission.resize(connections(8)); // four from one address
    until("the third is in", || server.drain.connections() == 3).await;
    open.push(waiting);

    admission.resize(connections(1));
    let mut late = server.connect().await;
    late.write_all(REQUEST).await.unwrap();
    for socket in &mut open {
        socket.write_all(REQUEST).await.unwrap();
        assert!(read_to_close(socket).await.0.ends_with("hello"), "it is served to its end");
    }
    assert!(read_to_close(&mut late).await.0.ends_with("hello"), "and then there is room for the next");
    assert_eq!(server.calls(), 4);
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn connections(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[tokio::test]
async fn a_full_listener_still_notices_the_drain() {
    let server = Server::with(|settings| settings.admission = Admission::with(connections(1), 1), hello);
    let _only = server.connect().await;
    until("it is counted", || server.drain.connections() == 1).await;
    server.drain.start();
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
}

#[tokio::test]
async fn five_hundred_slow_clients_do_not_stop_the_next_one() {
    let patient = |settings: &mut Settings| {
        settings.admission = Admission::new(connections(1200));
        settings.times.head = PATIENCE * 10;
    };
    let server = Server::with(patient, hello);
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut socket = server.connect().await;
        socket.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
        slow.push(socket);
    }
    let answer = server.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(server.drain.connections() >= slow.len(), "none of them had to go before it");
}
