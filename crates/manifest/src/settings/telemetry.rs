//! What `[telemetry]` says; what it does not say, the standard variables of the environment do.

use std::{path::PathBuf, time::Duration};

use crate::Secret;

/// What is sent, where, and which spans; none of a field: not written.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetrySettings {
    pub otlp: Option<Collector>,
    pub protocol: Option<OtlpProtocol>,
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// In per cent.
    pub sample: Option<u64>,
    /// What takes longer is kept.
    pub slow: Duration,
    /// Whether log lines are sent, too.
    pub logs: Option<bool>,
    pub metrics: Option<bool>,
    /// Whose certificates are believed; none: those of the web's roots.
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collector {
    /// Nothing is sent.
    Off,
    /// Without the path of a signal.
    Address(String),
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    HttpProtobuf,
    HttpJson,
    Grpc,
}
