//! Answers of every framing: whole, or an error that nobody takes for a whole one.

use super::*;

/// What a client makes of this answer: its body, or why there is none.
async fn told(answer: &'static str) -> Result<String, String> {
    let server = Server::acting(move |_, _| Act::SayAndClose(answer.into())).await;
    get(&upstream(&[&server])).await
}

#[tokio::test]
async fn whole_answers_of_every_framing_arrive_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        assert_eq!(told(answer).await.as_deref(), Ok("hello"), "{answer}");
    }
    assert_eq!(told("HTTP/1.1 204 No Content\r\n\r\n").await.as_deref(), Ok(""));
}

#[tokio::test]
async fn an_answer_that_is_cut_short_never_looks_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhell",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
    ] {
        let server = Server::acting(move |_, _| Act::SayAndClose(answer.into())).await;
        let upstream = upstream(&[&server]);
        let head = send(&upstream, Request::get("/").body(body::empty()).unwrap()).await.unwrap();
        assert!(head.into_body().collect().await.is_err(), "{answer}");
        assert_eq!(upstream.report()[0].in_flight, 0);
        until("its connection is closed", || upstream.report()[0].connections == 0).await;
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such() {
    for (answer, reason) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "what it sent is not HTTP"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "what it sent is not HTTP"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "what it sent is not HTTP"),
        ("", "the connection ended before the answer"),
        ("HTTP/1.1 200 O", "the connection ended before the answer"),
    ] {
        let failed = told(answer).await.expect_err(answer);
        assert!(failed.contains(reason), "{answer:?}: {failed}");
    }
    let huge: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000)).into_boxed_str());
    let failed = told(huge).await.unwrap_err();
    assert!(failed.contains("its head is too large"), "{failed}");
}

#[tokio::test]
async fn trailers_pass() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: sum\r\n\r\n2\r\nhi\r\n0\r\nsum: 7\r\n\r\n";
    let server = Server::acting(move |_, _| Act::Say(answer.into())).await;
    let upstream = upstream(&[&server]);
    let answer = send(&upstream, Request::get("/").header("te", "trailers").body(body::empty()).unwrap()).await;
    let collected = answer.unwrap().into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["sum"], "7");
}

#[tokio::test]
async fn answers_of_502_and_503_are_asked_for_again_where_that_does_no_harm() {
    let server = Server::acting(|number, _| match number {
        0 => Act::Say("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into()),
        1 => Act::Say("HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n".into()),
        _ => Act::Say(ok("at last")),
    })
    .await;
    assert_eq!(get(&upstream(&[&server])).await.as_deref(), Ok("at last"));
    let busy = Server::acting(|_, _| Act::Say("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into())).await;
    let answer = send(&upstream(&[&busy]), post("once")).await.unwrap();
    assert_eq!((answer.status().as_u16(), busy.requests().len()), (503, 1));
    let again = send(&upstream(&[&busy]), Request::put("/").body(body::full("twice")).unwrap()).await.unwrap();
    assert_eq!((again.status().as_u16(), busy.requests().len()), (503, 4), "three tries");
}

#[tokio::test]
async fn one_that_is_late_is_not_asked_again() {
    let server = Server::acting(|_, _| Act::Hang).await;
    let upstream = upstream(&[&server]);
    let by = Instant::now() + Duration::from_secs(3);
    let asked = Request::get("/").body(body::empty()).unwrap();
    let failed = upstream.send(asked, Allowance { by, fair_by: by, again: true }).await.err().unwrap();
    assert!(matches!(failed, UpstreamError::Late { .. }), "{failed}");
    assert_eq!((server.requests().len(), upstream.report()[0].in_flight), (1, 0));
    until("its connection is closed", || upstream.report()[0].connections == 0).await;
}

#[tokio::test]
async fn an_answer_that_comes_before_its_request_has_ended_is_passed_on_and_its_connection_not_used_again() {
    let server = Server::acting(|_, _| Act::Hang).await;
    drop(server);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 16];
        socket.read_exact(&mut head).await.unwrap();
        socket.write_all(ok("no").as_bytes()).await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    let upstream = Upstream::new(&settings(&[url]), &Outbound::new(None).unwrap());
    let endless = http_body_util::StreamBody::new(futures_util::stream::pending());
    let request = Request::post("/").body(Body::new(endless)).unwrap();
    let answer = send(&upstream, request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "no");
    until("its connection is closed", || upstream.report()[0].connections == 0).await;
}
