//! The test guest that opens raw sockets, as a program would that brings its own driver.
//!
//! It tells what it got or how it was refused; whether it may is the host's to say.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
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
        "/lookup" => lookup(&query),
        "/listen" => TcpListener::bind("0.0.0.0:0").map(|_listener| "listening\n".to_owned()),
        "/bind" => UdpSocket::bind(query.get("to").unwrap_or_default()).map(|_socket| "bound\n".to_owned()),
        "/many" => many(&query),
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

/// Sends `send` as one datagram to `to`, and tells what comes back from there if `send` asks for it.
fn send(query: &Query) -> std::io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let text = query.get("send").unwrap_or("probe");
    let sent = socket.send_to(text.as_bytes(), query.get("to").unwrap_or_default())?;
    if text != "echo" {
        return Ok(format!("sent {sent} bytes\n"));
    }
    let mut bytes = [0; 4096];
    let (read, from) = socket.recv_from(&mut bytes)?;
    Ok(format!("{} from {from}\n", String::from_utf8_lossy(&bytes[..read])))
}

/// The addresses of `to`, a host and a port.
fn lookup(query: &Query) -> std::io::Result<String> {
    let found = query.get("to").unwrap_or_default().to_socket_addrs()?;
    Ok(found.map(|address| format!("{address}\n")).collect())
}

/// Opens connections to `to` until that fails, and tells how many there are.
fn many(query: &Query) -> std::io::Result<String> {
    let mut open = Vec::new();
    loop {
        match TcpStream::connect(query.get("to").unwrap_or_default()) {
            Ok(stream) => open.push(stream),
            Err(full) => return Ok(format!("{} {full}\n", open.len())),
        }
    }
}
