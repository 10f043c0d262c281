//! The signals that end a host, SIGTERM, ctrl-C and a terminal that closes, and the one that makes it read its
//! manifest again.
//!
//! SIGHUP is both: the system sends it when a terminal closes, and operators send it to what has none. So it ends
//! a host that was started from a terminal, reloads one that was not, and is nothing to one started by `nohup`.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::telemetry;

/// Those of one run.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal closes.
    hangup: Option<Signal>,
}

/// Requests to read the manifest again.
pub(super) struct Reloads(Option<Signal>);

impl Signals {
    /// From now on they wait here, and end nothing by themselves. A hang-up ends, whoever sends it.
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let hangup = (!telemetry::ignores_hangup()).then(|| listen(SignalKind::hangup())).transpose()?;
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())?, hangup })
    }

    /// The same, but a hang-up that no terminal sends is a reload.
    pub(super) fn and_reloads() -> anyhow::Result<(Self, Reloads)> {
        let mut signals = Self::new()?;
        let reloads = if telemetry::has_terminal() { None } else { signals.hangup.take() };
        Ok((signals, Reloads(reloads)))
    }

    /// Waits for one of them. Cancel safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = received(&mut self.hangup) => {}
        }
    }
}

impl Reloads {
    /// Waits for one; those that come meanwhile are one. Cancel safe.
    pub(super) async fn next(&mut self) {
        received(&mut self.0).await;
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}
