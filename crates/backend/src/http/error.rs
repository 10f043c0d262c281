//! What can go wrong on the way out, in the words of `wasi:http`. Nothing in it is from inside.

use std::{error::Error, io};

use grant::Denied;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("{0}")]
    Denied(Box<Denied>),
    #[error("the name did not resolve: {0}")]
    Dns(String),
    #[error("the name did not resolve in time")]
    DnsTimeout,
    #[error("the connection was refused")]
    Refused,
    #[error("the connection was not made in time")]
    ConnectTimeout,
    #[error("no address could be reached: {0}")]
    Unreachable(String),
    #[error("the server's certificate is not believed: {0}")]
    Certificate(String),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the answer's head is over the limit")]
    HeadTooLarge,
    #[error("no answer in time")]
    ResponseTimeout,
    #[error("the connection ended before the answer")]
    Terminated,
    #[error("the request's own body broke off")]
    RequestBody,
    #[error("not HTTP")]
    Protocol,
    #[error("too many requests of this service are under way")]
    TooMany,
}

impl SendError {
    /// What the client says, made plain. Our own errors of the connector are inside of it.
    pub(super) fn of(error: &hyper_util::client::legacy::Error) -> Self {
        let mut cause = error.source();
        while let Some(source) = cause {
            if let Some(own) = source.downcast_ref::<Self>() {
                return own.copy();
            }
            if source.is::<gateway::body::BodyError>() {
                return Self::RequestBody;
            }
            if let Some(hyper) = source.downcast_ref::<hyper::Error>() {
                if hyper.is_parse_too_large() {
                    return Self::HeadTooLarge;
                }
                if hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled() {
                    return Self::Terminated;
                }
            }
            if source.is::<io::Error>() {
                return Self::Terminated;
            }
            cause = source.source();
        }
        Self::Protocol
    }

    /// The client hands out references only.
    fn copy(&self) -> Self {
        match self {
            Self::Denied(denial) => Self::Denied(denial.clone()),
            Self::Dns(reason) => Self::Dns(reason.clone()),
            Self::DnsTimeout => Self::DnsTimeout,
            Self::Refused => Self::Refused,
            Self::ConnectTimeout => Self::ConnectTimeout,
            Self::Unreachable(reason) => Self::Unreachable(reason.clone()),
            Self::Certificate(reason) => Self::Certificate(reason.clone()),
            Self::Tls(reason) => Self::Tls(reason.clone()),
            Self::HeadTooLarge => Self::HeadTooLarge,
            Self::ResponseTimeout => Self::ResponseTimeout,
            Self::Terminated => Self::Terminated,
            Self::RequestBody => Self::RequestBody,
            Self::Protocol => Self::Protocol,
            Self::TooMany => Self::TooMany,
        }
    }

    pub(super) fn of_tls(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(reason)) => Self::Certificate(reason.to_string()),
            Some(reason) => Self::Tls(reason.to_string()),
            None => Self::Tls("the connection ended in its handshake".into()),
        }
    }

    pub(super) fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            kind => Self::Unreachable(kind.to_string()),
        }
    }
}
