//! What a service may reach outside of the host: `permissions.net`.
//!
//! Two looks: at the target as it was asked for ([`Grants::net`]), and at the addresses that its
//! name turned out to have ([`Destination::admit`]). Deny always wins. Names are resolved, and
//! connections made, elsewhere. How a target is written is `net/target`, an entry `net/pattern`,
//! which addresses are special `net/special`.

mod pattern;
mod special;
mod target;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use super::{Denial, Fix, Granted, Grants};

pub use pattern::NetPattern;
pub use target::{Place, Scheme, Target, TargetError};

/// What `permissions.net` says, in checked form. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetPermission {
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

/// A target that may be reached, if its addresses may.
#[derive(Debug, Clone)]
pub struct Destination {
    target: Target,
    /// The entry that allows it; none when everything is allowed.
    entry: Option<NetPattern>,
    deny: Arc<[NetPattern]>,
    service: Arc<str>,
    manifest: PathBuf,
}

/// A decision about one target, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDecision {
    pub allowed: bool,
    /// The rule that decided.
    pub rule: String,
    /// The line of `permissions` that would allow it.
    pub line: Option<String>,
}

impl Grants {
    /// Whether anything outside may be reached.
    pub fn has_net(&self) -> bool {
        match &self.permissions.net.allow {
            NetAllow::Everything => true,
            NetAllow::Only(allow) => !allow.is_empty(),
        }
    }

    /// Whether a component's need, in the words of an entry, is met: by the same entry, or because
    /// the one target that it names is allowed.
    pub fn covers(&self, entry: &str) -> bool {
        let same = |allow: &[NetPattern]| entry.parse::<NetPattern>().is_ok_and(|wanted| allow.contains(&wanted));
        let one = |target: Target| self.net(&target).is_ok();
        match &self.permissions.net.allow {
            NetAllow::Everything => true,
            NetAllow::Only(allow) => same(allow) || entry.parse().is_ok_and(one),
        }
    }

    /// Whether `target` may be reached as far as its name tells.
    ///
    /// # Errors
    /// [`Denial`] names the rule, and the line that would allow it.
    pub fn net(&self, target: &Target) -> Result<Granted<Destination>, Denial> {
        let net = &self.permissions.net;
        let denied =
            |rule: String, fix: Fix| Denial { service: self.service.clone(), target: target.to_string(), rule, fix };
        if let Some(entry) = net.deny.iter().find(|entry| entry.denies(target)) {
            return Err(denied(denied_by(entry), REMOVE_DENY));
        }
        let entry = match &net.allow {
            NetAllow::Everything => None,
            NetAllow::Only(allow) => {
                let matching = || allow.iter().filter(|entry| entry.allows(target));
                // The most generous of those that match: a literal address opens what a range does not.
                let opening = matching().find(|entry| refused_address(target, entry).is_none());
                // A name itself says more than a wildcard over it, wherever the two stand.
                let exact = || matching().find(|entry| !entry.is_wildcard());
                match opening
                    .filter(|_| matches!(target.place, Place::Address(_)))
                    .or_else(exact)
                    .or_else(|| matching().next())
                {
                    Some(entry) => Some(entry.clone()),
                    None => {
                        let line = format!("net = [\"{target}\"]");
                        let rule = "no entry of `net` allows it".to_owned();
                        return Err(denied(rule, Fix::add(line, &self.manifest)));
                    }
                }
            }
        };
        let destination = Destination {
            target: target.clone(),
            entry,
            deny: net.deny.clone(),
            service: self.service.clone(),
            manifest: self.manifest.clone(),
        };
        // A literal address needs no look at DNS.
        if let Place::Address(address) = target.place {
            destination.admit(&[address])?;
        }
        Ok(Granted(destination))
    }

    /// What [`Grants::net`] decides about `target` (`api.example.com:443`, `https://…`), in words.
    /// `addresses` are those it resolves to, as far as they are known.
    ///
    /// # Errors
    /// [`TargetError`] when the text is no target.
    pub fn explain_net(&self, target: &str, addresses: &[IpAddr]) -> Result<NetDecision, TargetError> {
        let target: Target = target.parse()?;
        if let Some(callee) = target.callee() {
            let rule = format!("`{callee}.internal` is a service of this host: `call` decides, not `net`");
            return Ok(NetDecision { allowed: false, rule, line: Some(format!("call = [\"{callee}\"]")) });
        }
        let decided = self.net(&target).and_then(|granted| match addresses {
            [] => Ok(granted.get().rule()),
            some => granted.get().admit(some).map(|_admitted| granted.get().rule()),
        });
        Ok(match decided {
            Ok(rule) => NetDecision { allowed: true, rule, line: None },
            Err(denial) => {
                NetDecision { allowed: false, rule: denial.rule, line: denial.fix.line().map(str::to_owned) }
            }
        })
    }
}

impl Destination {
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The rule that allows it.
    fn rule(&self) -> String {
        match &self.entry {
            Some(entry) => format!("allowed by \"{entry}\" of `net`"),
            None => "allowed by `net = true`".into(),
        }
    }

    /// The second look: those of `addresses`, in their order, that may be connected to.
    ///
    /// # Errors
    /// [`Denial`] when none of them may, with the rule against the first.
    pub fn admit(&self, addresses: &[IpAddr]) -> Result<Granted<Vec<SocketAddr>>, Denial> {
        let mut first = None;
        let mut admitted = Vec::new();
        for &address in addresses {
            match self.against(address) {
                None => admitted.push(SocketAddr::new(address, self.target.port)),
                Some(denial) => _ = first.get_or_insert(denial),
            }
        }
        match first {
            Some(denial) if admitted.is_empty() => Err(denial),
            _ => Ok(Granted(admitted)),
        }
    }

    fn against(&self, address: IpAddr) -> Option<Denial> {
        let found = Target { place: Place::Address(address), ..self.target.clone() };
        let denied = |rule: String, fix: Fix| {
            let target = match self.target.place {
                Place::Address(_) => self.target.to_string(),
                Place::Name(_) => format!("{} at {address}", self.target),
            };
            Some(Denial { service: self.service.clone(), target, rule, fix })
        };
        if let Some(entry) = self.deny.iter().find(|entry| entry.denies(&found)) {
            return denied(denied_by(entry), REMOVE_DENY);
        }
        let entry = self.entry.as_ref()?;
        let rule = refused_address(&found, entry)?;
        let fix = match (&self.target.place, entry.is_wildcard()) {
            (Place::Name(_), true) if special::special(address).next().is_none() => {
                Fix::add(format!("net = [\"{}\"]", self.target), &self.manifest)
            }
            (Place::Name(_), _) => NAME_THE_ADDRESS,
            (Place::Address(_), _) => Fix::add(format!("net = [\"{found}\"]"), &self.manifest),
        };
        denied(rule, fix)
    }
}

const NAME_THE_ADDRESS: Fix =
    Fix::Other("no name leads there; an entry for the address itself lets the component dial that address");
const REMOVE_DENY: Fix = Fix::Other("a deny wins over every allow");

fn denied_by(entry: &NetPattern) -> String {
    format!("denied by \"{entry}\" of `net.deny`")
}

/// Why the address of `found` may not be reached by way of `entry`, if so.
fn refused_address(found: &Target, entry: &NetPattern) -> Option<String> {
    let Place::Address(address) = found.place else { return None };
    let judged = special::judged(address);
    if let Some(range) = special::special(address).find(|range| !entry.opens(range)) {
        return Some(format!(
            "{judged} is special ({}), so only an entry for that very address or range opens it",
            range.what
        ));
    }
    if entry.is_wildcard() && special::is_private(judged) {
        return Some(format!("{judged} is private, and \"{entry}\" is a wildcard"));
    }
    None
}

#[cfg(test)]
mod tests;
