//! One accepted socket: which protocol it speaks, its time limits, its orderly end.
//!
//! HTTP/1 goes through the strict reader of `framing`, HTTP/2 by ALPN or, in clear text, by
//! prior knowledge (RFC 9113 section 3.3). What a request means is the [`Handler`]'s
//! business. Start at [`serve`].

mod answer;
mod client;
mod clock;
mod handler;
mod http1;
mod http2;
mod keep_alive;
mod refusal;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod times;
mod transport;
mod tunnel;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpStream, time::timeout};

pub(crate) use self::tunnel::Tunnel;
use self::{
    client::Client,
    state::State,
    times::parting,
    transport::{Socket, Transport},
};
pub use self::{
    handler::{Handler, Peer, Scheme},
    keep_alive::KeepAlive,
    times::Times,
};
use crate::{drain::Drain, tls::Tls};

/// What all connections of a listener share.
#[derive(Clone)]
pub(crate) struct Shared<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) tls: Option<Tls>,
    pub(crate) h2c: bool,
    pub(crate) times: Times,
    pub(crate) drain: Drain,
}

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

/// Brings a socket to the first byte of a known protocol, each step within its time.
async fn open<H>(tcp: TcpStream, state: &Arc<State>, shared: &Shared<H>) -> io::Result<(Transport, Scheme, Protocol)> {
    tcp.set_nodelay(true)?;
    let times = &shared.times;
    let (socket, scheme, negotiated) = match &shared.tls {
        None => (Socket::Plain(tcp), Scheme::Http, None),
        Some(tls) => {
            let address = tcp.peer_addr()?;
            let (acceptor, authorities) = tls.acceptor();
            let stream = timeout(times.handshake, acceptor.accept(tcp)).await?;
            let stream = stream.inspect_err(|error| tls.refused(address, error))?;
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            if let Some(client) = Client::of(tls, chain, authorities) {
                state.is_of(client);
            }
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
