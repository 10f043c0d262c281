//! The reader with hyper behind it: hyper sees exactly the requests that the reader counted,
//! with the bodies that the reader saw, and never refuses anything by itself.

#![no_main]

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use gateway::framing::{Framed, Progress};
use http_body_util::{BodyExt, Full};
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, bytes)) = input.split_first() else { return };
    RUNTIME.with(|runtime| runtime.block_on(compare(usize::from(piece) + 1, bytes)));
});

async fn compare(piece: usize, bytes: &[u8]) {
    let progress = Arc::new(Progress::default());
    let (mut client, server) = tokio::io::duplex(piece);
    let seen = Rc::new(Cell::new(0u64));
    let answers = RefCell::new(Vec::new());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        seen.set(seen.get() + 1);
        async {
            let _ = request.into_body().collect().await; // cut bodies are expected
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"x"))))
        }
    });
    let io = TokioIo::new(Framed::new(server, progress.clone()));
    let serving = http1::Builder::new().header_read_timeout(None).serve_connection(io, service);
    let (mut from_server, mut to_server) = tokio::io::split(&mut client);
    let talking = async {
        tokio::join!(
            async {
                let _ = to_server.write_all(bytes).await; // the server may close first
                let _ = to_server.shutdown().await;
            },
            async {
                let mut part = [0; 256];
                while let Ok(length @ 1..) = from_server.read(&mut part).await {
                    answers.borrow_mut().extend_from_slice(&part[..length]);
                }
            },
            serving,
        )
    };
    // After a refused head nothing moves any more: time runs only then.
    let _ = tokio::time::timeout(Duration::from_secs(1), talking).await;

    let answers = String::from_utf8(answers.into_inner()).expect("hyper writes ASCII");
    assert!(seen.get() <= progress.heads(), "hyper saw a request that the reader did not count");
    assert!(answers.matches("HTTP/1.").count() as u64 <= seen.get(), "hyper spoke by itself: {answers}");
    for refusal in [" 400 ", " 414 ", " 431 ", " 505 "] {
        assert!(!answers.contains(refusal), "hyper refused what the reader let pass: {answers}");
    }
}
