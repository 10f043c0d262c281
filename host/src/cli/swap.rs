//! `archipel swap` and `archipel rollback`.

use std::{path::Path, process::ExitCode};

use http::Method;
use serde_json::Value;

use super::{
    Output,
    admin::{Admin, wasm},
};

pub(super) fn swap(service: &str, file: &Path, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/services/{service}/swap");
    let doing = format!("swapping {service}: compile, start, smoke request");
    print(&admin.call(Method::POST, &path, Some(wasm(file)?), &doing)?.data()?, "is live", output)
}

pub(super) fn rollback(service: &str, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/services/{service}/rollback");
    print(&admin.call(Method::POST, &path, None, "rolling back")?.data()?, "is live again", output)
}

fn print(swapped: &Value, what: &str, output: Output) -> anyhow::Result<ExitCode> {
    if output.json {
        output.document(swapped)?;
    } else {
        let text = |key: &str| swapped[key].as_str().unwrap_or_default().to_owned();
        let took = swapped["tookMs"].as_f64().unwrap_or_default();
        let cached = if swapped["cached"] == true { ", compiled before" } else { "" };
        let (service, version, replaced) = (text("service"), text("version"), text("replaced"));
        output.text(&format!("{service} {version} {what} after {took:.0} ms{cached}; it replaced {replaced}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
