//! The test guest that dials out: over WASI HTTP and over a raw socket.
//!
//! It tells what it got or how it was refused; whether it may is the host's to say.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
};

use sdk::{
    Query, Request, Response,
    bindings::wasi::http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingResponse, Method, OutgoingRequest, Scheme},
    },
};

sdk::handler!(answer);

fn answer(request: Request) -> Response {
    let Ok(query) = request.query(&["url", "to", "send"]) else {
        return Response::text(400, "the parameters are `url`, `to`, `send`\n");
    };
    let told = match request.path().as_str() {
        "/" => Ok("probe-net\n".to_owned()),
        "/fetch" => fetch(&query).map_err(|error| format!("{error:?}")),
        "/connect" => connect(&query).map_err(|error| error.to_string()),
        "/udp" => send(&query).map_err(|error| error.to_string()),
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match told {
        Ok(text) => Response::text(200, &text),
        Err(refused) => Response::text(403, &format!("{refused}\n")),
    }
}

/// Gets `url` and tells status and body.
fn fetch(query: &Query) -> Result<String, ErrorCode> {
    let (scheme, rest) = query
        .get("url")
        .and_then(|url| url.split_once("://"))
        .ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Get).map_err(invalid)?;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request
        .set_path_with_query(Some(if path.is_empty() { "/" } else { path }))
        .map_err(invalid)?;

    let pending = outgoing_handler::handle(request, None)?;
    pending.subscribe().block();
    let response = pending.get().expect("it is ready").expect("taken once")?;
    Ok(format!("{} {}", response.status(), body(&response)))
}

/// As much of the body as arrives.
fn body(response: &IncomingResponse) -> String {
    let body = response.consume().expect("taken once");
    let stream = body.stream().expect("taken once");
    let mut bytes = Vec::new();
    while let Ok(more) = stream.blocking_read(65_536) {
        bytes.extend(more);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Connects to `to`, a host and a port, sends `send` and tells the first bytes that come back.
fn connect(query: &Query) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(query.get("to").unwrap_or_default())?;
    let Some(text) = query.get("send") else {
        return Ok("connected\n".to_owned());
    };
    stream.write_all(text.as_bytes())?;
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// Sends `send` as one datagram to `to`.
fn send(query: &Query) -> std::io::Result<String> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let sent = socket.send_to(
        query.get("send").unwrap_or("probe").as_bytes(),
        query.get("to").unwrap_or_default(),
    )?;
    Ok(format!("sent {sent} bytes\n"))
}
