//! A server of the test's own on 127.0.0.1: it does what the test says, and tells what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What to do with one request.
pub(super) enum Act {
    Say(String),
    SayAndClose(String),
    Close,
    Hang,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

impl Server {
    pub(super) async fn answering(body: &str) -> Self {
        let answer = ok(body);
        Self::acting(move |_, _| Act::Say(answer.clone())).await
    }

    /// `act` gets the number of the request, from 0, and its head.
    pub(super) async fn acting(act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Seen::default())));
        let (of, act) = (seen.clone(), Arc::new(act));
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                of.lock().unwrap().connections += 1;
                tokio::spawn(serve(socket, of.clone(), act.clone()));
            }
        });
        Self { address, seen, accepting }
    }

    /// The URL of a port where nobody listens.
    pub(super) async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The heads so far, each with its body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

async fn serve(socket: TcpStream, seen: Arc<Mutex<Seen>>, act: Arc<impl Fn(usize, &str) -> Act>) {
    let mut reader = BufReader::new(socket);
    while let Some(request) = request(&mut reader).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(request.clone());
            seen.requests.len() - 1
        };
        match act(number, &request) {
            Act::Say(text) if reader.get_mut().write_all(text.as_bytes()).await.is_ok() => {}
            Act::Say(_) | Act::Close => return,
            Act::SayAndClose(text) => {
                let _ = reader.get_mut().write_all(text.as_bytes()).await;
                return;
            }
            Act::Hang => {
                let _ = reader.read_u8().await; // until the other side is gone
                return;
            }
        }
    }
}

async fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).await.ok()?;
    while lower.contains("transfer-encoding: chunked") && !body.ends_with(b"0\r\n\r\n") {
        body.push(reader.read_u8().await.ok()?);
    }
    Some(head + &String::from_utf8_lossy(&body))
}
