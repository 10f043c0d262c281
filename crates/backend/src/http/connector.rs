//! Makes a connection: asks the grant, resolves once, asks the grant about the addresses, and
//! connects to one of those and to nothing else.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{SendError, resolve::Resolver};
use grant::{
    Granted, Grants,
    net::{Destination, Place, Scheme, Target},
};

tokio::task_local! {
    /// What the request that needs a connection allows for it: the pool's interface has no place
    /// for it.
    pub(super) static CONNECT_TIMEOUT: Duration;
}

/// The longest a connection may take, whatever the guest asks for: names, TCP and TLS together.
pub(super) const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// The least time that an address gets before the next is tried.
const ADDRESS_TIMEOUT_MIN: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub(super) struct Connector {
    grants: Arc<Grants>,
    resolver: Resolver,
    tls: TlsConnector,
    /// Connections that are open, idle ones too.
    open: Arc<Semaphore>,
}

/// Connections of one service, to all its destinations together.
const CONNECTIONS_MAX: usize = 512;

impl Connector {
    pub(super) fn new(grants: Arc<Grants>, resolver: Resolver, tls: Arc<ClientConfig>) -> Self {
        let open = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { grants, resolver, tls: TlsConnector::from(tls), open }
    }

    async fn connected(self, uri: Uri, until: Instant) -> Result<Stream, SendError> {
        let scheme = if uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
        let authority = uri.authority().ok_or(SendError::Protocol)?;
        let target = Target::new(scheme, authority.as_str()).map_err(|_invalid| SendError::Protocol)?;
        let denied = |denial| SendError::Denied(Box::new(denial));
        let destination = self.grants.net(&target).map_err(denied)?;
        let addresses = match &target.place {
            Place::Address(address) => vec![*address],
            Place::Name(name) => match timeout_at(until, self.resolver.addresses(name)).await {
                Err(_elapsed) => return Err(SendError::DnsTimeout),
                Ok(Err(error)) => return Err(SendError::Dns(error.kind().to_string())),
                Ok(Ok(addresses)) if addresses.is_empty() => return Err(SendError::Dns("it has no address".into())),
                Ok(Ok(addresses)) => addresses,
            },
        };
        let admitted = destination.get().admit(&addresses).map_err(denied)?;
        let place = self.open.clone().try_acquire_owned().map_err(|_full| SendError::TooMany)?;
        let socket = dialled(&admitted, until).await?;
        // Small requests and answers must not wait for one another.
        socket.set_nodelay(true).map_err(|error| SendError::of_connect(&error))?;
        match scheme {
            Scheme::Http | Scheme::Raw => Ok(Stream { wire: Wire::Plain(TokioIo::new(socket)), _place: place }),
            Scheme::Https => {
                let wire = Wire::Tls(Box::new(self.encrypted(&destination, socket, until).await?));
                Ok(Stream { wire, _place: place })
            }
        }
    }

    async fn encrypted(
        &self,
        to: &Granted<Destination>,
        socket: TcpStream,
        until: Instant,
    ) -> Result<TokioIo<TlsStream<TcpStream>>, SendError> {
        let name = match &to.get().target().place {
            Place::Name(name) => ServerName::try_from(name.clone()).map_err(|_invalid| SendError::Protocol)?,
            Place::Address(address) => ServerName::from(*address),
        };
        match timeout_at(until, self.tls.connect(name, socket)).await {
            Err(_elapsed) => Err(SendError::ConnectTimeout),
            Ok(Err(error)) => Err(SendError::of_tls(&error)),
            Ok(Ok(stream)) => Ok(TokioIo::new(stream)),
        }
    }
}

/// The first of the addresses that answers, each in its turn with its share of the time.
async fn dialled(to: &Granted<Vec<SocketAddr>>, until: Instant) -> Result<TcpStream, SendError> {
    let addresses = to.get();
    let mut last = SendError::Dns("it has no address".into());
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = (left / (addresses.len() - index) as u32).max(ADDRESS_TIMEOUT_MIN).min(left);
        last = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => SendError::of_connect(&error),
            Err(_elapsed) => SendError::ConnectTimeout,
        };
    }
    Err(last)
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = CONNECT_TIMEOUT.try_get().unwrap_or(CONNECT_TIMEOUT_MAX);
        Box::pin(self.clone().connected(uri, Instant::now() + timeout))
    }
}

/// A connection, and its place among those of its service until it is closed.
pub(super) struct Stream {
    wire: Wire,
    _place: OwnedSemaphorePermit,
}

enum Wire {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match &self.wire {
            Wire::Plain(_) => Connected::new(),
            Wire::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Wire::Tls(_) => Connected::new(),
        }
    }
}

impl rt::Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
