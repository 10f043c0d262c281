//! A server of a test's own on 127.0.0.1, for guests that dial out: it answers what the test says
//! and tells what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Listens until the test's process ends.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

/// What to do with one request.
pub enum Act {
    /// These bytes, and the connection stays.
    Say(Vec<u8>),
    /// These bytes, then nothing for so long, then the end of the connection.
    Pause(Vec<u8>, Duration),
    Hang,
}

impl Upstream {
    pub fn answering(body: &str) -> Self {
        let answer = ok(body);
        Self::acting(move |_number, _head| Act::Say(answer.clone().into_bytes()))
    }

    /// `act` gets the number of the request, from 0, and its head.
    pub fn acting(act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), act)
    }

    /// The same at an address of the test's own.
    pub fn on(listener: TcpListener, act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (of, act) = (upstream.clone(), Arc::new(act));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                of.seen.lock().unwrap().connections += 1;
                let (of, act) = (of.clone(), act.clone());
                thread::spawn(move || of.serve(socket, &*act));
            }
        });
        upstream
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The heads so far, each with its body.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    fn serve(&self, socket: TcpStream, act: &(dyn Fn(usize, &str) -> Act + Send + Sync)) {
        let mut reader = BufReader::new(socket);
        while let Some(request) = request(&mut reader) {
            let number = {
                let mut seen = self.seen.lock().unwrap();
                seen.requests.push(request.clone());
                seen.requests.len() - 1
            };
            match act(number, &request) {
                Act::Say(bytes) if reader.get_mut().write_all(&bytes).is_ok() => {}
                Act::Say(_) => return,
                Act::Pause(bytes, pause) => {
                    let _ = reader.get_mut().write_all(&bytes);
                    thread::park_timeout(pause);
                    return;
                }
                Act::Hang => thread::park_timeout(Duration::from_secs(60)),
            }
        }
    }
}

/// A whole answer.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length =
        lower.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(0, |n| n.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if lower.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).ok()?;
            body.push(byte[0]);
        }
    }
    Some(head + &String::from_utf8_lossy(&body))
}

/// A value as a query of a test guest takes it.
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
