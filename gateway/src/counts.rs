//! What the gateway counts while it runs: requests by route, refusals by reason, connections.
//!
//! Plain numbers, each a relaxed atomic that is never read on the way of a request. Under which
//! names they are shown is the business of whoever reads them.

mod histogram;
mod label;
mod route;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

pub use histogram::{BOUNDS_MICROS, Buckets, Histogram};
pub use label::{ByLabel, Label};
pub(crate) use route::Tally;
pub use route::{Class, MethodLabel, RouteCounts};

use crate::{auth::TokenError, error::GatewayError, labels};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub fn count(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

labels! {
    /// Why a request was turned away before any service was asked.
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
    }
}

impl Refusal {
    /// None for what is no refusal at the entrance.
    pub(crate) fn of(error: &GatewayError) -> Option<Self> {
        Some(match error {
            GatewayError::Overloaded => Self::Overloaded,
            GatewayError::RateLimited { .. } => Self::RateLimit,
            GatewayError::Token(TokenError::NoKeys(_)) => Self::NoKeys,
            GatewayError::Token(_) => Self::Authentication,
            GatewayError::NoRoute => Self::NoRoute,
            GatewayError::MethodNotAllowed { .. } => Self::Method,
            GatewayError::Misdirected { .. } => Self::Host,
            GatewayError::Path(_) | GatewayError::Authority(_) => Self::Malformed,
            _ => return None,
        })
    }
}

/// The counts of one gateway, besides those of its routes.
#[derive(Debug, Default)]
pub struct GatewayCounts {
    pub refused: ByLabel<Refusal>,
    /// Requests that found no route, or were turned away before it was looked for.
    pub unmatched: Arc<RouteCounts>,
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
