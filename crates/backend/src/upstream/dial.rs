//! Makes a connection to one address of a service elsewhere: name, TCP, TLS, within its time.
//!
//! Decides how long that may take. Where to is the manifest's word: no guest has a say in it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::secure::Secure;
use crate::http::{Outbound, Resolver};
use grant::net::{Place, Scheme, Target};
use manifest::UpstreamTls;

/// Names, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The least time that an address gets before the next is tried.
const ADDRESS_TIMEOUT_MIN: Duration = Duration::from_millis(250);

/// A connection of any kind.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub(super) struct Dialled {
    pub(super) wire: TokioIo<Box<dyn Wire>>,
    /// HTTP/2 will be spoken.
    pub(super) is_h2: bool,
    /// With which certificate files it was made.
    pub(super) generation: u64,
}

/// How names are resolved and whose certificates are believed.
#[derive(Clone)]
pub(super) struct Dialler {
    resolver: Resolver,
    secure: Arc<Secure>,
}

impl Dialler {
    pub(super) fn new(resolver: Resolver, secure: Arc<Secure>) -> Self {
        Self { resolver, secure }
    }

    /// As everybody is spoken to who has no settings of their own.
    pub(super) fn plain(outbound: &Outbound) -> Self {
        let secure = Secure::new(outbound.tls(), UpstreamTls::default());
        Self::new(outbound.resolver().apart(), Arc::new(secure))
    }

    /// Of the certificate files that are there now.
    pub(super) fn generation(&self) -> u64 {
        self.secure.generation()
    }

    /// By `until` at the latest; `single`: HTTP/1.1 will be spoken. Cancel safe.
    pub(super) async fn dial(&self, target: &Target, single: bool, until: std::time::Instant) -> io::Result<Dialled> {
        let until = (Instant::now() + CONNECT_TIMEOUT).min(until.into());
        timeout_at(until, self.dialled(target, single, until)).await.map_err(|_elapsed| io::ErrorKind::TimedOut)?
    }

    async fn dialled(&self, target: &Target, single: bool, until: Instant) -> io::Result<Dialled> {
        let addresses = match &target.place {
            Place::Address(address) => vec![*address],
            Place::Name(name) => self.resolver.addresses(name).await?,
        };
        let socket = first(addresses.into_iter().map(|ip| (ip, target.port).into()).collect(), until).await?;
        // Small requests and answers must not wait for one another.
        socket.set_nodelay(true)?;
        if target.scheme != Scheme::Https {
            let wire: Box<dyn Wire> = Box::new(socket);
            return Ok(Dialled { wire: TokioIo::new(wire), is_h2: false, generation: self.generation() });
        }
        let name = match (self.secure.name(), &target.place) {
            (Some(name), _) => name,
            (None, Place::Name(name)) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            (None, Place::Address(address)) => ServerName::from(*address),
        };
        let connectors = self.secure.connectors().await?;
        let connector = if single { &connectors.first } else { &connectors.any };
        let stream = connector.connect(name, socket).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let wire: Box<dyn Wire> = Box::new(stream);
        Ok(Dialled { wire: TokioIo::new(wire), is_h2, generation: connectors.generation })
    }
}

/// The first that answers, each in its turn with its share of the time.
async fn first(addresses: Vec<SocketAddr>, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = (left / (addresses.len() - index) as u32).max(ADDRESS_TIMEOUT_MIN);
        last = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => error,
            Err(_elapsed) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
}
