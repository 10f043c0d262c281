//! Where something goes, and as whose.

use std::{fmt, path::PathBuf, time::Duration};

/// How it is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    HttpProtobuf,
    HttpJson,
    Grpc,
}

impl Protocol {
    /// The names of OpenTelemetry's specification.
    pub const NAMES: [(&'static str, Self); 3] =
        [("http/protobuf", Self::HttpProtobuf), ("http/json", Self::HttpJson), ("grpc", Self::Grpc)];

    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, protocol)| protocol)
    }
}

/// One collector. Prints no header's value: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address of the signal itself for HTTP (`http://localhost:4318/v1/traces`), of the server for gRPC.
    pub endpoint: String,
    pub protocol: Protocol,
    pub headers: Vec<(String, String)>,
    /// A PEM file of authorities: its certificate must be of one of them. None: of the web's.
    pub ca: Option<PathBuf>,
    /// Of one attempt.
    pub timeout: Duration,
    /// Nobody has named it: that nobody listens there is no news.
    pub is_default: bool,
    /// What all resources have besides their own name and version.
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}
