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

const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello";

fn health(upstream: &Upstream) -> Health {
    upstream.report()[0].health
}

#[tokio::test]
async fn an_address_that_breaks_off_its_answers_is_put_aside() {
    let server = Server::acting(|_, _| Act::SayAndClose(CUT.into())).await;
    let upstream = upstream(&[&server]);
    for _ in 0..2 {
        assert!(get(&upstream).await.unwrap_err().contains("cut short"));
    }
    assert_eq!(health(&upstream), Health::Well, "three in a row");
    let failures = async {
        // It is aside for a second, which may have passed on a machine that stood still.
        while health(&upstream) != Health::Aside {
            assert!(get(&upstream).await.unwrap_err().contains("cut short"));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), failures).await.expect("it is put aside");
}

#[tokio::test]
async fn an_answer_that_ended_whole_makes_up_for_those_that_broke_off_and_one_that_was_given_up_tells_nothing() {
    let server = Server::acting(|number, _| match number % 3 {
        2 => Act::Say(ok("hello")),
        _ => Act::SayAndClose(CUT.into()),
    })
    .await;
    let upstream = upstream(&[&server]);
    for number in 0..30 {
        assert_eq!(get(&upstream).await.is_ok(), number % 3 == 2, "{number}");
        assert_eq!(health(&upstream), Health::Well, "{number}");
    }
    let endless = Server::acting(|_, _| Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello".into())).await;
    let upstream = self::upstream(&[&endless]);
    for _ in 0..10 {
        drop(send(&upstream, Request::get("/").body(body::empty()).unwrap()).await.unwrap());
        assert_eq!(health(&upstream), Health::Well, "whoever asked has gone");
    }
}

#[tokio::test]
async fn a_stream_tells_by_its_head_and_a_request_that_streams_may_be_what_broke_off() {
    let server = Server::acting(|_, _| Act::SayAndClose(CUT.into())).await;
    let upstream = upstream(&[&server]);
    for _ in 0..10 {
        let asked = Request::get("/").body(body::empty()).unwrap();
        let answer = upstream.send(asked, Allowance { is_stream: true, ..allowed(10) }).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
        assert_eq!(health(&upstream), Health::Well);
    }
    for _ in 0..10 {
        let streamed =
            http_body_util::StreamBody::new(futures_util::stream::iter([Ok(http_body::Frame::data("x".into()))]));
        let answer = send(&upstream, Request::post("/").body(Body::new(streamed)).unwrap()).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
        assert_eq!(health(&upstream), Health::Well);
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
    let failed =
        upstream.send(asked, Allowance { by, fair_by: by, again: true, is_stream: false }).await.err().unwrap();
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
