//! Where a server is and how to get a session there: dial, encrypt, log in, and cancel.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
};
use tokio_postgres::{
    CancelToken, Config, NoTls,
    config::{Host, SslMode},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use super::session::ConnectError;
pub(crate) use super::session::Session;
use super::{
    flush::{self, Flushes},
    frame::{Bounded, BoundedTls, Notes},
    pooler::Pooler,
    schema::Schema,
    session::{drive, refusal},
    socket::Socket,
    tls::{TlsError, client_config},
    tuning::{Target, Tuning},
    url::{self, UrlError},
};
use manifest::{Secret, TlsMode};

/// How long telling a server to stop a statement may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a login at the private server may take at a start.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(20);

/// A server, a role and a database. `Debug` prints nothing of them.
#[derive(Clone)]
pub(crate) struct Endpoint {
    config: Config,
    tls: Option<(Arc<ClientConfig>, SslMode)>,
    /// `-c name=value …` that `RESET ALL` goes back to.
    options: Option<String>,
    tuning: Tuning,
    /// Of the host's own tables there.
    pub(crate) schema: Schema,
    /// Of an operator's server, where somebody may be in between.
    pooler: Option<Arc<Pooler>>,
    /// Its sessions are of no use where nothing can be written.
    pub(super) writes: bool,
    /// Of the host's own server: how what its sessions write gets to the disk.
    flushes: Option<Arc<Flushes>>,
}

/// Why an operator's URL is unusable.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Endpoint {
    pub(crate) fn from_url(url: &Secret, tls: TlsMode) -> Result<Self, EndpointError> {
        let parsed = url::parse(url.reveal(), tls)?;
        let ssl_mode = match parsed.tls {
            TlsMode::Require => SslMode::Require,
            TlsMode::Prefer | TlsMode::Disable => SslMode::Prefer,
        };
        let tls = client_config(parsed.tls, parsed.roots)?.map(|config| (config, ssl_mode));
        let pooler = Some(Arc::default());
        Ok(Self {
            config: parsed.config,
            tls,
            options: parsed.options,
            tuning: parsed.tuning,
            schema: Schema::default(),
            pooler,
            writes: false,
            flushes: None,
        })
    }

    /// A private server's socket folder.
    pub(crate) fn on_socket(folder: PathBuf, database: &str, role: &str, password: Option<&Secret>) -> Self {
        let mut config = Config::new();
        config.host_path(folder).dbname(database).user(role);
        if let Some(password) = password {
            config.password(password.reveal());
        }
        let (tuning, schema) = (Tuning::default(), Schema::default());
        Self { config, tls: None, options: None, tuning, schema, pooler: None, writes: false, flushes: None }
    }

    /// The same, where the host's own tables are in this schema.
    pub(super) fn with_schema(mut self, name: Option<&Arc<str>>) -> Self {
        self.schema = Schema::new(name);
        self
    }

    /// The same, for what must be done before anything is served: a machine that is busy is no reason to give up.
    pub(crate) fn patient(mut self) -> Self {
        self.tuning.connect_timeout = PATIENT_TIMEOUT;
        self
    }

    /// The same; whoever writes commits together with others of that server.
    pub(crate) fn flushed_by(mut self, flushes: &Arc<Flushes>) -> Self {
        self.flushes = Some(flushes.clone());
        self
    }

    /// What makes commits of its sessions permanent, if they do not see to it themselves.
    pub(super) fn flushes(&self) -> Option<&Arc<Flushes>> {
        self.flushes.as_ref().filter(|_| self.writes)
    }

    /// The same, with `-c name=value` settings that `RESET ALL` goes back to.
    pub(super) fn with_settings(mut self, settings: &str) -> Self {
        let own = self.options.take();
        self.options = Some(own.map_or_else(|| settings.to_owned(), |own| format!("{own} {settings}")));
        self
    }

    /// Whether it is a server of the host's own, on this machine.
    pub(super) fn is_private(&self) -> bool {
        self.pooler.is_none()
    }

    /// The same, for whoever writes.
    pub(super) fn for_writes(mut self) -> Self {
        self.writes = true;
        match self.flushes {
            Some(_) => self.with_settings(flush::SETTING),
            None => self,
        }
    }

    /// Opens a session whose messages are at most `message_max` bytes, on the first host of the URL that will
    /// do. Cancel safe.
    pub(crate) async fn connect(&self, message_max: u64) -> Result<Session, ConnectError> {
        let mut last = ConnectError::Handshake;
        for place in 0..self.places() {
            let connecting = self.connect_one(place, message_max);
            let connected = tokio::time::timeout(self.tuning.connect_timeout, connecting).await;
            match connected.unwrap_or(Err(ConnectError::Timeout)) {
                Ok(session) => return Ok(session),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect_one(&self, place: usize, message_max: u64) -> Result<Session, ConnectError> {
        let Some(pooler) = &self.pooler else { return self.log_in(place, message_max, true).await };
        let mut session = pooler.log_in(|options| self.log_in(place, message_max, options)).await?;
        let server = session.server().await.map_err(refusal)?;
        let is_wanted = match self.tuning.target {
            Target::Any => true,
            Target::Primary => !server.is_standby,
            Target::Standby => server.is_standby,
        };
        if !is_wanted {
            return Err(ConnectError::OtherServer);
        }
        if server.process != session.notes.process() {
            let another = |options| self.log_in(place, message_max, options);
            pooler.settle(&mut session, self.options.as_deref(), another).await?;
        }
        Ok(session)
    }

    /// `options` of the login are left away where they are not understood.
    async fn log_in(&self, place: usize, message_max: u64, options: bool) -> Result<Session, ConnectError> {
        let socket = self.dial(place).await?;
        let notes = Arc::<Notes>::default();
        let mut config = self.config.clone();
        if let (true, Some(options)) = (options, &self.options) {
            config.options(options);
        }
        let (client, driver) = match self.tls_to(place) {
            None => {
                let stream = Bounded::new(socket, message_max, 0, notes.clone());
                let (client, connection) =
                    config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await.map_err(refusal)?;
                (client, drive(connection))
            }
            Some((tls, mode, name)) => {
                let stream = Bounded::new(socket, message_max, 1, notes.clone());
                let inner = connector::<Bounded<Socket>>(&tls, &name)?;
                let tls = BoundedTls { inner, message_max, notes: notes.clone() };
                let (client, connection) = config.ssl_mode(mode).connect_raw(stream, tls).await.map_err(refusal)?;
                (client, drive(connection))
            }
        };
        Ok(Session { client, driver, notes, settings: None })
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

    async fn dial(&self, place: usize) -> Result<Socket, ConnectError> {
        let unreachable = |error: io::Error| ConnectError::Dial(error.kind());
        let ports = self.config.get_ports();
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        let addresses: Vec<SocketAddr> =
            match (self.config.get_hostaddrs().get(place), self.config.get_hosts().get(place)) {
                (Some(address), _) => vec![SocketAddr::new(*address, port)],
                (None, Some(Host::Tcp(name))) => {
                    lookup_host((name.as_str(), port)).await.map_err(|_| ConnectError::Name)?.collect()
                }
                (None, Some(Host::Unix(folder))) => {
                    let file = folder.join(format!(".s.PGSQL.{port}"));
                    return UnixStream::connect(file).await.map(Socket::Unix).map_err(unreachable);
                }
                (None, None) => return Err(ConnectError::Name),
            };
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(unreachable)?;
        self.tuning.apply(&stream).map_err(unreachable)?;
        Ok(Socket::Tcp(stream))
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

#[cfg(test)]
impl Endpoint {
    /// The same role on another database of the same server.
    pub(super) fn elsewhere(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(database);
        other
    }
}
