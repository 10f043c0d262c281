//! Answers that go on: one line after the other, until the reader or the host has enough.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::{ANSWER_MAX_BYTES, Admin, request};

/// Of a line: a trace of many spans.
const LINE_MAX_BYTES: usize = 4 << 20;

impl Admin {
    /// Hands `each` every line of the answer; it ends with the host's stream, or when `each` fails.
    pub(in crate::cli) fn follow(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tokens = self.tokens()?;
        if tokens.is_empty() {
            bail!("there is no admin token; set ARCHIPEL_ADMIN_TOKEN, or go to the folder of the host's manifest");
        }
        runtime.block_on(async {
            for token in &tokens {
                let (stream, authority) = self.connect().await?;
                let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                let driver = tokio::spawn(connection);
                let request = request(&Method::GET, path, &authority, None, token)?;
                let answer = sender.send_request(request).await.context("the host broke off")?;
                match answer.status() {
                    StatusCode::UNAUTHORIZED => driver.abort(),
                    StatusCode::OK => return lines(answer.into_body(), &mut each).await,
                    status => return Err(refused(status, answer.into_body()).await),
                }
            }
            bail!("the host does not know this admin token; `archipel run` prints where its own is")
        })
    }
}

async fn lines(mut body: Incoming, each: &mut impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Ok(()) }; // the host has stopped
        rest.extend_from_slice(&frame.into_data().unwrap_or_default());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end())?;
        }
        if rest.len() > LINE_MAX_BYTES {
            bail!("the host sent a line of more than {LINE_MAX_BYTES} bytes");
        }
    }
    Ok(())
}

async fn refused(status: StatusCode, body: Incoming) -> anyhow::Error {
    let body = http_body_util::Limited::new(body, ANSWER_MAX_BYTES).collect().await;
    let body: Bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    match document["error"].as_str() {
        Some(error) => anyhow::anyhow!("{error}"),
        None => anyhow::anyhow!("the host answered {status}"),
    }
}
