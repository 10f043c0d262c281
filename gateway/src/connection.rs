//! One accepted socket: which protocol it speaks, its time limits, its orderly end.
//!
//! HTTP/1 goes through the strict reader of `framing`, HTTP/2 by ALPN or, in clear text, by
//! prior knowledge (RFC 9113 section 3.3). What a request means is the [`Handler`]'s
//! business. Start at [`serve`].

mod answer;
mod clock;
mod http1;
mod http2;
mod keep_alive;
mod refusal;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod transport;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

pub use self::keep_alive::KeepAlive;
use self::{
    state::State,
    transport::{Socket, Transport},
};
use crate::{body::Body, drain::Drain, tls::Tls};

/// What answers requests: the gateway, or a closure in a test.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Never fails: errors are answers.
    ///
    /// Dropped when the client goes away, so it must be cancel safe. An error of the
    /// returned body cuts the answer: the connection is closed or the stream reset, and it
    /// never looks whole.
    fn handle(
        &self,
        peer: Peer,
        request: Request<hyper::body::Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// The answer to what never became a request, in the project's envelope. `message` is a
    /// sentence for the client. Framing fields are added by the connection.
    fn refuse(&self, status: StatusCode, message: &str) -> Response<Bytes>;
}

/// The other end of the connection a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    pub scheme: Scheme,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// How long a client may take for what.
#[derive(Debug, Clone)]
pub struct Times {
    /// The TLS handshake.
    pub handshake: Duration,
    /// A request head, from its first byte; and the first byte of a connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: KeepAlive,
    /// Without taking a byte of an answer.
    pub write_stall: Duration,
    /// What a client may still send after its answer, before it is cut off (HTTP/1).
    pub linger: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: KeepAlive::default(),
            write_stall: Duration::from_secs(30),
            linger: Duration::from_secs(30),
        }
    }
}

/// What all connections of a listener share.
#[derive(Clone)]
pub(crate) struct Shared<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) tls: Option<Tls>,
    pub(crate) h2c: bool,
    pub(crate) times: Times,
    pub(crate) drain: Drain,
}

/// While draining: how long a connection may be silent before it is closed. A request that
/// was on its way is still answered, with `Connection: close`.
const PARTING: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Serves one accepted connection to its end. Dropping the future closes it at once.
pub(crate) async fn serve<H: Handler>(tcp: TcpStream, address: SocketAddr, shared: &Shared<H>) {
    let Shared { handler, times, drain, .. } = shared;
    let state = Arc::new(State::default());
    let opened = tokio::select! {
        opened = open(tcp, &state, shared) => opened,
        () = parting(drain) => return,
    };
    let (transport, scheme, protocol) = match opened {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(client = %address, %error, "no HTTP was spoken"),
    };
    let peer = Peer { address, scheme };
    match protocol {
        Protocol::Http1 => http1::serve(transport, state, peer, &**handler, times, drain).await,
        Protocol::Http2 => http2::serve(transport, state, peer, handler.clone(), times, drain).await,
    }
}

async fn parting(drain: &Drain) {
    drain.started().await;
    sleep(PARTING).await;
}

/// Brings a socket to the first byte of a known protocol, each step within its time.
async fn open<H>(tcp: TcpStream, state: &Arc<State>, shared: &Shared<H>) -> io::Result<(Transport, Scheme, Protocol)> {
    tcp.set_nodelay(true)?;
    let times = &shared.times;
    let (socket, scheme, negotiated) = match &shared.tls {
        None => (Socket::Plain(tcp), Scheme::Http, None),
        Some(tls) => {
            let stream = timeout(times.handshake, tls.acceptor().accept(tcp)).await??;
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let protocol = if is_h2 { Protocol::Http2 } else { Protocol::Http1 };
            (Socket::Tls(Box::new(stream)), Scheme::Https, Some(protocol))
        }
    };
    let mut transport = Transport::new(socket, state.clone());
    let has_choice = negotiated.is_none() && shared.h2c;
    let protocol = match negotiated {
        Some(Protocol::Http2) => preface_or(None, &mut transport, times.head).await?,
        None if has_choice => preface_or(Some(Protocol::Http1), &mut transport, times.head).await?,
        Some(Protocol::Http1) | None => Protocol::Http1,
    };
    Ok((transport, scheme, protocol))
}

/// HTTP/2 if its preface comes, else `other`.
async fn preface_or(other: Option<Protocol>, transport: &mut Transport, within: Duration) -> io::Result<Protocol> {
    match timeout(within, transport.starts_with_preface()).await?? {
        true => Ok(Protocol::Http2),
        false => other.ok_or_else(|| io::Error::other("HTTP/2 was negotiated, but its preface did not come")),
    }
}
