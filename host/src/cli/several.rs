//! The hosts of one system, found by one of them, and changed one after the other.
//!
//! Decides in which order, when the turn of the next one is, and that a failure ends it. Nothing is kept but what the
//! hosts have: to go on is to begin again.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::{
    admin::{Admin, Answer},
    list,
};

/// How long the first host must do well before the others follow.
const FIRST: Duration = Duration::from_secs(3);
/// How long any may take until it does.
const WELL_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(200);

/// One host.
pub(super) struct Member {
    pub(super) url: String,
    pub(super) admin: Admin,
}

/// What became of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Another one failed before.
    Untouched,
    /// It was so already.
    Had,
    Changed,
    /// It was changed, and does not do well since.
    Unwell(String),
    /// It is as it was.
    Refused(String),
    /// It was changed, and is as it was again.
    TakenBack,
}

impl Turn {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Had => "had it",
            Self::Changed => "changed",
            Self::Unwell(_) => "unwell",
            Self::Refused(_) => "refused",
            Self::TakenBack => "taken back",
        }
    }

    /// Why it ended there.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Unwell(reason) | Self::Refused(reason) => Some(reason),
            _ => None,
        }
    }
}

/// The hosts that the one at `admin` knows, itself first, and gateways of those whose admin API nobody reaches.
pub(super) fn known(admin: &Admin) -> anyhow::Result<(Vec<Member>, Vec<String>)> {
    let told = admin.get("/v1/hosts")?.data()?;
    let others = list(&told["others"]).filter_map(Value::as_str);
    let member = |url: &str| Member { url: url.to_owned(), admin: admin.at(url) };
    let members = [admin.url()].into_iter().chain(others).map(member).collect();
    let unreachable = list(&told["unreachable"]).filter_map(Value::as_str).map(str::to_owned).collect();
    Ok((members, unreachable))
}

/// The same for whoever means to change them: all answer, and all are of one system.
pub(super) fn all(admin: &Admin) -> anyhow::Result<Vec<Member>> {
    let (members, unreachable) = known(admin)?;
    if !unreachable.is_empty() {
        bail!(
            "nothing was changed: others do not reach the admin API of the hosts at {}; let their `admin.listen` be an \
             address of the network",
            unreachable.join(", ")
        );
    }
    let mut system = None;
    for member in &members {
        let status = member.admin.get("/v1/status").and_then(Answer::data);
        let status = status.with_context(|| {
            format!(
                "nothing was changed: `{}` does not answer; Consul forgets a host a minute after its end",
                member.url
            )
        })?;
        let name = system.get_or_insert_with(|| status["name"].clone());
        if *name != status["name"] {
            bail!("nothing was changed: `{}` runs {}, not {name}", member.url, status["name"]);
        }
    }
    Ok(members)
}

/// Changes one after the other; the next one's turn is when the one before does well, the first for three seconds.
/// `change` says whether there was anything to change.
pub(super) fn in_turn(
    members: &[Member],
    mut change: impl FnMut(&Member) -> anyhow::Result<bool>,
    does_well: impl Fn(&Member) -> Result<(), String>,
) -> Vec<Turn> {
    let mut turns = vec![Turn::Untouched; members.len()];
    let mut has_changed = false;
    for (member, turn) in members.iter().zip(&mut turns) {
        *turn = match change(member) {
            Ok(changed) => {
                let during = if changed && !has_changed { FIRST } else { Duration::ZERO };
                has_changed |= changed;
                match steady(during, || does_well(member)) {
                    Ok(()) if changed => Turn::Changed,
                    Ok(()) => Turn::Had,
                    Err(reason) => Turn::Unwell(reason),
                }
            }
            Err(error) => Turn::Refused(format!("{error:#}")),
        };
        if turn.reason().is_some() {
            break;
        }
    }
    turns
}

/// Looks until it has been well for so long.
fn steady(during: Duration, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let began = Instant::now();
    let mut well_since = None;
    loop {
        let looked = look();
        match &looked {
            Ok(()) => {
                let since = *well_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= during {
                    return Ok(());
                }
            }
            Err(_) => well_since = None,
        }
        if began.elapsed() > WELL_WITHIN + during {
            return looked.map_err(|reason| format!("{reason}, {WELL_WITHIN:?} after the change"));
        }
        thread::sleep(LOOK);
    }
}

/// Whether a page of its health says so.
pub(super) fn is_well(member: &Member, page: &str) -> Result<(), String> {
    let answer = member.admin.get(page).map_err(|error| format!("{error:#}"))?;
    match answer.status.is_success() {
        true => Ok(()),
        false => Err(format!("`{page}` says {}", answer.document["status"].as_str().unwrap_or("no"))),
    }
}

/// For JSON: each host and what became of it, with what else there is to say of it.
pub(super) fn told(members: &[Member], turns: &[Turn], more: impl Fn(&Member) -> Value) -> Value {
    let host = |(member, turn): (&Member, &Turn)| {
        let mut host = json!({ "admin": member.url, "outcome": turn.word(), "reason": turn.reason() });
        if let (Some(host), Value::Object(more)) = (host.as_object_mut(), more(member)) {
            host.extend(more);
        }
        host
    };
    members.iter().zip(turns).map(host).collect()
}

/// The hosts of which this became.
pub(super) fn those<'a>(members: &'a [Member], turns: &[Turn], of: impl Fn(&Turn) -> bool) -> Vec<&'a str> {
    members.iter().zip(turns).filter(|(_, turn)| of(turn)).map(|(member, _)| &*member.url).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_is_well_only_when_it_stays_so() {
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            if looks.get() == 2 { Err("ill".to_owned()) } else { Ok(()) }
        };
        let began = Instant::now();
        assert_eq!(steady(LOOK * 2, look), Ok(()));
        assert!(looks.get() >= 4 && began.elapsed() >= LOOK * 3, "{looks:?}");
        assert_eq!(steady(Duration::ZERO, || Ok(())), Ok(()));
    }
}
