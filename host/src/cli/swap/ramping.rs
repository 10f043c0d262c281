//! Waiting for the end of a ramp.

use std::{thread, time::Duration};

use anyhow::bail;
use serde_json::Value;

use super::super::{admin::Admin, list};

/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until `version` of `service` is live.
///
/// # Errors
/// It was taken back, and why.
pub(super) fn ended(service: &str, version: &Value, admin: &Admin) -> anyhow::Result<()> {
    let of = format!("/v1/services/{service}");
    loop {
        let status = admin.get(&of)?.data()?;
        if status["ramp"]["version"] == *version {
            thread::sleep(LOOK);
            continue;
        }
        let versions = admin.get(&format!("{of}/versions"))?.data()?;
        let last = list(&versions).find(|entry| entry["version"] == *version);
        match last.map(|entry| entry["outcome"].as_str().unwrap_or_default()) {
            Some("swapped") => return Ok(()),
            // Its end is being written down.
            Some("ramping") => thread::sleep(LOOK),
            _ => bail!(
                "{service} {} was taken back: {}",
                version.as_str().unwrap_or_default(),
                last.and_then(|entry| entry["reason"].as_str()).unwrap_or("its history is gone")
            ),
        }
    }
}
