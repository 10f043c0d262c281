//! What one look at something says of it.

use std::time::Duration;

use serde::Serialize;

/// What takes longer is not healthy.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Healthy,
    Degraded,
    Unhealthy,
    /// Only ever said of the whole host.
    ShuttingDown,
}

/// What is there when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Well,
    /// It answers, and some who want it find no room; in words without names.
    Full(&'static str),
}

/// One check, as a probe sees it. Never holds an address, a password or an error's text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub status: Status,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
