//! Why a service elsewhere gave no answer, and who has to hear it.

use std::{error::Error as _, io};

use gateway::body::BodyError;

/// Why there is no answer. The texts are for the log: they name addresses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    #[error("none of its {addresses} addresses is well")]
    NoneWell { addresses: usize },
    #[error("it has no address: {reason}")]
    Nowhere { reason: String },
    /// Nothing was sent.
    #[error("`{address}` cannot be reached: {reason}")]
    Unreachable { address: String, reason: String },
    /// All connections that it may have are in use.
    #[error("`{address}` has all the connections that `pool.connections_max` allows, and none came free")]
    Full { address: String },
    /// TLS was not agreed on: nothing was sent.
    #[error("`{address}` is not who it should be: {reason}")]
    Untrusted { address: String, reason: String },
    /// It was sent, and what came back is no answer.
    #[error("`{address}` gave no valid answer: {reason}")]
    Broken { address: String, reason: String },
    #[error("`{address}` did not answer in time")]
    Late { address: String },
    /// What should have been sent broke off.
    #[error(transparent)]
    RequestBody(BodyError),
}

impl UpstreamError {
    /// Whether the same request may have an answer at once or in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Full { .. } | Self::Broken { .. } => true,
            Self::NoneWell { .. } | Self::Nowhere { .. } | Self::Late { .. } | Self::RequestBody(_) => false,
        }
    }

    /// What hyper says of a request that was sent.
    pub(super) fn of(address: &str, error: &hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(source) = cause {
            if let Some(body) = source.downcast_ref::<BodyError>() {
                return Self::RequestBody(body.clone());
            }
            cause = source.source();
        }
        let reason = match () {
            () if error.is_parse_too_large() => "its head is too large".to_owned(),
            () if error.is_parse() => "what it sent is not HTTP".to_owned(),
            () if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
                "the connection ended before the answer".to_owned()
            }
            () => error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
        };
        Self::Broken { address: address.to_owned(), reason }
    }

    pub(super) fn of_connect(address: &str, error: &io::Error) -> Self {
        let address = address.to_owned();
        let reason = match error.kind() {
            io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
            io::ErrorKind::TimedOut => "the connection was not made in time".to_owned(),
            _ => error.to_string(),
        };
        match error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            true => Self::Untrusted { address, reason },
            false => Self::Unreachable { address, reason },
        }
    }
}
