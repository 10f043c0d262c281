//! The whole system, asked as a client asks it: `archipel test` starts one for these tests.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The status and the body of an answer; none where no system was started.
fn ask(method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let Ok(url) = std::env::var("ARCHIPEL_URL") else {
        eprintln!("not asked: `archipel test` starts a system");
        return None;
    };
    let address = url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(address).expect("a system that listens");
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let of_body = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(format!("{head}{of_body}").as_bytes()).expect("a request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Some((status.expect("a status"), body.to_owned()))
}

#[test]
fn it_greets() {
    let Some((status, body)) = ask("GET", "/", "") else { return };
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("hello from my-service"), "{body}");
}
//~ postgres

#[test]
fn a_note_is_kept() {
    let Some((status, body)) = ask("POST", "/notes", r#"{"text":"tea"}"#) else { return };
    assert_eq!(status, 201, "{body}");
    let Some((status, body)) = ask("GET", "/notes", "") else { return };
    assert!(status == 200 && body.contains(r#""text":"tea""#), "{body}");
    let Some((status, body)) = ask("POST", "/notes", "{}") else { return };
    assert_eq!(status, 400, "{body}");
}
//~ keyvalue

#[test]
fn visits_are_counted() {
    let Some((status, body)) = ask("POST", "/visits", "") else { return };
    assert!(status == 200 && body == "1", "{body}");
}
//~ events

#[test]
fn an_event_is_published() {
    let Some((status, body)) = ask("POST", "/events", "") else { return };
    assert_eq!(status, 200, "{body}");
}
//~ end
