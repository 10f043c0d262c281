//! `archipel apply`, and what any applied manifest is told as.

use std::{cell::RefCell, collections::BTreeMap, path::Path, process::ExitCode};

use anyhow::bail;
use http::Method;
use serde_json::{Value, json};

use super::{
    Output,
    admin::{Admin, manifest},
    list,
    several::{self, Member, Turn},
    table,
};

pub(super) fn apply(file: &Path, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let doing = format!("applying {}: check, compile, start, smoke requests", file.display());
    let done = admin.or_of(file).call(Method::POST, "/v1/apply", Some(manifest(file)?), &doing)?.data()?;
    told(&done, &file.display().to_string(), output)
}

/// On every host of the system, one after the other.
pub(super) fn apply_to_all(file: &Path, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let body = manifest(file)?;
    let members = several::all(&admin.or_of(file))?;
    let answers = RefCell::new(BTreeMap::new());
    let change = |member: &Member| {
        let doing = format!("applying {} at {}: check, compile, start, smoke requests", file.display(), member.url);
        let done = member.admin.call(Method::POST, "/v1/apply", Some(body.clone()), &doing)?.data()?;
        answers.borrow_mut().insert(member.url.clone(), done);
        Ok(true)
    };
    let turns = several::in_turn(&members, change, |member| several::is_well(member, "/health/ready"));
    let answer = |member: &Member| answers.borrow().get(&member.url).cloned().unwrap_or(json!({}));
    let hosts = several::told(&members, &turns, answer);
    match output.json {
        true => output.document(&json!({ "hosts": hosts }))?,
        false => {
            let mut rows = vec![["HOST", "WHAT", "CHANGES", "LEFT UNTIL A RESTART"].map(str::to_owned).to_vec()];
            rows.extend(list(&hosts).map(row));
            output.text(&table(&rows))?;
        }
    }
    let failed = members.iter().zip(&turns).find_map(|(member, turn)| Some((&member.url, turn.reason()?)));
    let Some((host, reason)) = failed else { return Ok(ExitCode::SUCCESS) };
    let has = several::those(&members, &turns, |turn| matches!(turn, Turn::Changed | Turn::Unwell(_)));
    let has = if has.is_empty() { "no host".to_owned() } else { has.join(", ") };
    bail!(
        "applying {} stopped at `{host}`: {reason}\nit runs at {has}\nto go on, mend that and give the same command \
         again; to go back, apply the manifest of before with --all",
        file.display()
    )
}

fn row(host: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let changes = list(&host["services"]).filter(|service| service["change"] != "unchanged");
    let changes: Vec<String> =
        changes.map(|service| format!("{} {}", word(&service["name"]), word(&service["change"]))).collect();
    let restart: Vec<String> = list(&host["restart"]).map(word).collect();
    vec![word(&host["admin"]), word(&host["outcome"]), changes.join(", "), restart.join(", ")]
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
        list(&done["services"]).map(|service| ["name", "change", "version"].map(|key| word(&service[key])).to_vec()),
    );
    let took = done["tookMs"].as_f64().unwrap_or_default();
    let mut text = format!("{what} runs after {took:.0} ms\n\n{}", table(&rows));
    let restart: Vec<String> = list(&done["restart"]).map(word).collect();
    if !restart.is_empty() {
        text.push_str(&format!("\nleft as it was until a restart: {}\n", restart.join(", ")));
    }
    output.text(&text)?;
    Ok(ExitCode::SUCCESS)
}
