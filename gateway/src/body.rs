//! The one body type of the gateway and the ways a body can fail.

pub mod pace;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// A streamed request or response body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route's `body_limit`.
    #[error("the request body is over the limit of {limit} bytes")]
    TooLarge { limit: u64 },

    /// The sender was slower than the pace limit, or silent for too long.
    #[error("the body came too slowly")]
    TooSlow,

    /// The deadline of the request passed while its body was moving.
    #[error("the deadline passed")]
    DeadlineExceeded,

    /// The peer went away or broke the protocol.
    #[error("the body was cut short: {0}")]
    Cut(String),
}

/// No bytes at all.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is already whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
