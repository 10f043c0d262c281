//! How HTTP/1 connections end: the drain, the cut, a client that goes away.

use super::*;

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_says_close() {
    let go = Arc::new(Notify::new());
    let server = Server::start(held(go.clone()));
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    busy.write_all(GET.as_bytes()).await.unwrap();
    until("the request arrives", || server.calls() == 1).await;
    until("both are counted", || server.drain.connections() == 2).await;

    server.drain.start();
    assert_eq!(read_to_close(&mut idle).await.0, "");
    assert_eq!(server.drain.wait(Duration::ZERO).await, 1);
    go.notify_one();
    let (answer, _) = read_to_close(&mut busy).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_straggler_is_counted_and_cut() {
    let server = Server::start(|_request| Box::pin(std::future::pending()));
    let mut socket = server.connect().await;
    socket.write_all(GET.as_bytes()).await.unwrap();
    until("the request arrives", || server.calls() == 1).await;
    server.drain.start();
    assert_eq!(server.drain.wait(Duration::from_millis(50)).await, 1);
    server.drain.cut();
    assert_eq!(read_to_close(&mut socket).await.0, "");
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
}

#[tokio::test]
async fn draining_under_load_breaks_no_request_on_an_open_connection() {
    let server = Server::start(|_request| {
        Box::pin(async {
            tokio::task::yield_now().await;
            Response::new(full("hello"))
        })
    });
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut socket = server.connect().await;
        clients.spawn(async move {
            loop {
                socket.write_all(GET.as_bytes()).await.unwrap();
                if read_until(&mut socket, "hello").await.contains("connection: close") {
                    return;
                }
            }
        });
    }
    until("all are at work", || server.calls() > 500).await;
    server.drain.start();
    clients.join_all().await;
    assert_eq!(server.drain.wait(PATIENCE).await, 0);
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_dropped() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let dropped = Arc::new(Notify::new());
    let server = Server::start({
        let dropped = dropped.clone();
        move |_request| {
            let guard = Dropped(dropped.clone());
            Box::pin(async move {
                let _guard = guard;
                std::future::pending().await
            })
        }
    });
    let mut socket = server.connect().await;
    socket.write_all(GET.as_bytes()).await.unwrap();
    until("the request arrives", || server.calls() == 1).await;
    drop(socket);
    timeout(PATIENCE, dropped.notified()).await.expect("the handler is dropped");
}
