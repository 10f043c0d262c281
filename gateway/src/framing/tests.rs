//! The promises of the reader: a table of attacks, and properties over splits and mutations.

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

use super::{Fault, Framed, Progress, Refusal, Scan, Scanner};

/// Feeds `input` in pieces that end at `cuts`, as reads would bring it.
fn feed(input: &[u8], cuts: &[usize]) -> (Vec<u8>, u64, Option<Refusal>) {
    let mut scanner = Scanner::default();
    let (mut passed, mut heads, mut window) = (Vec::new(), 0, Vec::new());
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut % (input.len() + 1))
        .chain([input.len()])
        .collect();
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        window.extend_from_slice(&input[start..end]);
        start = end;
        let Scan {
            cleared,
            heads: more,
            refusal,
        } = scanner.scan(&window);
        passed.extend(window.drain(..cleared));
        heads += more;
        if refusal.is_some() {
            return (passed, heads, refusal);
        }
    }
    (passed, heads, None)
}

fn get(rest: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n")
}

fn post(rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}")
}

#[test]
fn valid_requests_pass_untouched() {
    for valid in [
        get(""),
        get("").repeat(5),
        format!("\r\n{}", get("")),
        get("X:\r\nY: \t b \t\r\nZ: \u{e9}\r\n"),
        "GET / HTTP/1.0\r\n\r\n".into(),
        "OPTIONS * HTTP/1.1\r\nHost: a:80\r\n\r\n".into(),
        "GET http://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET https://[::1]:1 HTTP/1.1\r\nhost:[::1]:1\r\n\r\n".into(),
        post("Content-Length: 3\r\n\r\nabc") + &get(""),
        post("Content-Length: 0\r\n\r\n") + &get(""),
        post("Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n")
            + &get(""),
        post("Transfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n") + &get(""),
        format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "a".repeat(8 * 1024 - 1)
        ),
        get(&"a: b\r\n".repeat(99)),
    ] {
        let (passed, heads, refusal) = feed(valid.as_bytes(), &[]);
        assert_eq!(refusal, None, "{valid:?}");
        assert_eq!(passed, valid.as_bytes(), "{valid:?}");
        assert_eq!(heads as usize, valid.matches("HTTP/1").count(), "{valid:?}");
    }
}

#[test]
fn attacks_on_heads_are_refused_and_nothing_of_them_passes() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    for (attack, fault) in [
        // Framing.
        (
            post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Fault::TwoFramings,
        ),
        (
            post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
            Fault::TwoFramings,
        ),
        (
            post("Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
            Fault::ContentLength,
        ),
        (
            post("Content-Length: 3\r\ncontent-length: 4\r\n\r\n"),
            Fault::ContentLength,
        ),
        (post("Content-Length: 3, 3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: +3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: -3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 3 3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 0x3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 3.0\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length:\r\n\r\n"), Fault::ContentLength),
        (
            post("Content-Length: 18446744073709551616\r\n\r\n"),
            Fault::ContentLength,
        ),
        (
            post("Content-Length: 99999999999999999999999999\r\n\r\n"),
            Fault::ContentLength,
        ),
        (
            post("Content-Length: \u{663}\r\n\r\n"),
            Fault::ContentLength,
        ),
        (
            post("Transfer-Encoding: gzip\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: gzip, chunked\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: chunked, chunked\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: identity\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: xchunked\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: chunked;q=1\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: \"chunked\"\r\n\r\n"),
            Fault::TransferEncoding,
        ),
        (
            post("Transfer-Encoding: \u{b}chunked\r\n\r\n"),
            Fault::FieldValue,
        ),
        (post("Transfer-Encoding:\r\n\r\n"), Fault::TransferEncoding),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            Fault::TransferEncoding,
        ),
        // Lines and fields.
        (
            post("Transfer-Encoding : chunked\r\n\r\n"),
            Fault::FieldName,
        ),
        (post("Content-Length\t: 3\r\n\r\n"), Fault::FieldName),
        (get(" X: folded\r\n"), Fault::Folded),
        (get("X: a\r\n\tb\r\n"), Fault::Folded),
        (
            get("X: a\rTransfer-Encoding: chunked\r\n"),
            Fault::BareCarriageReturn,
        ),
        (
            get("X: a\nTransfer-Encoding: chunked\r\n"),
            Fault::BareLineFeed,
        ),
        (get("X: a\r\r\n"), Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), Fault::BareLineFeed),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\n".into(),
            Fault::BareLineFeed,
        ),
        (get(": x\r\n"), Fault::FieldName),
        (get("no colon\r\n"), Fault::FieldName),
        (get("nocolon\r\n"), Fault::FieldName),
        (get("(x): y\r\n"), Fault::FieldName),
        (get("\u{e9}: y\r\n"), Fault::FieldName),
        (get("X\0: y\r\n"), Fault::FieldName),
        (get("X: a\0b\r\n"), Fault::FieldValue),
        (get("X: a\u{7f}b\r\n"), Fault::FieldValue),
        (get("X: a\u{1b}b\r\n"), Fault::FieldValue),
        // Host.
        ("GET / HTTP/1.1\r\n\r\n".into(), Fault::Host),
        (get("Host: a\r\n"), Fault::Host),
        (get("host: b\r\n"), Fault::Host),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".into(),
            Fault::Host,
        ),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n".into(), Fault::Host),
        (
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            Fault::Host,
        ),
        (
            "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            Fault::Host,
        ),
        // Request line.
        (line("GET  / HTTP/1.1"), Fault::RequestLine),
        (line("GET / HTTP/1.1 "), Fault::RequestLine),
        (line(" GET / HTTP/1.1"), Fault::RequestLine),
        (line("GET\t/\tHTTP/1.1"), Fault::RequestLine),
        (line("GET /"), Fault::RequestLine),
        (line("GET / b HTTP/1.1"), Fault::RequestLine),
        (format!("\r\n\r\n{}", get("")), Fault::RequestLine),
        (line("\u{16}\u{3}\u{1}"), Fault::RequestLine),
        (line("G@T / HTTP/1.1"), Fault::Method),
        (
            line(&format!("{} / HTTP/1.1", "G".repeat(33))),
            Fault::Method,
        ),
        (line(&"G".repeat(20_000)), Fault::Method),
        (line("GET / HTTP/2.0"), Fault::Version),
        (line("GET / HTTP/1.2"), Fault::Version),
        (line("GET / HTTP/0.9"), Fault::Version),
        (line("GET / http/1.1"), Fault::Version),
        (line("GET / HTTP/1.10"), Fault::Version),
        (line("PRI * HTTP/2.0"), Fault::Version),
        (line("CONNECT a:80 HTTP/1.1"), Fault::MethodRefused),
        (line("TRACE / HTTP/1.1"), Fault::MethodRefused),
        (line("GET * HTTP/1.1"), Fault::Target),
        (line("GET a HTTP/1.1"), Fault::Target),
        (line("GET /#x HTTP/1.1"), Fault::Target),
        (line("GET /\u{e9} HTTP/1.1"), Fault::Target),
        (line("GET /\u{1} HTTP/1.1"), Fault::Target),
        (line("GET ftp://a/ HTTP/1.1"), Fault::Target),
        (line("GET http:///x HTTP/1.1"), Fault::Target),
        (line("GET http://u@a/ HTTP/1.1"), Fault::Target),
        // Sizes.
        (
            line(&format!("GET /{} HTTP/1.1", "a".repeat(8 * 1024))),
            Fault::TargetTooLong,
        ),
        (
            line(&format!("GET /{} HTTP/1.1", "a".repeat(100_000))),
            Fault::TargetTooLong,
        ),
        (get(&"a: b\r\n".repeat(100)), Fault::TooManyFields),
        (
            get(&format!("a: {}\r\n", "b".repeat(64 * 1024))),
            Fault::HeadTooLarge,
        ),
        (
            get(&format!("a: {}\r\n", "b".repeat(1000)).repeat(70)),
            Fault::HeadTooLarge,
        ),
    ] {
        let input = get("") + &attack + &get("X-Smuggled: yes\r\n");
        for cuts in [
            &[][..],
            &[100, 60, 50, 40],
            &(0..input.len().min(3000)).collect::<Vec<_>>(),
        ] {
            let (passed, heads, refusal) = feed(input.as_bytes(), cuts);
            assert_eq!(refusal, Some(Refusal::Head(fault)), "{attack:?}");
            assert_eq!((passed, heads), (get("").into_bytes(), 1), "{attack:?}");
        }
    }
}

#[test]
fn attacks_on_bodies_end_the_body_and_the_stream_of_requests() {
    for attack in [
        "\r\n0\r\n\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1 ;x\r\na\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\r\nab\r\n",
        "1\r\naX",
        "1;\nGET / HTTP/1.1\r\n",
        "1;a\rb\r\na\r\n",
        "1;\0\r\na\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "10000000000000000\r\n",
        "0000000000000000\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\0\r\n\r\n",
        "0\r\n\n",
        &format!("1;{}\r\na\r\n", "x".repeat(2000)),
        &format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000)),
        &format!("0\r\n{}\r\n", "X: y\r\n".repeat(40)),
    ] {
        let input = post("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            + attack
            + &get("X-Smuggled: yes\r\n");
        for cuts in [&[][..], &(0..input.len()).collect::<Vec<_>>()] {
            let (_, heads, refusal) = feed(input.as_bytes(), cuts);
            assert!(matches!(refusal, Some(Refusal::Body(_))), "{attack:?}");
            assert_eq!(heads, 1, "{attack:?}");
        }
    }
}

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
    let change = (
        any::<prop::sample::Index>(),
        prop::sample::select(b"\r\n\0 :;0aA\t,\x80".to_vec()),
        0..3u8,
    );
    (
        prop::collection::vec(piece, 1..6),
        prop::collection::vec(change, 0..4),
    )
        .prop_map(|(pieces, changes)| {
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
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
        let serving = http1::Builder::new()
            .header_read_timeout(None)
            .serve_connection(io, service);
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
        (
            seen.load(SeqCst),
            progress.heads(),
            String::from_utf8(answers).unwrap(),
        )
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
