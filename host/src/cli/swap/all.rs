//! `archipel swap --all`: one host first, and the others when that does well.
//!
//! With `--ramp` all of them get the build by the same shares, which grow by what all of them answered together; when
//! nobody has anything against it, it goes live on one after the other. A failure leaves every host with one whole build
//! or the other, and says which has which.

use std::{path::Path, process::ExitCode};

use anyhow::bail;

use super::{
    super::{
        Output,
        admin::Admin,
        several::{self, Member, Turn},
    },
    leading::Leader,
    round::Round,
};

pub(super) struct Wanted<'a> {
    pub(super) service: &'a str,
    pub(super) file: &'a Path,
    /// All of them take it by shares.
    pub(super) ramp: bool,
    pub(super) accept: bool,
    /// Where it is live when another host fails, it is taken back.
    pub(super) rollback: bool,
}

pub(super) fn swap(wanted: &Wanted<'_>, admin: &Admin, output: Output) -> anyhow::Result<ExitCode> {
    let service = wanted.service;
    let round = Round::with(service, wanted.file, wanted.accept)?;
    let members = several::all(admin)?;
    let (mut turns, stopped) = match wanted.ramp {
        true => by_shares(service, &round, &members),
        false => {
            let turns = at_once(&round, &members);
            let stopped = stopped(&members, &turns);
            (turns, stopped)
        }
    };
    if stopped.is_some() && wanted.rollback {
        members.iter().zip(&mut turns).for_each(|(member, turn)| round.take_back(member, turn));
    }
    round.print(&members, &turns, output)?;
    let Some(stopped) = stopped else { return Ok(ExitCode::SUCCESS) };
    bail!("{}", how_to_go_on(service, &stopped, &members, &turns))
}

fn at_once(round: &Round<'_>, members: &[Member]) -> Vec<Turn> {
    let change = |member: &Member| {
        if round.has_it(member)? {
            return Ok(false);
        }
        round.send(member, "").map(|_swapped| true)
    };
    several::in_turn(members, change, |member| round.does_well(member))
}

/// What became of each, and where or why it stopped.
fn by_shares(service: &str, round: &Round<'_>, members: &[Member]) -> (Vec<Turn>, Option<String>) {
    let mut leader = Leader::new(service);
    let begin = |member: &Member| {
        if round.has_it(member)? {
            return Ok(false);
        }
        let swapped = round.send(member, "&ramp=true&led=true")?;
        leader.lead(member, &swapped["version"])?;
        Ok(true)
    };
    let mut turns = several::in_turn(members, begin, |member| round.does_well(member));
    let against = stopped(members, &turns).or_else(|| leader.climb().err().map(|reason| format!(": {reason}")));
    if let Some(stopped) = against {
        let reason = format!("swapping it on all hosts stopped{stopped}");
        members.iter().zip(&mut turns).for_each(|(member, turn)| leader.back(member, turn, &reason));
        return (turns, Some(stopped));
    }
    let arrive = |member: &Member| {
        round.has_it(member)?;
        leader.arrive(member)
    };
    let mut turns = several::in_turn(members, arrive, |member| round.does_well(member));
    let stopped = stopped(members, &turns);
    let reason = "swapping it on all hosts stopped before it could go live here";
    members.iter().zip(&mut turns).for_each(|(member, turn)| leader.back(member, turn, reason));
    (turns, stopped)
}

/// At which host, and why.
fn stopped(members: &[Member], turns: &[Turn]) -> Option<String> {
    let failed = members.iter().zip(turns).find_map(|(member, turn)| Some((member, turn.reason()?)));
    failed.map(|(member, reason)| format!(" at `{}`: {reason}", member.url))
}

fn how_to_go_on(service: &str, stopped: &str, members: &[Member], turns: &[Turn]) -> String {
    let mut text = format!("swapping {service} stopped{stopped}");
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
