//! What the gateway knows about one request besides the request itself.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use http::HeaderValue;

/// Made once when the head has been read; never changes after that.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub trace: TraceContext,
    /// `X-Request-Id`: the client's if it was valid, else ours.
    pub request_id: HeaderValue,
    /// The socket's other end, not a forwarded address.
    pub downstream: SocketAddr,
    pub received: Instant,
    /// When the answer's last byte must have been sent.
    pub deadline: Instant,
    /// Services a request has passed through; 0 from outside.
    pub hops: u8,
    /// The service that made this call, if a service did.
    pub source_service: Option<Arc<str>>,
}

/// W3C Trace Context level 2 as it goes on to the next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Not zero.
    pub trace_id: u128,
    /// The span of this hop; not zero.
    pub span_id: u64,
    /// The caller's span, if the request came with one.
    pub parent_id: Option<u64>,
    pub flags: u8,
    pub tracestate: Option<HeaderValue>,
}
