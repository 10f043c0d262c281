//! What the gateway counts while it runs: requests by route, refusals by reason, connections.
//!
//! Plain numbers, each a relaxed atomic that is never read on the way of a request. Under which
//! names they are shown is the business of whoever reads them.

mod counter;
mod exemplar;
mod histogram;
mod label;
mod route;

use std::sync::Arc;

pub use counter::Counter;
pub use exemplar::{Exemplar, Exemplars};
pub use histogram::{BOUNDS_MICROS, Buckets, Histogram};
pub use label::{ByLabel, Label};
pub(crate) use route::Tally;
pub use route::{Class, MethodLabel, RouteCounts};

use crate::labels;

labels! {
    /// Why a request was turned away before any service was asked; `error` says which failure is which.
    pub enum Refusal {
        Overloaded = "overloaded",
        RateLimit = "rate_limit",
        Authentication = "authentication",
        /// Tokens could not be verified: our fault, not the client's.
        NoKeys = "no_keys",
        NoRoute = "no_route",
        Method = "method",
        Host = "host",
        Malformed = "malformed",
        /// A page of another origin asked for a WebSocket.
        Origin = "origin",
        /// The word of another host was not believed.
        Trust = "trust",
    }
}

/// The counts of one gateway, besides those of its routes.
#[derive(Debug, Default)]
pub struct GatewayCounts {
    pub refused: ByLabel<Refusal>,
    /// Requests that found no route, or were turned away before it was looked for.
    pub unmatched: Arc<RouteCounts>,
    pub tunnels: Arc<TunnelCounts>,
}

/// Connections that went on in another protocol, WebSockets among them.
#[derive(Debug, Default)]
pub struct TunnelCounts {
    pub opened: Counter,
    pub closed: Counter,
    /// From clients.
    pub bytes_in: Counter,
    /// To clients.
    pub bytes_out: Counter,
}

impl TunnelCounts {
    pub fn open(&self) -> u64 {
        let closed = self.closed.get(); // first, so that the difference is never below zero
        self.opened.get().saturating_sub(closed)
    }
}

/// The connections of one set of listeners.
#[derive(Debug, Default)]
pub struct ConnectionCounts {
    pub accepted: Counter,
    pub closed: Counter,
    /// Closed at once: too many from one address.
    pub refused: Counter,
}

impl ConnectionCounts {
    pub fn open(&self) -> u64 {
        let closed = self.closed.get(); // first, so that the difference is never below zero
        self.accepted.get().saturating_sub(closed)
    }
}
