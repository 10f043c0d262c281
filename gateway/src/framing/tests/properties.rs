//! Properties over splits and mutations, alone and with hyper behind the reader.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::feed;
use crate::framing::{Framed, Progress};

/// A few pieces of requests glued together, valid or nearly so, then some bytes changed.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\nT: v\r\n\r\n",
        "PUT http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "\r\n",
        "Content-Length: 7\r\n",
        "Transfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        "X:",
    ]);
    let change = (any::<prop::sample::Index>(), prop::sample::select(b"\r\n\0 :;0aA\t,\x80".to_vec()), 0..3u8);
    (prop::collection::vec(piece, 1..6), prop::collection::vec(change, 0..4)).prop_map(|(pieces, changes)| {
        let mut bytes = pieces.concat().into_bytes();
        for (place, byte, how) in changes {
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        bytes
    })
}

/// Sends `input` to hyper through the reader in pieces of `piece` bytes. Gives how many
/// requests hyper saw, how many heads the reader counted, and what hyper answered.
fn through_hyper(input: &[u8], piece: usize) -> (u64, u64, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let progress = Arc::new(Progress::default());
        let (mut client, server) = tokio::io::duplex(piece);
        let seen = AtomicU64::new(0);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            seen.fetch_add(1, SeqCst);
            async {
                let _ = request.into_body().collect().await; // cut bodies are expected
                Ok::<_, Infallible>(Response::new(Full::<&[u8]>::new(b"x")))
            }
        });
        let io = TokioIo::new(Framed::new(server, progress.clone()));
        let serving = http1::Builder::new().header_read_timeout(None).serve_connection(io, service);
        let (mut from_server, mut to_server) = tokio::io::split(&mut client);
        let mut answers = Vec::new();
        let talking = async {
            tokio::join!(
                async {
                    let _ = to_server.write_all(input).await; // the server may close first
                    let _ = to_server.shutdown().await;
                },
                from_server.read_to_end(&mut answers),
                serving,
            )
        };
        // After a refused head nothing moves any more: time runs only then.
        let _ = tokio::time::timeout(Duration::from_secs(1), talking).await;
        (seen.load(SeqCst), progress.heads(), String::from_utf8(answers).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn hyper_sees_no_more_than_the_reader_counted_and_never_speaks_first(
        input in nearly_requests(),
        piece in 1..300usize,
    ) {
        let (seen, counted, answers) = through_hyper(&input, piece);
        prop_assert!(seen <= counted, "{seen} > {counted}");
        prop_assert!(answers.matches("HTTP/1.").count() as u64 <= seen, "{answers}");
        prop_assert!(!answers.contains(" 400 ") && !answers.contains(" 431 "), "{answers}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_does_not_depend_on_the_split(
        input in nearly_requests(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole = feed(&input, &[]);
        prop_assert_eq!(&whole, &feed(&input, &cuts));
        let every_byte: Vec<usize> = (0..input.len()).collect();
        prop_assert_eq!(&whole, &feed(&input, &every_byte));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(
        input in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        prop_assert_eq!(feed(&input, &[]), feed(&input, &cuts));
    }
}
