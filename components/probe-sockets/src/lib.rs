//! The test guest that opens raw sockets, as a program would that brings its own driver.
//!
//! It tells what it got or how it was refused; whether it may is the host's to say.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
};

use sdk::{Query, Request, Response};

sdk::handler!(answer);

fn answer(request: Request) -> Response {
    let Ok(query) = request.query(&["to", "send"]) else {
        return Response::text(400, "the parameters are `to`, `send`\n");
    };
    let told = match request.path().as_str() {
        "/" => Ok("probe-sockets\n".to_owned()),
        "/connect" => connect(&query),
        "/udp" => send(&query),
        _ => return Response::text(404, "no such behaviour\n"),
    };
    match told {
        Ok(text) => Response::text(200, &text),
        Err(refused) => Response::text(403, &format!("{refused}\n")),
    }
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
    let sent = socket.send_to(query.get("send").unwrap_or("probe").as_bytes(), query.get("to").unwrap_or_default())?;
    Ok(format!("sent {sent} bytes\n"))
}
