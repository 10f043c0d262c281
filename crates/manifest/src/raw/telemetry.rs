//! `[telemetry]` in the file's own words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Named, RawText};
use crate::defaults;
use document::quantity::{Share, Time};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTelemetry {
    /// The address of an OpenTelemetry collector, without `/v1/traces`; `false`: nothing is sent.
    #[schemars(extend("default" = defaults::OTLP))]
    pub(crate) otlp: Option<RawCollector>,
    /// How it is spoken to: `http/protobuf`, `http/json` or `grpc`.
    #[schemars(extend("default" = "http/protobuf"))]
    pub(crate) protocol: Option<RawProtocol>,
    /// Headers of every request to the collector, like a key of its own.
    #[serde(default)]
    pub(crate) headers: Named<RawText>,
    /// How many traces are kept of those that neither fail nor are slow. A caller's own decision goes first.
    #[schemars(extend("default" = defaults::SAMPLE))]
    pub(crate) sample: Option<Share>,
    /// A request that takes longer has its trace kept, sampled or not.
    #[schemars(extend("default" = defaults::SLOW))]
    pub(crate) slow: Option<Time>,
    /// Whether log lines are sent to the collector, too.
    #[schemars(extend("default" = false))]
    pub(crate) logs: Option<bool>,
    /// Whether metrics are.
    #[schemars(extend("default" = false))]
    pub(crate) metrics: Option<bool>,
    /// A PEM file of authorities: the collector's certificate must be of one of them. Not written: of the web's.
    pub(crate) ca: Option<String>,
}

/// An address, or `false`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawCollector {
    Switch(bool),
    Address(String),
}

// The variants carry no comments: the schema lists their words only.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum RawProtocol {
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "http/json")]
    HttpJson,
    #[serde(rename = "grpc")]
    Grpc,
}
