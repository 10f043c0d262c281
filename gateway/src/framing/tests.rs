//! The promises of the reader: tables of what passes and what is refused.

mod bodies;
mod properties;

use super::{Fault, Refusal, Scan, Scanner};

/// Feeds `input` in pieces that end at `cuts`, as reads would bring it.
fn feed(input: &[u8], cuts: &[usize]) -> (Vec<u8>, u64, Option<Refusal>) {
    let mut scanner = Scanner::default();
    let (mut passed, mut heads, mut window) = (Vec::new(), 0, Vec::new());
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).chain([input.len()]).collect();
    ends.sort_unstable();
    let mut start = 0;
    for end in ends {
        window.extend_from_slice(&input[start..end]);
        start = end;
        let Scan { cleared, heads: more, refusal } = scanner.scan(&window);
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
        post("Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n") + &get(""),
        post("Transfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n") + &get(""),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8 * 1024 - 1)),
        get(&"a: b\r\n".repeat(99)),
        "GET /a|b/[c]^{d}?e=`|[]^{}\\' HTTP/1.1\r\nHost: a\r\n\r\n".into(),
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
        (post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), Fault::TwoFramings),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), Fault::TwoFramings),
        (post("Content-Length: 3\r\nContent-Length: 3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 3\r\ncontent-length: 4\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 3, 3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: +3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: -3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 3 3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 0x3\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 3.0\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length:\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 18446744073709551616\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: 99999999999999999999999999\r\n\r\n"), Fault::ContentLength),
        (post("Content-Length: \u{663}\r\n\r\n"), Fault::ContentLength),
        (post("Transfer-Encoding: gzip\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: gzip, chunked\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: chunked, chunked\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: identity\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: xchunked\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: chunked;q=1\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: \"chunked\"\r\n\r\n"), Fault::TransferEncoding),
        (post("Transfer-Encoding: \u{b}chunked\r\n\r\n"), Fault::FieldValue),
        (post("Transfer-Encoding:\r\n\r\n"), Fault::TransferEncoding),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".into(), Fault::TransferEncoding),
        // Lines and fields.
        (post("Transfer-Encoding : chunked\r\n\r\n"), Fault::FieldName),
        (post("Content-Length\t: 3\r\n\r\n"), Fault::FieldName),
        (get(" X: folded\r\n"), Fault::Folded),
        (get("X: a\r\n\tb\r\n"), Fault::Folded),
        (get("X: a\rTransfer-Encoding: chunked\r\n"), Fault::BareCarriageReturn),
        (get("X: a\nTransfer-Encoding: chunked\r\n"), Fault::BareLineFeed),
        (get("X: a\r\r\n"), Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".into(), Fault::BareLineFeed),
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
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into(), Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n".into(), Fault::Host),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), Fault::Host),
        ("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), Fault::Host),
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
        (line(&format!("{} / HTTP/1.1", "G".repeat(33))), Fault::Method),
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
        (line("GET /` HTTP/1.1"), Fault::Target),
        (line("GET /?\" HTTP/1.1"), Fault::Target),
        (line("GET /?< HTTP/1.1"), Fault::Target),
        (line("GET ftp://a/ HTTP/1.1"), Fault::Target),
        (line("GET http:///x HTTP/1.1"), Fault::Target),
        (line("GET http://u@a/ HTTP/1.1"), Fault::Target),
        // Sizes.
        (line(&format!("GET /{} HTTP/1.1", "a".repeat(8 * 1024))), Fault::TargetTooLong),
        (line(&format!("GET /{} HTTP/1.1", "a".repeat(100_000))), Fault::TargetTooLong),
        (get(&"a: b\r\n".repeat(100)), Fault::TooManyFields),
        (get(&format!("a: {}\r\n", "b".repeat(64 * 1024))), Fault::HeadTooLarge),
        (get(&format!("a: {}\r\n", "b".repeat(1000)).repeat(70)), Fault::HeadTooLarge),
    ] {
        let input = get("") + &attack + &get("X-Smuggled: yes\r\n");
        for cuts in [&[][..], &[100, 60, 50, 40], &(0..input.len().min(3000)).collect::<Vec<_>>()] {
            let (passed, heads, refusal) = feed(input.as_bytes(), cuts);
            assert_eq!(refusal, Some(Refusal::Head(fault)), "{attack:?}");
            assert_eq!((passed, heads), (get("").into_bytes(), 1), "{attack:?}");
        }
    }
}
