//! The load: keep-alive connections, each with one request on its way at a time.
//!
//! Every answer is checked. One wrong answer ends the run, since a figure made of failures
//! means nothing.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
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

/// A `GET`, as it is sent again and again.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) to: SocketAddr,
    pub(crate) path: String,
    /// Whole lines, each with its end.
    pub(crate) headers: String,
}

impl Target {
    pub(crate) fn new(to: SocketAddr, path: &str) -> Self {
        Self { to, path: path.to_owned(), headers: String::new() }
    }

    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { headers: format!("authorization: Bearer {token}\r\n"), ..self }
    }
}

/// Asks for `target` over `connections` for `duration`, and waits for the answers under way.
///
/// # Errors
/// When a connection breaks or an answer is not a 200 of `body_bytes`.
pub(crate) async fn run(
    target: &Target,
    connections: NonZeroU32,
    duration: Duration,
    body_bytes: usize,
) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections.get() {
        tasks.spawn(one_connection(target.clone(), start + duration, body_bytes));
    }
    let mut latencies = Latencies::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.add(&ended.context("a load task panicked")??);
    }
    Ok(Outcome { latencies, took: start.elapsed() })
}

/// Asks once, on a connection of its own.
pub(crate) async fn once(target: &Target) -> anyhow::Result<Answer> {
    Connection::open(target).await?.exchange().await
}

async fn one_connection(target: Target, end: Instant, body_bytes: usize) -> anyhow::Result<Latencies> {
    let to = target.to;
    let mut latencies = Latencies::new();
    let mut connection = Connection::open(&target).await?;
    let mut sent = Instant::now();
    while sent < end {
        let answer = connection.exchange().await?;
        ensure!(answer.status == 200, "an answer of {to} is {}, not 200", answer.status);
        ensure!(answer.body_bytes == body_bytes, "a body of {to} has {} bytes, not {body_bytes}", answer.body_bytes);
        ensure!(!answer.closes, "{to} closes its connection after an answer");
        let answered = Instant::now();
        latencies.record(answered - sent);
        sent = answered;
    }
    Ok(latencies)
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let Target { to, path, headers } = target;
        let stream = timeout(ANSWER_TIMEOUT, TcpStream::connect(to))
            .await
            .with_context(|| format!("{to} does not accept connections"))?
            .with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {to}\r\n{headers}\r\n").into_bytes();
        Ok(Self { stream, request, buffer: Vec::with_capacity(4096) })
    }

    async fn exchange(&mut self) -> anyhow::Result<Answer> {
        self.stream.write_all(&self.request).await.context("cannot send a request")?;
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
