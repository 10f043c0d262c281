//! The gateway behind hyper, byte for byte: what a client can tell from the wire.

use std::convert::Infallible;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// Everything a connection answers to `sent`.
async fn exchange(gateway: Gateway, sent: &str) -> String {
    let (mut client, server) = duplex(64 * 1024);
    let gateway = Arc::new(gateway);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let gateway = gateway.clone();
        async move { Ok::<_, Infallible>(send(&gateway, request).await) }
    });
    let connection =
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service));
    client.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    drop(connection.await.unwrap()); // an answer that was cut is an error of its connection
    answer
}

const ONCE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_whole_answer_has_its_length_and_the_gateways_marks() {
    let answer = exchange(gateway(hello()), ONCE).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut names: Vec<&str> = head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["connection", "content-length", "date", "x-request-id", "x-trace-id"]);
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_streamed_answer_ends_with_the_last_chunk_only_if_it_is_whole() {
    let whole = exchange(gateway(service(|_request| Ok(Response::new(stream(&["part"], true))))), ONCE).await;
    assert!(whole.ends_with("4\r\npart\r\n0\r\n\r\n"), "{whole}");
    let cut = exchange(
        gateway(service(|_request| {
            let frames = [Ok(Frame::data(Bytes::from("part"))), Err(BodyError::Cut("a trap".into()))];
            Ok(Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames)))))
        })),
        ONCE,
    )
    .await;
    assert!(!cut.contains("0\r\n\r\n"), "{cut}");
}

#[tokio::test]
async fn an_answer_shorter_or_longer_than_it_says_is_never_followed_by_another() {
    for (length, expected) in [("9", "part"), ("2", "")] {
        let answer = move |_request| {
            Ok(Response::builder().header("content-length", length).body(stream(&["part"], true)).unwrap())
        };
        let twice = format!("GET / HTTP/1.1\r\nhost: a\r\n\r\n{ONCE}");
        let answer = exchange(gateway(service(answer)), &twice).await;
        let body = answer.split_once("\r\n\r\n").map(|(_head, body)| body);
        assert!(matches!(body, None | Some("")) || body == Some(expected), "{answer}");
    }
}

#[tokio::test]
async fn the_headers_of_head_are_those_of_get() {
    let answer = exchange(gateway(hello()), &ONCE.replace("GET", "HEAD")).await;
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}
