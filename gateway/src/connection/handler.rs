//! Who answers what comes on a connection.

use std::{future::Future, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::body::Body;

/// What answers requests: the gateway, or a closure in a test.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Never fails: errors are answers.
    ///
    /// Dropped when the client goes away, so it must be cancel safe. An error of the
    /// returned body cuts the answer: the connection is closed or the stream reset, and it
    /// never looks whole.
    fn handle(
        &self,
        peer: Peer,
        request: Request<hyper::body::Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// The answer to what never became a request, in the project's envelope. `message` is a
    /// sentence for the client. Framing fields are added by the connection.
    fn refuse(&self, status: StatusCode, message: &str) -> Response<Bytes>;
}

/// The other end of the connection a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    pub scheme: Scheme,
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}
