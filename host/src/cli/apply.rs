//! `archipel apply`, and what any applied manifest is told as.

use std::{path::Path, process::ExitCode};

use http::Method;
use serde_json::Value;

use super::{
    Output,
    admin::{Admin, manifest},
    table,
};

pub(super) fn apply(file: &Path, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let doing = format!("applying {}: check, compile, start, smoke requests", file.display());
    let done = admin.or_of(file).call(Method::POST, "/v1/apply", Some(manifest(file)?), &doing)?.data()?;
    told(&done, &file.display().to_string(), output)
}

/// What became of it, with `what` for the manifest.
pub(super) fn told(done: &Value, what: &str, output: Output) -> anyhow::Result<ExitCode> {
    if output.json {
        output.document(done)?;
        return Ok(ExitCode::SUCCESS);
    }
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut rows = vec![["SERVICE", "CHANGE", "VERSION"].map(str::to_owned).to_vec()];
    rows.extend(
        super::list(&done["services"])
            .map(|service| ["name", "change", "version"].map(|key| word(&service[key])).to_vec()),
    );
    let took = done["tookMs"].as_f64().unwrap_or_default();
    let mut text = format!("{what} runs after {took:.0} ms\n\n{}", table(&rows));
    let restart: Vec<String> = super::list(&done["restart"]).map(word).collect();
    if !restart.is_empty() {
        text.push_str(&format!("\nleft as it was until a restart: {}\n", restart.join(", ")));
    }
    output.text(&text)?;
    Ok(ExitCode::SUCCESS)
}
