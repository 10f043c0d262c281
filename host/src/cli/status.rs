//! `archipel status` and `archipel versions`.

use std::{process::ExitCode, time::Duration};

use serde_json::Value;

use super::{
    Output,
    admin::Admin,
    list,
    table::{mebibytes, within},
};

mod all;

/// How often a status that is watched is asked for.
const WATCH: Duration = Duration::from_secs(1);
/// Cursor to the top, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// `watch` asks again and again, until it is ended or the host is gone; a pipe gets a line each time.
/// `every`: of all hosts of the system.
pub(super) fn status(admin: &Admin, watch: bool, every: bool, output: Output) -> anyhow::Result<ExitCode> {
    let shown = if every { all::shown } else { shown };
    loop {
        let status = if every { all::asked(admin)? } else { admin.get("/v1/status")?.data()? };
        match (output.json, watch) {
            (true, true) => output.line(&status)?,
            (true, false) => output.document(&status)?,
            (false, _) => {
                let clear = if watch { CLEAR } else { "" };
                output.text(&format!("{clear}{}", shown(&status, output)))?;
            }
        }
        if !watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH);
    }
}

fn shown(status: &Value, output: Output) -> String {
    let header = [
        "SERVICE",
        "VERSION",
        "FROM",
        "PERMISSIONS",
        "REQUESTS",
        "ERRORS",
        "P50",
        "P99",
        "IN FLIGHT",
        "IDLE",
        "MEMORY",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(list(&status["services"]).map(row));
    let (name, uptime) = (word(&status["name"]), &status["uptime"]);
    let restart: Vec<String> = list(&status["manifest"]["restart"]).map(word).collect();
    let restart = match restart.is_empty() {
        true => String::new(),
        false => format!("\nneeds a restart: {}\n", restart.join(", ")),
    };
    let certificates = list(&status["certificates"]).map(|of| {
        let [owner, file, end] = ["owner", "file", "notAfter"].map(|key| word(&of[key]));
        format!("\nthe certificate of {owner} is good until {end}: {file}\n")
    });
    let accepted = list(&status["services"]).flat_map(|service| {
        list(&service["accepted"]).map(move |accepted| {
            let [line, by, at] = ["line", "by", "at"].map(|key| word(&accepted[key]));
            let held =
                if accepted["beyondCeiling"] == true { " (not given: beyond the operator's ceiling)" } else { "" };
            format!("\naccepted for {} by {by} at {at}, not in the manifest: {line}{held}\n", word(&service["name"]))
        })
    });
    let cut = list(&status["services"]).filter(|service| list(&service["cut"]).next().is_some()).map(|service| {
        let words: Vec<String> = list(&service["cut"]).map(word).collect();
        let (name, file) = (word(&service["name"]), word(&status["ceiling"]));
        format!("\ncut from {name} by the operator's ceiling {file}: {}\n", words.join(", "))
    });
    let ungranted = list(&status["services"]).flat_map(|service| {
        list(&service["importedNotGranted"]).map(move |one| {
            let imports: Vec<String> = list(&one["imports"]).map(word).collect();
            let (name, permission) = (word(&service["name"]), word(&one["permission"]));
            format!("\n{name} imports, not granted: {} ({permission})\n", imports.join(", "))
        })
    });
    let unused = list(&status["services"]).filter_map(|service| {
        let words: Vec<String> = list(&service["unused"]["grants"]).map(word).collect();
        let (name, since) = (word(&service["name"]), word(&service["unused"]["since"]));
        (!words.is_empty()).then(|| format!("\n{name} has not used since {since}: {}\n", words.join(", ")))
    });
    let quick = list(&status["services"]).filter(|service| service["compiler"] == "winch").map(|service| {
        let name = word(&service["name"]);
        format!("\n{name} runs on quickly made code (winch) until its full compilation (cranelift) is done\n")
    });
    let ramps = list(&status["services"]).filter(|service| service["ramp"].is_object()).map(|service| {
        let (name, ramp) = (word(&service["name"]), &service["ramp"]);
        let arm = |arm: &Value| format!("{} requests, {} errors, {} ms", arm["requests"], arm["errors"], arm["meanMs"]);
        let (new, old) = (arm(&ramp["new"]), arm(&ramp["old"]));
        format!(
            "\n{name} {} has {} % of the requests: {new}; before it: {old}\n",
            word(&ramp["version"]),
            ramp["percent"]
        )
    });
    let elsewhere = list(&status["elsewhere"]).map(|of| {
        let address =
            |of: &Value| format!("{} ({}, {} in flight)", word(&of["address"]), word(&of["health"]), of["inFlight"]);
        let addresses: Vec<String> = list(&of["addresses"]).map(address).collect();
        let (name, requests, errors) = (word(&of["name"]), &of["requests"], &of["errors"]);
        format!("\n{name} runs at {}: {requests} requests, {errors} errors\n", addresses.join(", "))
    });
    let crowded = list(&status["pools"]).filter(|pool| pool["full"] == true).map(|pool| {
        let (name, max, refused) = (word(&pool["database"]), &pool["max"], &pool["refused"]);
        format!("\nthe {max} connections of postgres.{name} do not suffice: {refused} requests found none in time\n")
    });
    let full = list(&status["stores"]).filter(|store| store["full"] == true).map(|store| {
        let name = word(&store["store"]);
        format!("\nkeyvalue.{name} holds as much as it may: {}\n", mebibytes(&store["maxBytes"]))
    });
    let restart = elsewhere
        .chain(crowded)
        .chain(full)
        .chain(accepted)
        .chain(cut)
        .chain(ungranted)
        .chain(unused)
        .chain(quick)
        .chain(ramps)
        .chain(certificates)
        .collect::<String>()
        + &restart;
    format!("{name}, up for {uptime} s\n\n{}{restart}", output.alarmed(within(&rows, output.width)))
}

fn row(service: &Value) -> Vec<String> {
    let permissions: Vec<String> = list(&service["permissions"]).map(word).collect();
    let permissions = if permissions.is_empty() { "none".to_owned() } else { permissions.join(", ") };
    let millis = |value: &Value| value.as_f64().map_or("-".to_owned(), |millis| format!("≤ {millis} ms"));
    let latency = &service["latencyMs"];
    vec![
        word(&service["name"]),
        word(&service["version"]),
        word(&service["source"]),
        permissions,
        service["requests"].to_string(),
        service["errors"].to_string(),
        millis(&latency["p50"]),
        millis(&latency["p99"]),
        service["inFlight"].to_string(),
        service["idleInstances"].to_string(),
        mebibytes(&service["memoryBytes"]),
    ]
}

pub(super) fn versions(service: &str, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let versions = admin.get(&format!("/v1/services/{service}/versions"))?.data()?;
    if output.json {
        output.document(&versions)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["", "VERSION", "AT", "OUTCOME", "BY", "REASON"].map(str::to_owned).to_vec()];
    rows.extend(list(&versions).map(|entry| {
        let live = if entry["live"] == true { "live" } else { "" };
        let reason = word(&entry["reason"]).lines().next().unwrap_or_default().to_owned();
        let mut row = vec![live.to_owned()];
        row.extend(["version", "at", "outcome", "by"].map(|key| word(&entry[key])));
        row.push(reason);
        row
    }));
    output.text(&within(&rows, output.width))?;
    Ok(ExitCode::SUCCESS)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
