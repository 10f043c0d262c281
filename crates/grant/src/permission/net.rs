//! `permissions.net`: what a service may reach outside of the host.
//!
//! Two looks: at the target as it was asked for ([`Grants::net`]), and at the addresses that its
//! name turned out to have ([`Destination::admit`]). Deny always wins. Names are resolved, and
//! connections made, elsewhere. How a target is written is `net/target`, an entry `net/pattern`,
//! which addresses are special `net/special`.

mod destination;
mod pattern;
mod special;
mod target;

use std::sync::Arc;

use document::source::Key;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ANY, Permission, Reading, Whose, lists_of, meets, union};
use crate::Import;

pub use destination::{Destination, NetDecision};
pub use pattern::NetPattern;
pub use target::{Place, Scheme, Target, TargetError};

/// What `permissions.net` says, in checked form. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Net {
    pub allow: NetAllow,
    pub deny: Arc<[NetPattern]>,
}

/// Where a service may go unless it is denied.
#[derive(Debug, Clone, PartialEq)]
pub enum NetAllow {
    Only(Arc<[NetPattern]>),
    /// `net = true`, for development.
    Everything,
}

impl Default for NetAllow {
    fn default() -> Self {
        Self::Only(Arc::default())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawNet {
    Everything(bool),
    Allow(Vec<String>),
    Lists(RawNetLists),
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNetLists {
    /// Hosts, `*.` domains, addresses or ranges, each with a port or without.
    #[serde(default)]
    allow: Vec<String>,
    /// The same, out of reach whatever `allow` says.
    #[serde(default)]
    deny: Vec<String>,
}

impl Permission for Net {
    const KEY: &'static str = "net";
    const EXAMPLE: &'static str = "net = [\"HOST:PORT\"]";
    type Raw = RawNet;

    fn read(raw: RawNet, key: &Key<'_>, reading: &mut Reading<'_>) -> Self {
        match raw {
            RawNet::Everything(false) => Self::default(),
            RawNet::Everything(true) => {
                read_everything(key, reading);
                Self { allow: NetAllow::Everything, deny: Arc::default() }
            }
            RawNet::Allow(entries) => Self { allow: allow(&entries, key, reading), deny: Arc::default() },
            RawNet::Lists(lists) => Self {
                allow: allow(&lists.allow, &key.child("allow"), reading),
                deny: reading.list(&key.child("deny"), &lists.deny).into_iter().map(|(_, entry)| entry).collect(),
            },
        }
    }

    /// As far as entries tell: each decision is made on both.
    fn within(&self, ceiling: &Self) -> Self {
        let allow = match (&self.allow, &ceiling.allow) {
            (all, NetAllow::Everything) | (NetAllow::Everything, all) => all.clone(),
            (NetAllow::Only(these), NetAllow::Only(those)) => {
                NetAllow::Only(meets(these, those, NetPattern::meet).into())
            }
        };
        let both = Self { allow, deny: union(&self.deny, &ceiling.deny).into() };
        let open: Option<Arc<[NetPattern]>> = both.open().map(|open| open.cloned().collect());
        Self { allow: open.map_or(NetAllow::Everything, NetAllow::Only), ..both }
    }

    fn lacking(&self, need: &Self) -> Self {
        let NetAllow::Only(needed) = &need.allow else {
            let lacks = self.allow != NetAllow::Everything;
            return if lacks { Self { deny: Arc::default(), ..need.clone() } } else { Self::default() };
        };
        let lacks: Vec<_> = needed.iter().filter(|entry| !self.grants(entry)).cloned().collect();
        Self { allow: NetAllow::Only(lacks.into()), deny: Arc::default() }
    }

    fn plus(&self, more: &Self) -> Self {
        let allow = match (&self.allow, &more.allow) {
            (NetAllow::Only(these), NetAllow::Only(those)) => NetAllow::Only(union(these, those).into()),
            _ => NetAllow::Everything,
        };
        Self { allow, deny: union(&self.deny, &more.deny).into() }
    }

    fn value(&self) -> Option<String> {
        match &self.allow {
            NetAllow::Everything => Some("true".to_owned()),
            NetAllow::Only(allow) => lists_of(allow, &self.deny),
        }
    }

    /// All entries, those too that a deny covers.
    fn decided(&self) -> Vec<String> {
        match &self.allow {
            NetAllow::Everything => vec!["net: everything".to_owned()],
            NetAllow::Only(allow) => allow.iter().map(|entry| format!("net {entry}")).collect(),
        }
    }

    fn is_asked_by(import: Import<'_>) -> bool {
        import.is_outgoing_http()
    }

    fn words(&self) -> Vec<String> {
        match self.open() {
            None => vec!["net: everything".to_owned()],
            Some(open) => open.map(|entry| format!("net {entry}")).collect(),
        }
    }
}

/// The entries of an `allow`; in a ceiling the star is every place.
fn allow(texts: &[String], key: &Key<'_>, reading: &mut Reading<'_>) -> NetAllow {
    let is_star = |text: &String| reading.whose == Whose::Ceiling && text == ANY;
    if texts.iter().any(is_star) {
        let others: Vec<String> = texts.iter().filter(|text| *text != ANY).cloned().collect();
        reading.list::<NetPattern>(key, &others);
        return NetAllow::Everything;
    }
    let entries = reading.list::<NetPattern>(key, texts);
    if matches!(reading.whose, Whose::Manifest { .. }) {
        for (key, entry) in entries.iter().filter(|(_, entry)| !entry.has_port()) {
            let advice = format!("\"{entry}\" has no port and so means every port; write one, like \"{entry}:443\"");
            reading.warn(key, advice);
        }
    }
    NetAllow::Only(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn read_everything(key: &Key<'_>, reading: &mut Reading<'_>) {
    match reading.whose {
        Whose::Manifest { unrestricted: true } => reading
            .warn(key, "reaches everything, this machine and its neighbours too; name hosts before it is deployed"),
        Whose::Manifest { unrestricted: false } => reading.wrong(
            key,
            "would reach everything; name hosts, like `[\"api.example.com:443\"]`, or for development set \
             `allow_unrestricted = true` in `[host]`",
        ),
        Whose::Ceiling | Whose::Component => {}
    }
}

impl Net {
    /// The entries that no deny covers; none when everything is allowed.
    fn open(&self) -> Option<impl Iterator<Item = &NetPattern>> {
        match &self.allow {
            NetAllow::Everything => None,
            NetAllow::Only(allow) => Some(allow.iter().filter(|entry| !self.denies(entry))),
        }
    }

    pub fn is_everything(&self) -> bool {
        self.allow == NetAllow::Everything
    }

    /// Whether a deny leaves nothing of `entry`.
    pub fn denies(&self, entry: &NetPattern) -> bool {
        self.deny.iter().any(|deny| deny.covers(entry))
    }

    /// Whether a component's need is met: by the same entry or a wider one, and no deny covers it.
    fn grants(&self, need: &NetPattern) -> bool {
        if self.denies(need) {
            return false;
        }
        match self.open() {
            None => true,
            Some(mut open) => {
                let usual = need.usual();
                let covers = |entry: &NetPattern, need: &NetPattern| entry.meet(need).as_ref() == Some(need);
                open.any(|entry| covers(entry, need) || usual.as_ref().is_some_and(|usual| covers(entry, usual)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
