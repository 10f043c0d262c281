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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{self, Clients, Target};

    #[tokio::test]
    async fn the_load_counts_right_answers_and_stops_at_a_wrong_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Bytes::from_static(b"hello")));
        let target = Target::new(address, "/");
        let answer = load::once(&target).await.unwrap();
        assert_eq!((answer.status, answer.body_bytes), (200, 5));

        let two = 2.try_into().unwrap();
        let mut clients = Clients::open(&target, two).await.unwrap();
        for _ in 0..2 {
            let outcome = clients.run(Duration::from_millis(300), Some(5)).await.unwrap();
            assert!(outcome.latencies.total() >= 2, "each connection has asked");
        }
        let wrong = clients.run(Duration::from_secs(5), Some(6)).await.err().unwrap();
        assert!(wrong.to_string().contains("has 5 bytes, not 6"), "{wrong}");

        let created = Target::post(address, "/", "{}");
        let mut clients = Clients::open(&created, two).await.unwrap();
        let wrong = clients.run(Duration::from_secs(5), None).await.err().unwrap();
        assert!(wrong.to_string().contains("is 200, not 201"), "{wrong}");
    }
}
