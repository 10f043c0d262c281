//! How a connection to an operator's server is watched: how long for an answer, which of several hosts
//! will do, and when TCP gives it up.

use std::{io, time::Duration};

use rustix::net::sockopt;
use tokio::net::TcpStream;

/// Which server a session may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Target {
    #[default]
    Any,
    /// One that takes writes.
    Primary,
    Standby,
}

/// What a URL says of it, or what holds without a word.
#[derive(Debug, Clone)]
pub(super) struct Tuning {
    /// For each host: dialing, TLS and logging in together.
    pub(super) connect_timeout: Duration,
    pub(super) keepalives: bool,
    pub(super) keepalives_idle: Duration,
    pub(super) keepalives_interval: Duration,
    pub(super) keepalives_count: u32,
    /// How long what was sent may stay without a word from the other end.
    pub(super) user_timeout: Duration,
    pub(super) target: Target,
}

impl Default for Tuning {
    /// A dead peer is noticed after a minute when idle, and after 15 s when something was sent.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            keepalives: true,
            keepalives_idle: Duration::from_secs(30),
            keepalives_interval: Duration::from_secs(10),
            keepalives_count: 3,
            user_timeout: Duration::from_secs(15),
            target: Target::Any,
        }
    }
}

impl Tuning {
    /// Sets it for a socket.
    pub(super) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(stream, self.keepalives)?;
        if self.keepalives {
            sockopt::set_tcp_keepidle(stream, self.keepalives_idle)?;
            sockopt::set_tcp_keepintvl(stream, self.keepalives_interval)?;
            sockopt::set_tcp_keepcnt(stream, self.keepalives_count)?;
        }
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(stream, u32::try_from(self.user_timeout.as_millis()).unwrap_or(u32::MAX))?;
        Ok(())
    }
}
