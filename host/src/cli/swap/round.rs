//! One round through the hosts of a system with one build: what each says of itself, what it is sent, and what is told of it.

use std::{cell::Cell, path::Path};

use http::Method;
use serde_json::{Value, json};

use super::super::{
    Output,
    admin::{Answer, Body},
    list,
    several::{self, Member, Turn},
    table,
};
use crate::component::Digest;

/// Of fewer requests it is not asked how many failed.
const REQUESTS_MIN: u64 = 20;

/// A build for a service of all of them.
pub(super) struct Round<'a> {
    service: &'a str,
    accept: bool,
    digest: Digest,
    body: Body,
    /// What the host whose turn it is had answered, and with how many errors.
    before: Cell<(u64, u64)>,
}

impl<'a> Round<'a> {
    /// # Errors
    /// When the file is none that can be sent.
    pub(super) fn with(service: &'a str, file: &Path, accept: bool) -> anyhow::Result<Self> {
        let component = crate::component::read(file, None)?;
        let digest = Digest::of(&component);
        Ok(Self { service, accept, digest, body: Body::Wasm(component.into()), before: Cell::default() })
    }

    /// Whether the host whose turn it is has the build alone; its counts begin anew.
    pub(super) fn has_it(&self, member: &Member) -> anyhow::Result<bool> {
        let now = self.state(member)?;
        self.before.set(counts(&now));
        Ok(self.is_live(&now) && now["ramp"].is_null())
    }

    /// The host's answer to the build. `how` is more of the query.
    pub(super) fn send(&self, member: &Member, how: &str) -> anyhow::Result<Value> {
        let path = format!("/v1/services/{}/swap?acceptPermissions={}{how}", self.service, self.accept);
        let doing = format!("swapping {} at {}: compile, start, smoke request", self.service, member.url);
        member.admin.call(Method::POST, &path, Some(self.body.clone()), &doing)?.data()
    }

    /// Its health says so, and not half of its requests fail since its turn began.
    pub(super) fn does_well(&self, member: &Member) -> Result<(), String> {
        several::is_well(member, &format!("/health/services/{}", self.service))?;
        let now = counts(&self.state(member).map_err(|error| format!("{error:#}"))?);
        let before = self.before.get();
        let (requests, errors) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        match requests >= REQUESTS_MIN && errors * 2 > requests {
            true => Err(format!("{errors} of {requests} requests failed")),
            false => Ok(()),
        }
    }

    /// Back to the build before, where this one is live.
    pub(super) fn take_back(&self, member: &Member, turn: &mut Turn) {
        let is_live = || self.state(member).is_ok_and(|now| self.is_live(&now));
        if !matches!(turn, Turn::Changed | Turn::Unwell(_)) || !is_live() {
            return;
        }
        let path = format!("/v1/services/{}/rollback", self.service);
        let taken = member.admin.call(Method::POST, &path, None, "taking it back");
        match taken.and_then(Answer::data) {
            Ok(_) => *turn = Turn::TakenBack,
            Err(error) => *turn = Turn::Unwell(format!("it cannot be taken back: {error:#}")),
        }
    }

    /// What has which build now, as each host says itself.
    pub(super) fn print(&self, members: &[Member], turns: &[Turn], output: Output) -> anyhow::Result<()> {
        let live = |member: &Member| json!({ "version": self.state(member).map_or(Value::Null, |now| now["version"].clone()) });
        let hosts = several::told(members, turns, live);
        if output.json {
            return output.document(&json!({ "service": self.service, "hosts": hosts }));
        }
        let mut rows = vec![["HOST", self.service, "WHAT"].map(str::to_owned).to_vec()];
        rows.extend(list(&hosts).map(|host| {
            let word = |key: &str| host[key].as_str().unwrap_or("does not answer").to_owned();
            vec![word("admin"), word("version"), word("outcome")]
        }));
        output.text(&table(&rows))
    }

    fn state(&self, member: &Member) -> anyhow::Result<Value> {
        member.admin.get(&format!("/v1/services/{}", self.service))?.data()
    }

    fn is_live(&self, state: &Value) -> bool {
        state["digest"].as_str().and_then(|text| text.parse().ok()) == Some(self.digest)
    }
}

fn counts(state: &Value) -> (u64, u64) {
    (state["requests"].as_u64().unwrap_or(0), state["errors"].as_u64().unwrap_or(0))
}
