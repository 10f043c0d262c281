//! What the load says to the shop, and what it makes of the answers.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::Value;
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An admin with keep-alive connections.
pub(super) struct Client {
    to: SocketAddr,
    authorization: String,
    connections: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(super) fn new(to: SocketAddr, token: &str) -> Self {
        let mut connector = legacy::connect::HttpConnector::new();
        connector.set_nodelay(true);
        let connections = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { to, authorization: format!("Bearer {token}"), connections }
    }

    /// The `data` of a 200.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, 200, String::new()).await
    }

    /// The `data` of a 201.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, 201, body.to_string()).await
    }

    async fn ask(&self, method: Method, path: &str, expected: u16, body: String) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.to))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let exchange = async {
            let answer = self.connections.request(request).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let (status, body) =
            timeout(ANSWER_TIMEOUT, exchange).await.with_context(|| format!("no answer of {path}"))??;
        ensure!(status == expected, "{path} answers {status}, not {expected}: {}", String::from_utf8_lossy(&body));
        let mut envelope: Value = serde_json::from_slice(&body)?;
        Ok(envelope["data"].take())
    }
}
