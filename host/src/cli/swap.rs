//! `archipel swap` and `archipel rollback`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use http::Method;
use serde_json::Value;

use super::{
    Output,
    admin::{Admin, wasm},
    list,
};

mod all;
mod leading;
mod ramping;
mod round;

/// What to swap, and how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    service: String,
    file: PathBuf,
    /// By shares of the requests, as `services.NAME.swap.ramp` says, and back by itself when the new
    /// build does worse.
    #[arg(long)]
    ramp: bool,
    /// Grants exactly what the build says it needs and the manifest lacks; `archipel status` shows it
    /// until the manifest has it too.
    #[arg(long)]
    accept_permissions: bool,
    /// With `--ramp`: waits for its end, and exits 1 when the build was taken back.
    #[arg(long)]
    wait: bool,
    /// On every host of the system that Consul knows, the one at --admin first; with --ramp by shares that grow by what all
    /// of them answer together.
    #[arg(long)]
    all: bool,
    /// With --all: when a host fails, those that have the build already go back to the one before.
    #[arg(long, requires = "all")]
    rollback: bool,
    #[command(flatten)]
    admin: Admin,
}

pub(super) fn swap(arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let Arguments { service, file, ramp, accept_permissions, wait, all, rollback, admin } = arguments;
    let (ramp, accept) = (*ramp, *accept_permissions);
    if *all {
        return all::swap(&all::Wanted { service, file, ramp, accept, rollback: *rollback }, admin, output);
    }
    let path = format!("/v1/services/{service}/swap?ramp={ramp}&acceptPermissions={accept}");
    let doing = format!("swapping {service}: compile, start, smoke request");
    let swapped = admin.call(Method::POST, &path, Some(wasm(file)?), &doing)?.data()?;
    match swapped["ramp"].is_array() {
        true if *wait => {
            ramping::ended(service, &swapped["version"], admin)?;
            print(&Value::Object(live(&swapped)), "is live", output)
        }
        _ => print(&swapped, "is live", output),
    }
}

pub(super) fn rollback(service: &str, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/services/{service}/rollback");
    print(&admin.call(Method::POST, &path, None, "rolling back")?.data()?, "is live again", output)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn print(swapped: &Value, what: &str, output: Output) -> anyhow::Result<ExitCode> {
    if output.json {
        output.document(swapped)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (service, version) = (word(&swapped["service"]), word(&swapped["version"]));
    let mut text = match swapped["ramp"].as_array() {
        Some(steps) => {
            let steps: Vec<String> = steps.iter().map(|step| format!("{step} %")).collect();
            let how = "`archipel status` shows how it does, `archipel rollback` takes it back";
            format!("{service} {version} gets {} of the requests, then all; {how}\n", steps.join(", "))
        }
        None => {
            let took = swapped["tookMs"].as_f64().unwrap_or_default();
            let cached = if swapped["cached"] == true { ", compiled before" } else { "" };
            let replaced = word(&swapped["replaced"]);
            format!("{service} {version} {what} after {took:.0} ms{cached}; it replaced {replaced}\n")
        }
    };
    text.push_str(&changes(&swapped["changes"]));
    for line in list(&swapped["accepted"]).map(word) {
        text.push_str(&format!("accepted; add it to `services.{service}.permissions`: {line}\n"));
    }
    output.text(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each word that came or went, as `archipel diff` writes them.
fn changes(changes: &Value) -> String {
    let mut text = String::new();
    for (name, change) in changes.as_object().into_iter().flatten() {
        list(&change["removed"]).for_each(|gone| text.push_str(&format!("- {name}: {}\n", word(gone))));
        list(&change["added"]).for_each(|new| text.push_str(&format!("+ {name}: {}\n", word(new))));
    }
    text
}

/// The answer to the swap, now that its ramp is over.
fn live(swapped: &Value) -> serde_json::Map<String, Value> {
    let mut live = swapped.as_object().cloned().unwrap_or_default();
    live.insert("ramp".to_owned(), Value::Null);
    live
}
