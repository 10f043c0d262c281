//! What comes from elsewhere and what goes there, in every framing and with every end: nothing short looks whole, to a
//! client of HTTP/1.1 nor to one of HTTP/2, nor to the service.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::harness::{
    Connection, Host,
    h2::{self, Client, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, field, frame},
    scripted::{
        Scripted, Step,
        Step::{Reset, Stay, Wait},
        say,
    },
    until,
    upstream::ok,
};

const DATA: u8 = 0;
const GOAWAY: u8 = 7;

/// What a client makes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Whole(String),
    /// It began, and did not end well.
    Cut,
    /// Another status than 200.
    Status(u16),
}

use Seen::{Cut, Status};

fn whole(text: &str) -> Seen {
    Seen::Whole(text.to_owned())
}

/// Each behind its number: `/0`, `/1`, …
fn before(servers: &[(SocketAddr, bool)]) -> Host {
    let service = |(number, (address, http2)): (usize, &(SocketAddr, bool))| {
        format!(
            "[services.s{number}]\nurl = \"http://{address}\"\npool = {{ http2 = {http2} }}\nlimits = {{ timeout = \"25s\" }}\n\
             [[routes]]\npath = \"/{number}\"\nservice = \"s{number}\"\npublic = true\n"
        )
    };
    let services: String = servers.iter().enumerate().map(service).collect();
    Host::running(&format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\ntimeout = \"25s\"\nbody_limit = \"64MiB\"\n{services}"
    ))
}

fn by_http1(host: &Host, path: &str) -> Seen {
    let mut connection = Connection::open(host.gateway);
    connection.request("GET", path, &[("te", "trailers")], b"");
    match connection.answer(false) {
        Some(answer) if answer.status != 200 => Status(answer.status),
        Some(answer) if answer.whole => Seen::Whole(answer.text()),
        _ => Cut,
    }
}

fn by_http2(host: &Host, path: &str) -> Seen {
    h2::runtime().block_on(async {
        let mut client = Client::open(host.gateway).await;
        match client.get(path).await {
            Ok(answer) if answer.status() != 200 => Status(answer.status().as_u16()),
            Ok(answer) => match h2::whole(answer).await {
                Ok(body) => Seen::Whole(String::from_utf8_lossy(&body).into_owned()),
                Err(_cut) => Cut,
            },
            Err(_cut) => Cut,
        }
    })
}

/// Asks each by both protocols, all at once since some are waited for, and says of all what was seen otherwise.
fn judge(rows: Vec<(&str, Vec<Step>, Seen)>, server: impl Fn(Vec<Step>) -> Scripted, http2: bool) {
    let servers: Vec<Scripted> = rows.iter().map(|(_, steps, _)| server(steps.clone())).collect();
    let places: Vec<(SocketAddr, bool)> = servers.iter().map(|server| (server.address, http2)).collect();
    let host = before(&places);
    let judged = |(number, (name, _, expected)): (usize, &(&str, Vec<Step>, Seen))| {
        let path = format!("/{number}");
        let seen = [(by_http1(&host, &path), "HTTP/1.1"), (by_http2(&host, &path), "HTTP/2")];
        let wrong = seen.into_iter().filter(|(seen, _)| seen != expected);
        wrong.map(|(seen, by)| format!("{name}: {seen:?} over {by}, not {expected:?}")).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let judged = &judged;
        let asking: Vec<_> = rows.iter().enumerate().map(|row| scope.spawn(move || judged(row))).collect();
        asking.into_iter().flat_map(|asked| asked.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn answers_in_http_1_1_arrive_whole_or_are_cut_for_whoever_asks() {
    let length = |length: usize| say(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
    let chunked = || say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let rows = vec![
        ("a length", vec![length(5), say("hello")], whole("hello")),
        ("a length, late", vec![length(5), Wait, say("he"), Wait, say("llo")], whole("hello")),
        ("more than its length", vec![length(5), say("helloHTTP/1.1 200 OK\r\n\r\n")], whole("hello")),
        ("chunks", vec![chunked(), say("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")], whole("hello")),
        (
            "chunks, late and in pieces",
            vec![
                chunked(),
                Wait,
                say("2\r"),
                Wait,
                say("\nhe\r\n3;a=b\r\nl"),
                Wait,
                say("lo\r\n0\r\n"),
                Wait,
                say("\r\n"),
            ],
            whole("hello"),
        ),
        ("chunks with trailers", vec![chunked(), say("5\r\nhello\r\n0\r\nsum: 7\r\n\r\n")], whole("hello")),
        ("until its end", vec![say("HTTP/1.1 200 OK\r\n\r\n"), Wait, say("hello")], whole("hello")),
        ("HTTP/1.0", vec![say("HTTP/1.0 200 OK\r\n\r\n"), Wait, say("hello")], whole("hello")),
        (
            "after two of 1xx",
            vec![
                say("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
                Wait,
                length(5),
                say("hello"),
            ],
            whole("hello"),
        ),
        ("nothing in it", vec![length(0)], whole("")),
        ("no content", vec![say("HTTP/1.1 204 No Content\r\n\r\n")], Status(204)),
        ("short of its length", vec![length(6), Wait, say("hello")], Cut),
        ("short of its length, torn down", vec![length(6), say("hello"), Wait, Reset], Cut),
        ("no last chunk", vec![chunked(), Wait, say("5\r\nhello\r\n")], Cut),
        ("a chunk that breaks off", vec![chunked(), Wait, say("5\r\nhel")], Cut),
        ("a last chunk without its end", vec![chunked(), Wait, say("5\r\nhello\r\n0\r\n")], Cut),
        ("a chunk of no size", vec![chunked(), Wait, say("five\r\nhello\r\n0\r\n\r\n")], Cut),
        ("a chunk of every size", vec![chunked(), Wait, say("fffffffffffffffff\r\nhello\r\n0\r\n\r\n")], Cut),
        ("a chunk that is longer than it says", vec![chunked(), Wait, say("3\r\nhello\r\n0\r\n\r\n")], Cut),
        ("until its end, torn down", vec![say("HTTP/1.1 200 OK\r\n\r\nhello"), Wait, Reset], Cut),
        (
            "two lengths",
            vec![say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello")],
            Status(502),
        ),
        ("no HTTP", vec![say("SSH-2.0-OpenSSH_9.2\r\n")], Status(502)),
        ("a head that breaks off", vec![say("HTTP/1.1 200 OK\r\ncontent-len")], Status(502)),
        ("nothing", vec![], Status(502)),
        ("nothing, torn down", vec![Reset], Status(502)),
    ];
    judge(rows, |steps| Scripted::http1(steps, true), false);
}

#[test]
fn answers_in_http_2_arrive_whole_or_are_cut_for_whoever_asks() {
    let head = |more: &[u8]| say(frame(HEADERS, END_HEADERS, 1, &[&[0x88], more].concat()));
    let length = |length: &[u8]| head(&field("content-length", length));
    let data = |text: &str| say(frame(DATA, 0, 1, text.as_bytes()));
    let last = |text: &str| say(frame(DATA, END_STREAM, 1, text.as_bytes()));
    let reset = |reason: u32| say(frame(RST_STREAM, 0, 1, &reason.to_be_bytes()));
    let leave = |last: u32, reason: u32| say(frame(GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat()));
    let (no_error, internal, cancelled) = (0, 2, 8);
    let rows = vec![
        ("a length", vec![length(b"5"), last("hello"), Stay], whole("hello")),
        ("late", vec![head(&[]), Wait, data("he"), Wait, data("llo"), Wait, last(""), Stay], whole("hello")),
        (
            "trailers",
            vec![head(&[]), data("hello"), say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &field("sum", b"7"))), Stay],
            whole("hello"),
        ),
        (
            "after one of 1xx",
            vec![say(frame(HEADERS, END_HEADERS, 1, &field(":status", b"103"))), Wait, head(&[]), last("hello"), Stay],
            whole("hello"),
        ),
        ("whole, and its stream reset", vec![head(&[]), last("hello"), reset(no_error), Stay], whole("hello")),
        ("whole, and its connection left", vec![head(&[]), last("hello"), leave(1, no_error)], whole("hello")),
        ("left, and then whole", vec![leave(1, no_error), Wait, head(&[]), Wait, last("hello")], whole("hello")),
        ("left in between", vec![head(&[]), data("he"), leave(1, no_error), Wait, last("llo")], whole("hello")),
        ("reset without an error", vec![head(&[]), data("hello"), Wait, reset(no_error), Stay], Cut),
        ("reset at once without an error", vec![head(&[]), data("hello"), reset(no_error), Stay], Cut),
        ("reset, given up", vec![head(&[]), data("hello"), Wait, reset(cancelled), Stay], Cut),
        ("reset, broken", vec![head(&[]), data("hello"), Wait, reset(internal), Stay], Cut),
        ("short of its length", vec![length(b"6"), Wait, data("hello"), Wait, last(""), Stay], Cut),
        ("more than its length", vec![length(b"4"), Wait, last("hello"), Stay], Cut),
        ("its connection ends", vec![head(&[]), data("hello"), Wait], Cut),
        ("its connection is torn down", vec![head(&[]), data("hello"), Wait, Reset], Cut),
        ("left, and nothing more", vec![head(&[]), data("hello"), Wait, leave(1, no_error)], Cut),
        ("left with an error", vec![head(&[]), data("hello"), Wait, leave(1, internal)], Cut),
        ("no HTTP/2", vec![say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")], Status(502)),
        ("nothing", vec![], Status(502)),
    ];
    judge(rows, Scripted::http2, true);
}

/// What a client says and then leaves. It must not arrive as something whole.
#[test]
fn a_request_that_its_client_does_not_end_does_not_look_whole_to_the_service() {
    let post =
        |framing: &str, body: &str| format!("POST /0 HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{body}").into_bytes();
    let fields = [vec![0x83, 0x86], field(":path", b"/0"), field(":authority", b"a")].concat();
    let head = frame(HEADERS, END_HEADERS, 1, &fields);
    let stream = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &head, &frame(DATA, 0, 1, b"hello")].concat();
    let reset = |reason: u32| frame(RST_STREAM, 0, 1, &reason.to_be_bytes());
    // What begins it, and what comes when that has arrived.
    for (name, begins, ends) in [
        ("short of its length", post("content-length: 100000", "hello"), vec![]),
        ("no last chunk", post("transfer-encoding: chunked", "5\r\nhello\r\n"), vec![]),
        ("a chunk that breaks off", post("transfer-encoding: chunked", "5\r\nhello\r\n"), b"9\r\nhe".to_vec()),
        ("a chunk of no size", post("transfer-encoding: chunked", "5\r\nhello\r\n"), b"x\r\n".to_vec()),
        ("a stream whose connection ends", stream.clone(), vec![]),
        ("a stream that is given up", stream.clone(), reset(8)),
        ("a stream that is reset without an error", stream.clone(), reset(0)),
    ] {
        let service = Scripted::http1(vec![say(ok("taken"))], true);
        let host = before(&[(service.address, false)]);
        let mut client = TcpStream::connect(host.gateway).unwrap();
        client.write_all(&begins).unwrap();
        until(name, || String::from_utf8_lossy(&service.received().0).contains("hello"));
        client.write_all(&ends).unwrap();
        if name.starts_with("a stream that") {
            // Its connection stays.
            until("the service's connection ends", || service.received().1);
        }
        drop(client);
        until("the service's connection ends", || service.received().1);
        let (received, _) = service.received();
        let text = String::from_utf8_lossy(&received);
        assert!(!text.ends_with("0\r\n\r\n"), "{name} looked whole: {text}");
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
        assert!(length.is_none_or(|length: usize| length > 5), "{name} looked whole: {text}");
    }
}

#[test]
fn an_answer_that_comes_before_its_request_has_ended_is_the_answer() {
    let early = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
    let staying = Scripted::http1(vec![say(early), Stay], false);
    let host = before(&[(staying.address, false)]);
    let mut connection = Connection::open(host.gateway);
    let body = vec![b'x'; 8 << 20];
    let mut writer = connection.writer();
    let sending = thread::spawn(move || {
        let head = format!("POST /0 HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        // Nobody may want to read it all.
        let _ = writer.write_all(&[head.as_bytes(), &body].concat());
    });
    let answer = connection.answer(false).expect("an answer");
    assert_eq!((answer.status, answer.whole, answer.text().as_str()), (413, true, "no"));
    drop(connection);
    sending.join().unwrap();
}

/// Each connection has one answer and is closed behind it, without a word.
#[test]
fn a_connection_that_closes_under_a_request_costs_none_that_may_be_repeated_and_doubles_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let posts: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = posts.clone();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let seen = seen.clone();
            thread::spawn(move || {
                for number in 0.. {
                    let mut head = [0; 4096];
                    let Some(read) = socket.read(&mut head).ok().filter(|read| *read > 0) else { return };
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    if let Some(id) = head.split("x-number: ").nth(1).and_then(|rest| rest.split('\r').next()) {
                        seen.lock().unwrap().push(id.to_owned());
                    }
                    // The tenth request of a connection races with its end: retries are a fifth at most.
                    if number == 9 || socket.write_all(ok("hello").as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let host = before(&[(address, false)]);
    for number in 0..100 {
        let answer = host.get("/0");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "GET {number}");
    }
    let mut refused = 0;
    for number in 0..60 {
        let id = number.to_string();
        match host.send("POST", "/0", &[("x-number", &id)], b"").status {
            200 => {}
            502 => refused += 1,
            other => panic!("{other}"),
        }
        let times = posts.lock().unwrap().iter().filter(|seen| **seen == id).count();
        assert!(times <= 1, "{number} came {times} times");
    }
    assert!(refused > 0, "some met a connection that ended, and were not repeated");
}

#[test]
fn a_slow_reader_on_either_side_slows_the_other_and_fills_no_memory() {
    const SIZE: usize = 48 << 20;
    const MEMORY_MAX_MIB: u64 = 24;
    // The side that writes stands still when nobody reads; then everything arrives.
    let stands_still = |written: &AtomicUsize| {
        let (mut last, mut since) = (0, Instant::now());
        until("the writer stands still", || {
            let now = written.load(Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            now > 0 && since.elapsed() > Duration::from_millis(400)
        });
        assert!(last < SIZE, "it was all taken, by whom?");
    };
    let write = |mut socket: TcpStream, written: Arc<AtomicUsize>| {
        thread::spawn(move || {
            let piece = vec![b'x'; 64 << 10];
            while written.load(Relaxed) < SIZE && socket.write_all(&piece).is_ok() {
                written.fetch_add(piece.len(), Relaxed);
            }
            socket
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = before(&[(listener.local_addr().unwrap(), false)]);
    let began = host.memory_mib();
    let accepted = || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        socket
    };

    let mut client = Connection::open(host.gateway);
    client.request("GET", "/0", &[], b"");
    let mut service = accepted();
    service.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes()).unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let writing = write(service, written.clone());
    stands_still(&written);
    assert!(host.memory_mib() < began + MEMORY_MAX_MIB, "{} MiB, before {began}", host.memory_mib());
    let answer = client.answer(false).unwrap();
    assert_eq!((answer.whole, answer.body.len()), (true, SIZE));
    drop(writing.join().unwrap());

    let mut client = Connection::open(host.gateway);
    client.write(format!("PUT /0 HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes());
    let written = Arc::new(AtomicUsize::new(0));
    let writing = write(client.writer(), written.clone());
    let mut service = accepted();
    stands_still(&written);
    assert!(host.memory_mib() < began + MEMORY_MAX_MIB, "{} MiB, before {began}", host.memory_mib());
    let mut body = vec![0; SIZE];
    service.read_exact(&mut body).unwrap();
    service.write_all(ok("all").as_bytes()).unwrap();
    assert_eq!(client.answer(false).unwrap().text(), "all");
    drop(writing.join().unwrap());
}
