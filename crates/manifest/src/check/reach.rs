//! What a service may reach: `permissions.net` outside of the host, `permissions.call` inside.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Check;
use crate::raw::{RawCall, RawNet};
use document::source::Key;
use document::structure::nearest;
use grant::{
    call::{CallPattern, CallScope},
    net::{NetAllow, NetPattern, NetPermission},
};

/// `unrestricted` is `host.allow_unrestricted`.
pub(super) fn net(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawNet>, unrestricted: bool) -> NetPermission {
    let (allow, deny) = match raw {
        None | Some(RawNet::Everything(false)) => return NetPermission::default(),
        Some(RawNet::Everything(true)) => {
            match unrestricted {
                true => check.warn(key, "reaches everything, this machine and its neighbours too; name hosts before it is deployed"),
                false => check.wrong(
                    key,
                    "would reach everything; name hosts, like `[\"api.example.com:443\"]`, or for development set `allow_unrestricted = true` in `[host]`",
                ),
            }
            return NetPermission { allow: NetAllow::Everything, ..NetPermission::default() };
        }
        Some(RawNet::Allow(allow)) => (patterns(check, key, &allow), Vec::new()),
        Some(RawNet::Lists(lists)) => {
            (patterns(check, &key.child("allow"), &lists.allow), patterns(check, &key.child("deny"), &lists.deny))
        }
    };
    for (key, pattern) in allow.iter().filter(|(_, pattern)| !pattern.has_port()) {
        check.warn(
            key,
            format_args!("\"{pattern}\" has no port and so means every port; write one, like \"{pattern}:443\""),
        );
    }
    let only = |patterns: Vec<(Key<'_>, NetPattern)>| patterns.into_iter().map(|(_, pattern)| pattern).collect();
    NetPermission { allow: NetAllow::Only(only(allow)), deny: only(deny) }
}

fn patterns<'a>(check: &mut Check<'_>, key: &Key<'a>, texts: &[String]) -> Vec<(Key<'a>, NetPattern)> {
    let parse = |(index, text): (usize, &String)| {
        let key = key.item(index);
        let pattern = check.keep(&key, text.parse())?;
        Some((key, pattern))
    };
    texts.iter().enumerate().filter_map(parse).collect()
}

/// The requests of one callee.
pub(super) fn requests(check: &mut Check<'_>, key: &Key<'_>, written: &[String]) -> Vec<CallPattern> {
    if written.is_empty() {
        check.wrong(key, "allows no request; write some, like `[\"GET /api/*\"]`, or remove it");
    }
    let parse = |(index, text): (usize, &String)| check.keep(&key.item(index), text.parse());
    written.iter().enumerate().filter_map(parse).collect()
}

/// `names` are all services that are written, also where their tables have mistakes.
pub(super) fn call(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: Option<RawCall>,
    names: &BTreeSet<Arc<str>>,
) -> BTreeMap<Arc<str>, CallScope> {
    let mut granted = BTreeMap::new();
    match raw {
        None => {}
        Some(RawCall::Whole(callees)) => {
            for (index, callee) in callees.iter().enumerate() {
                if known(check, &key.item(index), callee, names) {
                    granted.insert(callee.as_str().into(), CallScope::Whole);
                }
            }
        }
        Some(RawCall::Narrow(callees)) => {
            for (callee, requests) in callees {
                let key = key.child(&callee);
                let only = self::requests(check, &key, &requests);
                if known(check, &key, &callee, names) {
                    granted.insert(callee.into(), CallScope::Only(only));
                }
            }
        }
    }
    granted
}

fn known(check: &mut Check<'_>, key: &Key<'_>, callee: &str, names: &BTreeSet<Arc<str>>) -> bool {
    let known = names.contains(callee) || !check.whole;
    if !known {
        match nearest(callee, names.iter().map(AsRef::as_ref)) {
            Some(meant) => check.wrong(key, format_args!("there is no service `{callee}`; did you mean `{meant}`?")),
            None => check.wrong(key, format_args!("there is no service `{callee}`; add it, or remove this permission")),
        }
    }
    known
}
