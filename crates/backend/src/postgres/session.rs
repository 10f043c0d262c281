//! A live session, and why there is none.

use std::{borrow::Cow, error::Error as _, io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
};
use tokio_postgres::{Client, Connection, Error, SimpleQueryMessage};

use super::frame::Notes;

/// Why there is no session. Names no address and no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("the server did not answer in time")]
    Timeout,
    #[error("the name of its host is not known")]
    Name,
    #[error("the server cannot be reached: {0}")]
    Dial(io::ErrorKind),
    #[error("the server refused the session (SQLSTATE {sqlstate}{})", meaning(.sqlstate))]
    Refused { sqlstate: String },
    #[error("the server asks for a password, and the URL has none")]
    NoPassword,
    #[error("the server offers no TLS, and `require` asks for it")]
    NoTls,
    #[error("the server's certificate is not trusted: {0}; `sslrootcert` of the URL names the authority")]
    Certificate(String),
    #[error("TLS or the login failed")]
    Handshake,
    #[error("the server is none that `target_session_attrs` of the URL asks for")]
    OtherServer,
    #[error(
        "a pooler that is not in session mode is in between: prepared statements and settings of a session would go to others; use `pool_mode = session`, or the server itself"
    )]
    Pooler,
    #[error("`options` of the URL must be like `-c name=value` where a pooler is in between")]
    Options,
}

fn meaning(sqlstate: &str) -> &'static str {
    match sqlstate {
        "28P01" => ", the role or its password is wrong",
        "28000" => ", the role may not log in from here, or not without TLS",
        "3D000" => ", there is no such database",
        "42501" => ", the role may not connect to this database",
        "53300" => ", it has as many sessions as it may",
        "57P03" => ", it is starting or stopping",
        _ => "",
    }
}

/// Undoes whatever a statement can do to a session, except for prepared statements, which stay
/// valid (`DISCARD ALL` without `DEALLOCATE`).
const RESET: &str = "CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; UNLISTEN *; \
                     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// A live session; what it runs is `connection`'s business.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(super) driver: AbortHandle,
    pub(super) notes: Arc<Notes>,
    /// What sets it up again after a reset, where that was not done by the login.
    pub(super) settings: Option<String>,
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) process: u32,
    /// It takes no writes.
    pub(super) is_standby: bool,
}

const WHO: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()";

impl Session {
    /// Ends it now, whatever it does: without this the driver would wait for the end of that.
    pub(crate) fn cut(&self) {
        self.driver.abort();
    }

    /// What undoes all that statements did to it.
    pub(super) fn undoing(&self) -> Cow<'static, str> {
        match &self.settings {
            None => RESET.into(),
            Some(settings) => format!("{RESET}; {settings}").into(),
        }
    }

    /// Whether the session broke because a message was over the bound.
    pub(super) fn is_oversized(&self) -> bool {
        self.notes.is_oversized()
    }

    /// Asks in the shortest way there is: nothing is prepared.
    pub(super) async fn server(&self) -> Result<Server, Error> {
        for message in self.client.simple_query(WHO).await? {
            if let SimpleQueryMessage::Row(row) = message {
                let process = row.get(0).and_then(|text| text.parse().ok()).unwrap_or_default();
                return Ok(Server { process, is_standby: row.get(1) == Some("t") });
            }
        }
        Ok(Server { process: 0, is_standby: false })
    }
}

/// What a failed login means.
pub(super) fn refusal(error: Error) -> ConnectError {
    if let Some(db) = error.as_db_error() {
        return ConnectError::Refused { sqlstate: db.code().code().to_owned() };
    }
    let Some(source) = error.source() else { return ConnectError::Handshake };
    let inner = source.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    if let Some(rustls::Error::InvalidCertificate(why)) = inner.and_then(|inner| inner.downcast_ref()) {
        // What follows the first word may quote the names of hosts.
        let why = format!("{why:?}");
        return ConnectError::Certificate(why.split([' ', '(', '{']).next().unwrap_or_default().to_owned());
    }
    // The driver has no other word for these.
    match source.to_string().as_str() {
        "password missing" => ConnectError::NoPassword,
        "server does not support TLS" => ConnectError::NoTls,
        _ => ConnectError::Handshake,
    }
}

/// Moves bytes until the session ends. Notices are dropped: they may quote data, and the driver
/// would log them.
pub(super) fn drive<S, T>(mut connection: Connection<S, T>) -> AbortHandle
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let driving =
        async move { while let Some(Ok(_notice)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {} };
    tokio::spawn(driving).abort_handle()
}
