//! Where a server is and how to get a session there: dial, encrypt, log in, and cancel.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::AbortHandle,
};
use tokio_postgres::{
    CancelToken, Client, Config, Connection, NoTls,
    config::{Host, SslMode},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    frame::{Bounded, BoundedTls, Oversized},
    socket::Socket,
    tls::{TlsError, client_config},
    url::{self, UrlError},
};
use manifest::{Secret, TlsMode};

/// How long dialing, TLS and logging in may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long telling a server to stop a statement may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// A server, a role and a database. `Debug` prints nothing of them.
#[derive(Clone)]
pub(crate) struct Endpoint {
    config: Config,
    tls: Option<(Arc<ClientConfig>, SslMode)>,
}

/// Why an operator's URL is unusable.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why there is no session. Names no address and no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("the server did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error("the server cannot be reached: {0}")]
    Dial(io::ErrorKind),
    #[error("the server refused the session (SQLSTATE {sqlstate})")]
    Refused { sqlstate: String },
    #[error("TLS or the login failed")]
    Handshake,
}

/// A live session; what it runs is `connection`'s business.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(super) driver: AbortHandle,
    pub(super) oversized: Oversized,
}

impl Endpoint {
    pub(crate) fn from_url(url: &Secret, tls: TlsMode) -> Result<Self, EndpointError> {
        let parsed = url::parse(url.reveal(), tls)?;
        let ssl_mode = match parsed.tls {
            TlsMode::Require => SslMode::Require,
            TlsMode::Prefer | TlsMode::Disable => SslMode::Prefer,
        };
        let tls = client_config(parsed.tls, parsed.roots)?.map(|config| (config, ssl_mode));
        Ok(Self { config: parsed.config, tls })
    }

    /// A private server's socket folder.
    pub(crate) fn on_socket(folder: PathBuf, database: &str, role: &str, password: Option<&Secret>) -> Self {
        let mut config = Config::new();
        config.host_path(folder).dbname(database).user(role);
        if let Some(password) = password {
            config.password(password.reveal());
        }
        Self { config, tls: None }
    }

    /// The same, with `-c name=value` settings that `RESET ALL` goes back to.
    pub(super) fn with_settings(mut self, settings: &str) -> Self {
        let own = self.config.get_options().map(str::to_owned);
        self.config.options(own.map_or_else(|| settings.to_owned(), |own| format!("{own} {settings}")));
        self
    }

    /// Opens a session whose messages are at most `message_max` bytes. Cancel safe.
    pub(crate) async fn connect(&self, message_max: u64) -> Result<Session, ConnectError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.connect_any(message_max)).await.map_err(|_| ConnectError::Timeout)?
    }

    /// Tries each host of the URL in order.
    async fn connect_any(&self, message_max: u64) -> Result<Session, ConnectError> {
        let mut last = ConnectError::Handshake;
        for place in 0..self.places() {
            match self.connect_one(place, message_max).await {
                Ok(session) => return Ok(session),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_one(&self, place: usize, message_max: u64) -> Result<Session, ConnectError> {
        let socket = self.dial(place).await.map_err(|error| ConnectError::Dial(error.kind()))?;
        let oversized = Oversized::default();
        let mut config = self.config.clone();
        let (client, driver) = match self.tls_to(place) {
            None => {
                let stream = Bounded::new(socket, message_max, 0, oversized.clone());
                let (client, connection) =
                    config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await.map_err(refusal)?;
                (client, drive(connection))
            }
            Some((tls, mode, name)) => {
                let stream = Bounded::new(socket, message_max, 1, oversized.clone());
                let inner = connector::<Bounded<Socket>>(&tls, &name)?;
                let tls = BoundedTls { inner, message_max, oversized: oversized.clone() };
                let (client, connection) = config.ssl_mode(mode).connect_raw(stream, tls).await.map_err(refusal)?;
                (client, drive(connection))
            }
        };
        Ok(Session { client, driver, oversized })
    }

    /// Asks the server to stop what the session runs. Best effort: the statement timeout on the
    /// server is the second net.
    pub(super) async fn cancel(&self, token: CancelToken) {
        let cancelling = async {
            for place in 0..self.places() {
                let Ok(socket) = self.dial(place).await else { continue };
                // A host that is not the session's ignores the request: its key is unknown there.
                let _ = match self.tls_to(place) {
                    None => token.cancel_query_raw(socket, NoTls).await,
                    Some((tls, _, name)) => match connector::<Socket>(&tls, &name) {
                        Ok(tls) => token.cancel_query_raw(socket, tls).await,
                        Err(_) => continue,
                    },
                };
            }
        };
        if tokio::time::timeout(CANCEL_TIMEOUT, cancelling).await.is_err() {
            tracing::warn!("cancelling a statement took too long");
        }
    }

    fn places(&self) -> usize {
        self.config.get_hosts().len().max(self.config.get_hostaddrs().len())
    }

    async fn dial(&self, place: usize) -> io::Result<Socket> {
        let ports = self.config.get_ports();
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        if let Some(address) = self.config.get_hostaddrs().get(place) {
            return tcp(TcpStream::connect(SocketAddr::new(*address, port)).await?);
        }
        match self.config.get_hosts().get(place) {
            Some(Host::Tcp(name)) => tcp(TcpStream::connect((name.clone(), port)).await?),
            Some(Host::Unix(folder)) => {
                Ok(Socket::Unix(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?))
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// TLS and the name the certificate is checked for; a socket file is private already.
    fn tls_to(&self, place: usize) -> Option<(Arc<ClientConfig>, SslMode, String)> {
        let (config, mode) = self.tls.clone()?;
        let name = match self.config.get_hosts().get(place) {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(_)) => return None,
            None => self.config.get_hostaddrs().get(place)?.to_string(),
        };
        Some((config, mode, name))
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[endpoint]")
    }
}

fn tcp(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

fn connector<S>(
    config: &ClientConfig,
    name: &str,
) -> Result<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    MakeTlsConnect::<S>::make_tls_connect(&mut MakeRustlsConnect::new(config.clone()), name)
        .map_err(|_| ConnectError::Handshake)
}

fn refusal(error: tokio_postgres::Error) -> ConnectError {
    match error.as_db_error() {
        Some(db) => ConnectError::Refused { sqlstate: db.code().code().to_owned() },
        None => ConnectError::Handshake,
    }
}

/// Moves bytes until the session ends. Notices are dropped: they may quote data, and the driver
/// would log them.
fn drive<S, T>(mut connection: Connection<S, T>) -> AbortHandle
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let driving =
        async move { while let Some(Ok(_notice)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {} };
    tokio::spawn(driving).abort_handle()
}

impl Session {
    /// Ends it now, whatever it does: without this the driver would wait for the end of that.
    pub(crate) fn cut(&self) {
        self.driver.abort();
    }

    /// Whether the session broke because a message was over the bound.
    pub(super) fn is_oversized(&self) -> bool {
        self.oversized.load(Ordering::Acquire)
    }
}

#[cfg(test)]
impl Endpoint {
    /// The same role on another database of the same server.
    pub(super) fn elsewhere(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(database);
        other
    }
}
