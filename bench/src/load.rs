//! The load: keep-alive connections, each with one request on its way at a time.
//!
//! Every answer is checked. One wrong answer ends the run, since a figure made of failures
//! means nothing.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    answer::{self, Answer},
    latency::Latencies,
};

const ANSWER_BYTES_MAX: usize = 64 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What one round of load found.
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    pub(crate) took: Duration,
}

/// What in a body is replaced by a number that no other request has, as long as this text.
pub(crate) const NUMBER: &str = "NNNNNNNNNN";

/// What is asked, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) to: SocketAddr,
    method: &'static str,
    /// Each connection asks for all of them in turn.
    paths: Vec<String>,
    /// Whole lines, each with its end.
    headers: String,
    body: String,
    /// What a right answer has.
    status: u16,
    numbers: Arc<AtomicU64>,
}

impl Target {
    pub(crate) fn new(to: SocketAddr, path: &str) -> Self {
        let paths = vec![path.to_owned()];
        let (headers, body, numbers) = (String::new(), String::new(), Arc::default());
        Self { to, method: "GET", paths, headers, body, status: 200, numbers }
    }

    /// All of `paths` in turn.
    pub(crate) fn each(to: SocketAddr, paths: Vec<String>) -> Self {
        Self { paths, ..Self::new(to, "") }
    }

    /// Makes something out of a JSON `body`; [`NUMBER`] in it is another for each request.
    pub(crate) fn post(to: SocketAddr, path: &str, body: &str) -> Self {
        let headers = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        Self { method: "POST", headers, body: body.to_owned(), status: 201, ..Self::new(to, path) }
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.headers += &format!("authorization: Bearer {token}\r\n");
        self
    }

    fn requests(&self) -> Vec<Request> {
        let Self { to, method, headers, body, .. } = self;
        let request = |path| Request::new(format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\n{headers}\r\n{body}"));
        self.paths.iter().map(request).collect()
    }
}

/// The bytes of a request, and where in them its number is.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    bytes: Vec<u8>,
    number_at: Option<usize>,
}

impl Request {
    fn new(text: String) -> Self {
        Self { number_at: text.find(NUMBER), bytes: text.into_bytes() }
    }

    fn number(&mut self, numbers: &AtomicU64) {
        if let Some(at) = self.number_at {
            let number = format!("{:0width$}", numbers.fetch_add(1, Relaxed), width = NUMBER.len());
            self.bytes[at..at + NUMBER.len()].copy_from_slice(&number.as_bytes()[..NUMBER.len()]);
        }
    }
}

/// Connections that are open, each to ask for the same.
pub(crate) struct Clients {
    target: Target,
    connections: Vec<Connection>,
}

impl Clients {
    /// Opens them one after the other, so that a server's backlog is no part of what is measured.
    pub(crate) async fn open(target: &Target, count: NonZeroU32) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for number in 0..count.get() {
            connections.push(Connection::open(target, number as usize).await?);
        }
        Ok(Self { target: target.clone(), connections })
    }

    /// Asks over all of them for `duration`, and waits for the answers under way.
    ///
    /// # Errors
    /// When a connection breaks, or an answer has not the target's status or, where they are given, `body_bytes`.
    pub(crate) async fn run(&mut self, duration: Duration, body_bytes: Option<usize>) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let latencies = Arc::new(Mutex::new(Latencies::new())); // one for all: a histogram is large
        let mut tasks = JoinSet::new();
        for connection in self.connections.drain(..) {
            let (target, latencies) = (self.target.clone(), Arc::clone(&latencies));
            tasks.spawn(connection.ask_until(target, start + duration, body_bytes, latencies));
        }
        while let Some(ended) = tasks.join_next().await {
            self.connections.push(ended.context("a load task panicked")??);
        }
        let took = start.elapsed();
        let latencies = Arc::into_inner(latencies).context("a load task has not ended")?;
        Ok(Outcome { latencies: latencies.into_inner().expect("nobody panics while recording"), took })
    }
}

/// Asks once, on a connection of its own.
pub(crate) async fn once(target: &Target) -> anyhow::Result<Answer> {
    Connection::open(target, 0).await?.ask(&target.numbers).await
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    requests: Vec<Request>,
    /// Which of them is next.
    next: usize,
}

impl Connection {
    /// Begins with the request of that `number`.
    async fn open(target: &Target, number: usize) -> anyhow::Result<Self> {
        let to = target.to;
        let stream = timeout(ANSWER_TIMEOUT, TcpStream::connect(to))
            .await
            .with_context(|| format!("{to} does not accept connections"))?
            .with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), requests: target.requests(), next: number })
    }

    async fn ask_until(
        mut self,
        target: Target,
        end: Instant,
        body_bytes: Option<usize>,
        latencies: Arc<Mutex<Latencies>>,
    ) -> anyhow::Result<Self> {
        let Target { to, status, .. } = target;
        let mut sent = Instant::now();
        while sent < end {
            let answer = self.ask(&target.numbers).await?;
            ensure!(answer.status == status, "an answer of {to} is {}, not {status}", answer.status);
            if let Some(bytes) = body_bytes {
                ensure!(answer.body_bytes == bytes, "a body of {to} has {} bytes, not {bytes}", answer.body_bytes);
            }
            ensure!(!answer.closes, "{to} closes its connection after an answer");
            let answered = Instant::now();
            latencies.lock().expect("nobody panics while recording").record(answered - sent);
            sent = answered;
        }
        Ok(self)
    }

    /// Sends the next request and reads its answer.
    async fn ask(&mut self, numbers: &AtomicU64) -> anyhow::Result<Answer> {
        let place = self.next % self.requests.len();
        self.next += 1;
        self.requests[place].number(numbers);
        self.stream.write_all(&self.requests[place].bytes).await.context("cannot send a request")?;
        let answer = timeout(ANSWER_TIMEOUT, self.answer())
            .await
            .with_context(|| format!("no answer within {ANSWER_TIMEOUT:?}"))??;
        self.buffer.drain(..answer.length);
        Ok(answer)
    }

    async fn answer(&mut self) -> anyhow::Result<Answer> {
        loop {
            if let Some(answer) = answer::parse(&self.buffer).map_err(anyhow::Error::msg)? {
                return Ok(answer);
            }
            ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "an answer is over {ANSWER_BYTES_MAX} bytes");
            if self.stream.read_buf(&mut self.buffer).await.context("cannot read an answer")? == 0 {
                bail!("the server closed a connection in the middle");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &Request) -> &str {
        str::from_utf8(&request.bytes).unwrap()
    }

    #[test]
    fn a_request_has_its_token_and_its_body_and_a_number_of_its_own() {
        let to = "127.0.0.1:4000".parse().unwrap();
        let target = Target::post(to, "/users", &format!("{{\"email\":\"{NUMBER}@x\"}}")).with_token("t");
        let mut request = target.requests().remove(0);
        for number in ["0000000000", "0000000001"] {
            request.number(&target.numbers);
            let head = "POST /users HTTP/1.1\r\nhost: 127.0.0.1:4000\r\ncontent-type: application/json\r\n\
                        content-length: 24\r\nauthorization: Bearer t\r\n\r\n";
            assert_eq!(text(&request), format!("{head}{{\"email\":\"{number}@x\"}}"));
        }
    }

    #[test]
    fn all_paths_are_asked_for() {
        let target = Target::each("127.0.0.1:4000".parse().unwrap(), vec!["/a".to_owned(), "/b".to_owned()]);
        let requests = target.requests();
        let heads: Vec<_> = requests.iter().map(|request| text(request).lines().next().unwrap().to_owned()).collect();
        assert_eq!(heads, ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
        assert_eq!(requests[0].number_at, None);
    }
}
