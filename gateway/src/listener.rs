//! Binds addresses and accepts connections: permit first, then accept.
//!
//! Each connection runs on a task of its own, TLS handshake and all, so that a slow client
//! delays only itself. What is spoken there is `connection`'s business. Start at [`bind`]
//! and [`serve`].

mod admission;

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub use self::admission::Admission;
use self::admission::Admitted;
use crate::{
    connection::{self, Handler, Shared, Times},
    counts::ConnectionCounts,
    drain::Drain,
    tls::Tls,
};

/// Connections that wait in the kernel until they are accepted; it may allow fewer.
const BACKLOG: u32 = 1024;
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What a listener allows and speaks.
#[derive(Clone)]
pub struct Settings {
    pub tls: Option<Tls>,
    /// HTTP/2 without TLS, for clients that know beforehand.
    pub h2c: bool,
    /// How many connections may be open; whoever keeps a clone may change it.
    pub admission: Admission,
    pub times: Times,
    pub counts: Arc<ConnectionCounts>,
}

impl Settings {
    /// Clear text with h2c.
    pub fn new(connections_max: NonZeroUsize) -> Self {
        Self {
            tls: None,
            h2c: true,
            admission: Admission::new(connections_max),
            times: Times::default(),
            counts: Arc::default(),
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{address} is in use; stop the program that listens there, or choose another address")]
    InUse { address: SocketAddr },

    #[error("{address} may not be listened on; use a port from 1024 up, or give the program the right")]
    NotAllowed { address: SocketAddr },

    #[error("{address} is no address of this machine; choose one that is, or `0.0.0.0` and `[::]` for all")]
    NotOurs { address: SocketAddr },

    #[error("cannot listen on {address}")]
    Other {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// Sockets that listen; connections queue up from now on.
#[derive(Debug)]
pub struct Listeners(Vec<(TcpListener, SocketAddr)>);

/// Binds every address, or none. Port 0 takes a free one. Needs a tokio runtime.
///
/// An IPv6 address takes IPv6 only: `[::]` means the same beside `0.0.0.0` and without it, and
/// whatever the machine's default is.
pub fn bind(addresses: &[SocketAddr]) -> Result<Listeners, BindError> {
    let bound: Result<Vec<_>, _> =
        addresses.iter().map(|address| bind_one(*address).map_err(|source| explain(*address, source))).collect();
    bound.map(Listeners)
}

fn bind_one(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if is_ipv6_proper(address) {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?; // or a restart would wait for old connections to be forgotten
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Not an IPv4 address in the words of IPv6, which only a socket for both can take.
fn is_ipv6_proper(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().to_ipv4_mapped().is_none())
}

fn explain(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::PermissionDenied => BindError::NotAllowed { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs { address },
        _ => BindError::Other { address, source },
    }
}

impl Listeners {
    /// Takes the sockets out of this runtime, for another thread's.
    pub fn into_std(self) -> io::Result<Vec<std::net::TcpListener>> {
        self.0.into_iter().map(|(listener, _)| listener.into_std()).collect()
    }

    /// Sockets from [`into_std`](Self::into_std). Needs the runtime that is to accept on them.
    pub fn from_std(sockets: Vec<std::net::TcpListener>) -> io::Result<Self> {
        let listener = |socket: std::net::TcpListener| {
            let listener = TcpListener::from_std(socket)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        sockets.into_iter().map(listener).collect::<io::Result<_>>().map(Self)
    }

    /// The addresses bound, with the real ports.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.0.iter().map(|(_, address)| *address)
    }
}

/// Accepts connections until `drain` starts, then closes the listening sockets.
///
/// Connections live on: [`Drain::wait`] waits for them. Dropping the future stops accepting
/// and leaves them too.
pub async fn serve<H: Handler>(listeners: Listeners, handler: Arc<H>, settings: Settings, drain: Drain) {
    let admission = settings.admission;
    let shared = Arc::new(Shared { handler, tls: settings.tls, h2c: settings.h2c, times: settings.times, drain });
    let loops =
        listeners.0.into_iter().map(|(listener, _)| accept_all(listener, &shared, &admission, &settings.counts));
    join_all(loops).await;
}

async fn accept_all<H: Handler>(
    listener: TcpListener,
    shared: &Arc<Shared<H>>,
    admission: &Admission,
    counts: &Arc<ConnectionCounts>,
) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let accepted = tokio::select! {
            () = shared.drain.started() => return,
            accepted = accept(&listener, admission) => accepted,
        };
        match accepted {
            Ok(Some((tcp, address, admitted))) => {
                backoff = BACKOFF_MIN;
                spawn(tcp, address, (admitted, Open::new(counts.clone())), shared.clone());
            }
            Ok(None) => counts.refused.count(),
            // The client was gone before we looked; the next one need not be.
            Err(error) if is_of_one_connection(&error) => {}
            // Out of descriptors passes with time; retrying at once would burn a core.
            Err(error) => {
                tracing::warn!(%error, retry_in = ?backoff, "accept failed");
                tokio::select! {
                    () = shared.drain.started() => return,
                    () = tokio::time::sleep(backoff) => {}
                }
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// `None`: a connection too many from its address, closed again. Cancel safe.
async fn accept(
    listener: &TcpListener,
    admission: &Admission,
) -> io::Result<Option<(TcpStream, SocketAddr, Admitted)>> {
    let (place, (tcp, address)) = loop {
        let mut resized = admission.resized();
        let place = admission.room().await;
        tokio::select! {
            biased;
            // The place may be one too many now.
            _ = resized.changed() => {}
            accepted = listener.accept() => break (place, accepted?),
        }
    };
    let admitted = admission.admit(place, address.ip());
    if admitted.is_none() {
        tracing::debug!(client = %address, "connection closed: too many from this address");
    }
    Ok(admitted.map(|admitted| (tcp, address, admitted)))
}

/// The task is owned by the drain: it counts it and can cut it.
fn spawn<H: Handler>(tcp: TcpStream, address: SocketAddr, held: (Admitted, Open), shared: Arc<Shared<H>>) {
    let counted = shared.drain.enter();
    tokio::spawn(async move {
        connection::serve(tcp, address, &shared).await;
        drop((held, counted));
    });
}

/// A connection that is counted as open, until dropped.
struct Open(Arc<ConnectionCounts>);

impl Open {
    fn new(counts: Arc<ConnectionCounts>) -> Self {
        counts.accepted.count();
        Self(counts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.count();
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_and_explained() {
        let taken = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = taken.addresses().next().unwrap();
        let error = bind(&[address]).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }));
        assert!(error.to_string().starts_with(&format!("{address} is in use; ")));
    }

    #[tokio::test]
    async fn both_families_are_listened_on_at_one_port_and_each_takes_its_own() {
        // Above those that others are given, who might get it meanwhile.
        let at = |port| ["0.0.0.0", "::"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
        let free = (61_000..=u16::MAX).find(|port| bind(&at(*port)).is_ok()).expect("a port that is free");
        let [v4, v6] = at(free);
        let both = bind(&[v4, v6]).unwrap();
        assert_eq!(both.addresses().collect::<Vec<_>>(), [v4, v6]);
        for (ip, listener) in ["127.0.0.1", "::1"].into_iter().zip(&both.0) {
            let client = TcpStream::connect((ip, free)).await.unwrap();
            let (_, from) = listener.0.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap(), "an IPv4 client is no IPv6 address");
        }
        drop(both);
        // In either order, and alone.
        drop(bind(&[v6, v4]).unwrap());
        let alone = bind(&[v6]).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", free)).await.is_err());
        assert!(matches!(bind(&[v4, v6]), Err(BindError::InUse { address }) if address == v6));
        drop(alone);
        drop(bind(&["[::ffff:127.0.0.1]:0".parse().unwrap()]).unwrap());
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let error = bind(&["192.0.2.1:0".parse().unwrap()]).unwrap_err();
        assert!(matches!(error, BindError::NotOurs { .. }), "{error}");
    }
}
