//! What a service may reach: the decision about a target, and about the addresses that its name turned out
//! to have.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{Net, NetAllow, NetPattern, Permission, Place, Target, TargetError, special};
use crate::{Denied, Fix, Granted, Grants, Permissions, Word};

/// A target that may be reached, if its addresses may.
#[derive(Debug, Clone)]
pub struct Destination {
    target: Target,
    /// The manifest's, then the ceiling's if there is one: each must admit an address.
    passes: Vec<Pass>,
    service: Arc<str>,
}

/// One word that allows a target.
#[derive(Debug, Clone)]
struct Pass {
    /// The entry that allows it; none when everything is allowed.
    entry: Option<NetPattern>,
    deny: Arc<[NetPattern]>,
    word: Word,
}

/// A decision about one target, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDecision {
    pub allowed: bool,
    /// The rule that decided.
    pub rule: String,
    /// The line that would allow it.
    pub line: Option<String>,
    /// Where that line goes.
    pub table: Option<String>,
}

impl Grants {
    /// Whether anything outside may be reached.
    pub fn has_net(&self) -> bool {
        self.left.net.open().is_none_or(|mut open| open.next().is_some())
    }

    /// Whether it may reach everything.
    pub fn is_unrestricted(&self) -> bool {
        self.left.net.is_everything()
    }

    /// Whether `target` may be reached as far as its name tells.
    ///
    /// # Errors
    /// [`Denied`] names the rule, and the line that would allow it.
    pub fn net(&self, target: &Target) -> Result<Granted<Destination>, Denied> {
        let denied =
            |rule: String, fix: Fix| Denied { service: self.service.clone(), target: target.to_string(), rule, fix };
        let by_ceiling = self.ceiling().map(|ceiling| (self.word(true), &ceiling.allowed().net));
        // In an audit more is let through than is written; denies stay.
        let manifest = if self.audit.is_some() { &self.left.net } else { &self.written.net };
        let words = || std::iter::once((self.word(false), manifest)).chain(by_ceiling.clone());
        for (word, net) in words() {
            if let Some(entry) = net.deny.iter().find(|entry| entry.denies(target)) {
                return Err(denied(denied_by(entry, &word), REMOVE_DENY));
            }
        }
        let mut passes = Vec::new();
        let index = match &self.written.net.allow {
            NetAllow::Everything => Some(0),
            NetAllow::Only(allow) => allow.iter().position(|entry| entry.allows(target)),
        };
        for (word, net) in words() {
            let entry = match &net.allow {
                NetAllow::Everything => None,
                NetAllow::Only(allow) => match allowing(allow, target) {
                    Some(entry) => Some(entry.clone()),
                    None => {
                        let rule = word.rule().unwrap_or_else(|| "no entry of `net` allows it".to_owned());
                        return Err(denied(rule, Fix::add(format!("net = [\"{target}\"]"), word)));
                    }
                },
            };
            passes.push(Pass { entry, deny: net.deny.clone(), word });
        }
        let destination = Destination { target: target.clone(), passes, service: self.service.clone() };
        // A literal address needs no look at DNS.
        if let Place::Address(address) = target.place {
            destination.admit(&[address])?;
        }
        let need = || {
            let allow = target.to_string().parse().map(|entry| [entry].into());
            Permissions {
                net: Net { allow: allow.map(NetAllow::Only).unwrap_or_default(), deny: [].into() },
                ..Permissions::default()
            }
        };
        Ok(self.granted(Net::KEY, index, need, destination))
    }

    /// Whether the name of `target` is open to sockets on any port; its port is not looked at.
    ///
    /// # Errors
    /// The rule against it, and what would allow it.
    pub(crate) fn name_is_allowed(&self, target: &Target) -> Result<(), (String, Fix)> {
        let Place::Name(name) = &target.place else { return Ok(()) };
        let by_ceiling = self.ceiling().map(|ceiling| (self.word(true), &ceiling.allowed().net));
        let words = || std::iter::once((self.word(false), &self.written.net)).chain(by_ceiling.clone());
        for (word, net) in words() {
            if let Some(entry) = net.deny.iter().find(|entry| entry.closes_name(name)) {
                return Err((denied_by(entry, &word), REMOVE_DENY));
            }
        }
        for (word, net) in words() {
            let is_open = match &net.allow {
                NetAllow::Everything => true,
                NetAllow::Only(allow) => allow.iter().any(|entry| entry.opens_name(name)),
            };
            if !is_open {
                let rule = word.rule().unwrap_or_else(|| "no entry of `net` allows it to sockets".to_owned());
                return Err((rule, Fix::add(format!("net = [\"{name}:PORT\"]"), word)));
            }
        }
        Ok(())
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
            let table = Some(self.word(false).table(&self.service));
            return Ok(NetDecision { allowed: false, rule, line: Some(format!("call = [\"{callee}\"]")), table });
        }
        let decided = self.net(&target).and_then(|granted| match addresses {
            [] => Ok(granted.get().rule()),
            some => granted.get().admit(some).map(|_admitted| granted.get().rule()),
        });
        Ok(NetDecision::of(decided, &self.service))
    }
}

impl NetDecision {
    /// In words what was decided for `service`: the rule that allows it, or the denial.
    pub(crate) fn of(decided: Result<String, Denied>, service: &str) -> Self {
        match decided {
            Ok(rule) => Self { allowed: true, rule, line: None, table: None },
            Err(denial) => {
                let (line, table) = (denial.fix.line().map(str::to_owned), denial.fix.table(service));
                Self { allowed: false, rule: denial.rule, line, table }
            }
        }
    }
}

impl Destination {
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The rule that allows it.
    pub(crate) fn rule(&self) -> String {
        let pass = |pass: &Pass| {
            let entry = pass.entry.as_ref();
            let entry = entry.map_or_else(|| "`net = true`".to_owned(), |entry| format!("\"{entry}\" of `net`"));
            match &pass.word {
                Word::Manifest(_) => format!("allowed by {entry}"),
                Word::Ceiling(file) => format!("and by {entry} in the operator's ceiling {}", file.display()),
            }
        };
        self.passes.iter().map(pass).collect::<Vec<_>>().join(", ")
    }

    /// The second look: those of `addresses`, in their order, that may be connected to.
    ///
    /// # Errors
    /// [`Denied`] when none of them may, with the rule against the first.
    pub fn admit(&self, addresses: &[IpAddr]) -> Result<Granted<Vec<SocketAddr>>, Denied> {
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

    fn against(&self, address: IpAddr) -> Option<Denied> {
        let found = Target { place: Place::Address(address), ..self.target.clone() };
        let denied = |rule: String, fix: Fix| {
            let target = match self.target.place {
                Place::Address(_) => self.target.to_string(),
                Place::Name(_) => format!("{} at {address}", self.target),
            };
            Some(Denied { service: self.service.clone(), target, rule, fix })
        };
        for pass in &self.passes {
            if let Some(entry) = pass.deny.iter().find(|entry| entry.denies(&found)) {
                return denied(denied_by(entry, &pass.word), REMOVE_DENY);
            }
        }
        let refused = |pass: &Pass| {
            let entry = pass.entry.as_ref()?;
            Some((entry.is_wildcard(), refused_address(&found, entry)?, pass.word.clone()))
        };
        let (is_wildcard, rule, word) = self.passes.iter().find_map(refused)?;
        let rule = match &word {
            Word::Manifest(_) => rule,
            Word::Ceiling(file) => format!("{rule}, in the operator's ceiling {}", file.display()),
        };
        let fix = match (&self.target.place, is_wildcard) {
            (Place::Name(_), true) if special::special(address).next().is_none() => {
                Fix::add(format!("net = [\"{}\"]", self.target), word)
            }
            (Place::Name(_), _) => NAME_THE_ADDRESS,
            (Place::Address(_), _) => Fix::add(format!("net = [\"{found}\"]"), word),
        };
        denied(rule, fix)
    }
}

const NAME_THE_ADDRESS: Fix =
    Fix::Other("no name leads there; an entry for the address itself lets the component dial that address");
const REMOVE_DENY: Fix = Fix::Other("a deny wins over every allow");

fn denied_by(entry: &NetPattern, word: &Word) -> String {
    match word {
        Word::Manifest(_) => format!("denied by \"{entry}\" of `net.deny`"),
        Word::Ceiling(file) => {
            format!("denied by \"{entry}\" of `net.deny` in the operator's ceiling {}", file.display())
        }
    }
}

/// The most generous of the entries that allow `target`.
fn allowing<'a>(allow: &'a [NetPattern], target: &Target) -> Option<&'a NetPattern> {
    let matching = || allow.iter().filter(|entry| entry.allows(target));
    // A literal address opens what a range does not.
    let opening = matching().find(|entry| refused_address(target, entry).is_none());
    // A name itself says more than a wildcard over it, wherever the two stand.
    let exact = || matching().find(|entry| !entry.is_wildcard());
    opening.filter(|_| matches!(target.place, Place::Address(_))).or_else(exact).or_else(|| matching().next())
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
