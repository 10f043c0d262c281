//! The signals that end a host: SIGTERM, ctrl-C, and a terminal that closes.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry;

/// Those of one run.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Not for a host that was started by `nohup`: it goes on without its terminal.
    hangup: Option<Signal>,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let hangup = (!telemetry::ignores_hangup()).then(|| listen(SignalKind::hangup())).transpose()?;
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())?, hangup })
    }

    /// Waits for one of them. Cancel safe.
    pub(super) async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hung_up => {}
        }
    }
}
