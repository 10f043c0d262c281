//! The ways a body can fail.

use std::{error::Error, io};

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

impl From<std::convert::Infallible> for BodyError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<hyper::Error> for BodyError {
    /// A timeout of the socket's reader is the sender's slowness; anything else cut the body.
    fn from(error: hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(source) = cause {
            if let Some(io) = source.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::TimedOut
            {
                return Self::TooSlow;
            }
            cause = source.source();
        }
        Self::Cut(error.to_string())
    }
}
