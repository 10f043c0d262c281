//! `archipel swap --all`: one host first, and the others when that does well.
//!
//! A failure leaves every host with one whole build or the other, and says which has which.

use std::{cell::Cell, path::Path, process::ExitCode};

use anyhow::bail;
use http::Method;
use serde_json::{Value, json};

use super::{
    super::{
        Output,
        admin::{Admin, Answer, Body},
        list,
        several::{self, Member, Turn},
        table,
    },
    ramping,
};
use crate::component::Digest;

/// Of fewer requests it is not asked how many failed.
const REQUESTS_MIN: u64 = 20;

pub(super) struct Wanted<'a> {
    pub(super) service: &'a str,
    pub(super) file: &'a Path,
    /// The first host takes it by shares.
    pub(super) ramp: bool,
    pub(super) accept: bool,
    /// Where it is live when another host fails, it is taken back.
    pub(super) rollback: bool,
}

pub(super) fn swap(wanted: &Wanted<'_>, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let service = wanted.service;
    let component = crate::component::read(wanted.file, None)?;
    let digest = Digest::of(&component);
    let body = Body::Wasm(component.into());
    let members = several::all(admin)?;
    let of = format!("/v1/services/{service}");
    let state = |member: &Member| member.admin.get(&of)?.data();
    let has_it = |state: &Value| state["digest"].as_str().and_then(|text| text.parse().ok()) == Some(digest);
    let counts = |state: &Value| (state["requests"].as_u64().unwrap_or(0), state["errors"].as_u64().unwrap_or(0));

    let (before, by_shares) = (Cell::new((0, 0)), Cell::new(wanted.ramp));
    let change = |member: &Member| {
        let now = state(member)?;
        before.set(counts(&now));
        if has_it(&now) && now["ramp"].is_null() {
            return Ok(false);
        }
        let ramp = by_shares.take();
        let path = format!("{of}/swap?ramp={ramp}&acceptPermissions={}", wanted.accept);
        let doing = format!("swapping {service} at {}: compile, start, smoke request", member.url);
        let swapped = member.admin.call(Method::POST, &path, Some(body.clone()), &doing)?.data()?;
        if swapped["ramp"].is_array() {
            ramping::ended(service, &swapped["version"], &member.admin)?;
        }
        Ok(true)
    };
    let does_well = |member: &Member| {
        several::is_well(member, &format!("/health/services/{service}"))?;
        let now = counts(&state(member).map_err(|error| format!("{error:#}"))?);
        let (requests, errors) = (now.0.saturating_sub(before.get().0), now.1.saturating_sub(before.get().1));
        match requests >= REQUESTS_MIN && errors * 2 > requests {
            true => Err(format!("{errors} of {requests} requests failed")),
            false => Ok(()),
        }
    };
    let mut turns = several::in_turn(&members, change, does_well);
    let has_failed = turns.iter().any(|turn| turn.reason().is_some());
    let stopped =
        members.iter().zip(&turns).find_map(|(member, turn)| Some((member.url.clone(), turn.reason()?.to_owned())));
    if has_failed && wanted.rollback {
        for (member, turn) in members.iter().zip(&mut turns) {
            take_back(member, turn, &of, || state(member).is_ok_and(|now| has_it(&now)));
        }
    }
    print(service, &members, &turns, state, output)?;
    let Some((host, reason)) = stopped else { return Ok(ExitCode::SUCCESS) };
    bail!("{}", how_to_go_on(service, (&host, &reason), &members, &turns))
}

/// Back to the build before, where this one is live.
fn take_back(member: &Member, turn: &mut Turn, of: &str, has_it: impl Fn() -> bool) {
    if !matches!(turn, Turn::Changed | Turn::Unwell(_)) || !has_it() {
        return;
    }
    let taken = member.admin.call(Method::POST, &format!("{of}/rollback"), None, "taking it back");
    match taken.and_then(Answer::data) {
        Ok(_) => *turn = Turn::TakenBack,
        Err(error) => *turn = Turn::Unwell(format!("it cannot be taken back: {error:#}")),
    }
}

/// What has which build now, as each host says itself.
fn print(
    service: &str,
    members: &[Member],
    turns: &[Turn],
    state: impl Fn(&Member) -> anyhow::Result<Value>,
    output: Output,
) -> anyhow::Result<()> {
    let live = |member: &Member| json!({ "version": state(member).map_or(Value::Null, |now| now["version"].clone()) });
    let hosts = several::told(members, turns, live);
    if output.json {
        return output.document(&json!({ "service": service, "hosts": hosts }));
    }
    let mut rows = vec![["HOST", service, "WHAT"].map(str::to_owned).to_vec()];
    rows.extend(list(&hosts).map(|host| {
        let word = |key: &str| host[key].as_str().unwrap_or("does not answer").to_owned();
        vec![word("admin"), word("version"), word("outcome")]
    }));
    output.text(&table(&rows))
}

fn how_to_go_on(service: &str, (host, reason): (&str, &str), members: &[Member], turns: &[Turn]) -> String {
    let mut text = format!("swapping {service} stopped at `{host}`: {reason}");
    let has = several::those(members, turns, |turn| matches!(turn, Turn::Had | Turn::Changed | Turn::Unwell(_)));
    if has.is_empty() {
        return text + "\nno host has the new build";
    }
    let others = several::those(members, turns, |turn| !matches!(turn, Turn::Had | Turn::Changed | Turn::Unwell(_)));
    text += &format!("\nthe new build is live at {}", has.join(", "));
    if !others.is_empty() {
        text += &format!("; not at {}", others.join(", "));
    }
    text += "\nto go on, mend that and give the same command again: hosts that have the build are passed over";
    for host in has {
        text += &format!("\nto go back: archipel rollback {service} --admin {host}");
    }
    text
}
