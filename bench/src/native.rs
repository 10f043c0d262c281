//! The yardstick: a hello on bare hyper, in the runtime shape of our gateway.
//!
//! A multi-thread runtime, a task for each connection, HTTP/1.1 with keep-alive: what a server
//! costs that does nothing. It has none of the gateway's limits, and so it flatters itself.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// How long the answer's body is.
    #[arg(long)]
    body_bytes: usize,
}

/// Answers every request with a 200 until the process is ended.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let body = Bytes::from(vec![b'.'; options.body_bytes]);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener =
            TcpListener::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
        serve(listener, body).await
    })
}

async fn serve(listener: TcpListener, body: Bytes) -> anyhow::Result<()> {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await; // out of descriptors passes
            continue;
        };
        stream.set_nodelay(true)?;
        let body = body.clone();
        let hello = service_fn(move |_request| {
            let answer = Response::new(Full::new(body.clone()));
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            // An error here is a connection that the load has dropped.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), hello).await;
        });
    }
}
