//! One connection of the load, over either HTTP version, and the operator's own.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use crate::latency::Latencies;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub(super) enum Wire {
    Http1,
    Http2,
}

/// What one connection saw.
pub(super) struct Run {
    latencies: Latencies,
    failures: u64,
    /// In the order in which they came; the same one not twice in a row.
    versions: Vec<String>,
    is_neighbour: bool,
}

/// What all of them saw.
pub(super) struct Seen {
    pub(super) latencies: Latencies,
    /// Of the service that is not swapped.
    pub(super) neighbours: Latencies,
    pub(super) failures: u64,
    pub(super) backward: u64,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self { latencies: Latencies::new(), neighbours: Latencies::new(), failures: 0, backward: 0 }
    }

    /// `order` is the place of each version.
    pub(super) fn add(&mut self, run: Run, order: &HashMap<String, u32>) {
        let of = if run.is_neighbour { &mut self.neighbours } else { &mut self.latencies };
        of.add(&run.latencies);
        self.failures += run.failures;
        if run.is_neighbour {
            return;
        }
        let places: Vec<u32> = run.versions.iter().map(|version| order.get(version).copied().unwrap_or(0)).collect();
        self.backward += places.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
    }
}

enum Sender {
    Http1(conn::http1::SendRequest<Full<Bytes>>),
    Http2(conn::http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn open(to: SocketAddr, wire: Wire) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        // The connections end with their senders; what breaks one is seen by its next request.
        Ok(match wire {
            Wire::Http1 => {
                let (sender, connection) = conn::http1::handshake(io).await?;
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Wire::Http2 => {
                let (sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        })
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// Asks until `stop`, always on the same connection: one that breaks counts as a failure and ends it.
pub(super) async fn ask(to: SocketAddr, wire: Wire, path: &'static str, stop: Arc<AtomicBool>) -> anyhow::Result<Run> {
    let mut sender = Sender::open(to, wire).await?;
    let is_neighbour = path != "/";
    let mut run = Run { latencies: Latencies::new(), failures: 0, versions: Vec::new(), is_neighbour };
    while !stop.load(Relaxed) {
        let sent = Instant::now();
        match timeout(ANSWER_TIMEOUT, exchange(&mut sender, to, path)).await {
            Ok(Ok(Some(version))) => {
                run.latencies.record(sent.elapsed());
                if run.versions.last() != Some(&version) {
                    run.versions.push(version);
                }
            }
            Ok(Ok(None)) => run.failures += 1,
            Ok(Err(_)) | Err(_) => {
                run.failures += 1;
                break;
            }
        }
    }
    Ok(run)
}

/// The version that gave a whole 200; nothing for any other answer.
async fn exchange(sender: &mut Sender, to: SocketAddr, path: &str) -> anyhow::Result<Option<String>> {
    let request = Request::get(format!("http://{to}{path}")).header("host", to.to_string()).body(Full::default())?;
    let answer = sender.send(request).await?;
    let version = answer.headers().get("x-service-version").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let is_right = answer.status() == 200;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(version.filter(|_| is_right && !body.is_empty()))
}

/// The admin API with its own token.
pub(super) struct Admin {
    to: SocketAddr,
    authorization: String,
}

impl Admin {
    pub(super) fn new(to: SocketAddr, token: &str) -> Self {
        Self { to, authorization: format!("Bearer {token}") }
    }

    /// The version that is live.
    pub(super) async fn live(&self, service: &str) -> anyhow::Result<String> {
        self.ask(hyper::Method::GET, &format!("/v1/services/{service}"), Bytes::new()).await
    }

    /// The version that is live after the swap.
    pub(super) async fn swap(&self, service: &str, wasm: Vec<u8>) -> anyhow::Result<String> {
        self.ask(hyper::Method::POST, &format!("/v1/services/{service}/swap"), wasm.into()).await
    }

    async fn ask(&self, method: hyper::Method, path: &str, body: Bytes) -> anyhow::Result<String> {
        let mut sender = Sender::open(self.to, Wire::Http1).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.to.to_string())
            .header("authorization", &self.authorization)
            .header("content-type", "application/wasm")
            .body(Full::from(body))?;
        let answer =
            timeout(ANSWER_TIMEOUT, sender.send(request)).await.with_context(|| format!("no answer of {path}"))??;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == 200, "{path} answers {status}: {}", String::from_utf8_lossy(&body));
        let envelope: Value = serde_json::from_slice(&body)?;
        Ok(envelope["data"]["version"].as_str().context("no version")?.to_owned())
    }
}
