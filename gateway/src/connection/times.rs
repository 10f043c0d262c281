//! How long things on a connection may take.

use std::time::Duration;

use tokio::time::sleep;

use super::keep_alive::KeepAlive;
use crate::drain::Drain;

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

/// While draining: how long a connection may be silent before it is closed. A request that
/// was on its way is still answered, with `Connection: close`.
pub(super) const PARTING: Duration = Duration::from_millis(500);

/// Waits until a drain has started and that has passed.
pub(super) async fn parting(drain: &Drain) {
    drain.started().await;
    sleep(PARTING).await;
}
