//! What a supervisor such as systemd is told of a service that it started (`Type=notify`): that it is ready, that it
//! stops, and, where `WatchdogSec=` asks for it, that it still works. Nobody asks: nothing is said.

use std::{
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use manifest::Environment;

pub(super) const READY: &str = "READY=1";
pub(super) const STOPPING: &str = "STOPPING=1";
const ALIVE: &str = "WATCHDOG=1";

/// Whoever started this host.
pub(super) struct Supervisor {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// It is told so often that the host is alive: twice in the time after which it would end it.
    beat: Option<Duration>,
}

impl Supervisor {
    /// As the environment says. One that cannot be reached is told nothing, and the log says so.
    pub(super) fn of(environment: &Environment) -> Self {
        let address = environment.get("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let to = address.and_then(|name| {
            let opened = address_of(name).and_then(|address| Ok((UnixDatagram::unbound()?, address)));
            opened.inspect_err(|error| tracing::warn!(%error, "NOTIFY_SOCKET cannot be used")).ok()
        });
        let mine = |pid: &String| *pid == std::process::id().to_string();
        let beat = environment.get("WATCHDOG_USEC").filter(|_| environment.get("WATCHDOG_PID").is_none_or(mine));
        let beat = beat.and_then(|micros| micros.parse().ok()).filter(|micros| *micros > 0);
        Self { to, beat: beat.map(|micros| Duration::from_micros(micros) / 2) }
    }

    pub(super) fn say(&self, word: &str) {
        let Some((socket, address)) = &self.to else { return };
        // Without waiting: a supervisor that does not read holds up nothing.
        let said = socket.set_nonblocking(true).and_then(|()| socket.send_to_addr(word.as_bytes(), address));
        if let Err(error) = said {
            tracing::warn!(%error, word, "the supervisor was not told");
        }
    }

    /// Says that the host is alive for as long as it is polled, by the runtime that serves. Cancel safe.
    pub(super) async fn beats(&self) {
        let Some(beat) = self.beat.filter(|_| self.to.is_some()) else { return std::future::pending().await };
        loop {
            self.say(ALIVE);
            tokio::time::sleep(beat).await;
        }
    }
}

/// A path, or a name without a file after an `@`.
fn address_of(name: &str) -> std::io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}
