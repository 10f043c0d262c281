//! Spans over gRPC, read by a server of a few lines and the published types.

use std::{convert::Infallible, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp::{Collector, Protocol, Sender, Settings};
use prost::Message;
use span::{Counts, Kind, Recorder, Sampling, Source, Span};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

type Seen = (String, Option<HeaderValue>, ExportTraceServiceRequest);

/// Answers every call with a message and a status, and hands on what it was sent.
async fn serve(listener: TcpListener, seen: mpsc::UnboundedSender<Seen>, message: &'static [u8], status: &'static str) {
    while let Ok((socket, _)) = listener.accept().await {
        let seen = seen.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                let sent = body.collect().await.expect("a whole call").to_bytes();
                // One byte that says whether it is compressed, four of length, the message.
                let request = ExportTraceServiceRequest::decode(&sent[5..]).expect("OTLP");
                let _ = seen.send((head.uri.path().to_owned(), head.headers.get("x-key").cloned(), request));
                let mut answer = BytesMut::new();
                answer.put_u8(0);
                answer.put_u32(u32::try_from(message.len()).expect("a short answer"));
                answer.put_slice(message);
                let trailers = HeaderMap::from_iter([(
                    http::HeaderName::from_static("grpc-status"),
                    HeaderValue::from_static(status),
                )]);
                let frames: [Result<Frame<Bytes>, Infallible>; 2] =
                    [Ok(Frame::data(answer.freeze())), Ok(Frame::trailers(trailers))];
                let response = Response::builder().header("content-type", "application/grpc");
                response.body(StreamBody::new(futures_util::stream::iter(frames)))
            }
        });
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service),
        );
    }
}

/// What is counted, and seen, when two sources have told a span each.
async fn told(message: &'static [u8], status: &'static str) -> (Counts, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, seen) = mpsc::unbounded_channel();
    tokio::spawn(serve(listener, sender, message, status));
    let sampling = Sampling::default();
    let recorder = Recorder::new(
        Source::new("gateway", "1"),
        span::Settings { sends: true, sampling, slow: Duration::from_secs(1) },
    );
    let settings = Settings {
        endpoint,
        protocol: Protocol::Grpc,
        headers: vec![("x-key".into(), "a key".into())],
        ca: None,
        timeout: Duration::from_secs(30),
        is_default: false,
        resource: vec![("service.namespace".into(), "test".into())],
    };
    let (_to, following) = watch::channel(Some(Collector::open(settings, &[]).expect("a way there")));
    let exporter = Sender::spans(recorder.clone(), following);
    let recording = recorder.begin(7, None, None).1.expect("it is wanted");
    for source in [Source::new("users", "2"), recording.own().clone()] {
        recording.add(Box::new(Span::new(source, Kind::Server, "GET")));
    }
    drop(recording);
    exporter.stop(Duration::from_secs(60)).await;
    (recorder.counts(), seen)
}

#[tokio::test]
async fn spans_go_over_grpc_with_their_headers_one_resource_for_each_source() {
    let (counts, mut seen) = told(b"", "0").await;
    let mut services = Vec::new();
    while let Ok((path, key, request)) = seen.try_recv() {
        assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        assert_eq!(key, Some(HeaderValue::from_static("a key")));
        for of_resource in request.resource_spans {
            let attributes = of_resource.resource.expect("a resource").attributes;
            let name = attributes.iter().find(|pair| pair.key == "service.name").and_then(|pair| pair.value.clone());
            services.push(format!("{name:?}"));
            assert_eq!(of_resource.scope_spans[0].spans[0].trace_id, 7_u128.to_be_bytes());
        }
    }
    services.sort();
    assert_eq!(services.len(), 2, "{services:?}");
    assert!(services[0].contains("gateway") && services[1].contains("users"), "{services:?}");
    assert_eq!((counts.sent, counts.dropped), (2, 0));
}

#[tokio::test]
async fn what_a_collector_leaves_out_or_refuses_is_counted_as_lost() {
    // partial_success { rejected_spans: 1 }
    let (counts, mut seen) = told(&[0x0a, 2, 0x08, 1], "0").await;
    assert_eq!((counts.sent, counts.dropped), (1, 1));
    assert!(seen.try_recv().is_ok());
    // INVALID_ARGUMENT: it would be so the next time, too.
    let (counts, mut seen) = told(b"", "3").await;
    assert_eq!((counts.sent, counts.dropped), (0, 2));
    assert!(seen.try_recv().is_ok() && seen.try_recv().is_err(), "asked once");
}
