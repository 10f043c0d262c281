//! `[ceiling]`: what no service may exceed, in the operator's own file.
//!
//! The same keys as `services.NAME.permissions`, without a system beside them: no name is looked up,
//! and `*` stands for every name that is not written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::Arc,
};

use super::{Check, auth, events::topics, folder, keyvalue, name, reach, service::mode};
use crate::{
    Environment,
    raw::{Named, RawCall, RawEnv, RawKeyValueGrant, RawMode, RawNet, RawPermissions, RawSign},
    source::Key,
};
use document::problem::Problem;
use grant::{
    ANY, Ceiling, Mode, Permissions, SignGrant,
    call::CallScope,
    env::{EnvGrant, EnvPattern},
    keyvalue::KeyValueScope,
    net::{NetAllow, NetPermission},
};

/// What `[ceiling]` says; its mistakes go to `problems`.
pub(crate) fn ceiling(key: &Key<'_>, file: PathBuf, raw: RawPermissions, problems: &mut Vec<Problem>) -> Ceiling {
    let environment = Environment::new();
    let check = &mut Check {
        env: &environment,
        folder: PathBuf::new(),
        confines: None,
        named: BTreeSet::new(),
        whole: true,
        reserved: BTreeSet::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let allowed = Permissions {
        postgres: databases(check, &key.child("postgres"), raw.postgres),
        sign: raw.sign.and_then(|raw| signs(check, &key.child("sign"), raw)),
        passwords: raw.passwords.unwrap_or(false),
        call: calls(check, &key.child("call"), raw.call),
        net: net(check, &key.child("net"), raw.net),
        keyvalue: stores(check, &key.child("keyvalue"), raw.keyvalue),
        publish: topics(check, &key.child("publish"), &raw.publish, true),
        subscribe: topics(check, &key.child("subscribe"), &raw.subscribe, true),
        read: folder::ceiling(check, &key.child("read"), raw.read),
        write: folder::ceiling(check, &key.child("write"), raw.write),
        secrets: raw.secrets.iter().map(|name| name.as_str().into()).collect(),
        sockets: raw.sockets.unwrap_or(false),
    };
    let env = variables(check, &key.child("env"), raw.env);
    problems.append(&mut check.problems);
    Ceiling::new(file, allowed, env)
}

/// A name, or the star for all of them.
fn known(check: &mut Check<'_>, key: &Key<'_>, written: &str) -> Arc<str> {
    if written != ANY {
        check.keep(key, name(written));
    }
    written.into()
}

fn databases(check: &mut Check<'_>, key: &Key<'_>, raw: Named<RawMode>) -> BTreeMap<Arc<str>, Mode> {
    raw.into_iter().map(|(name, written)| (known(check, &key.child(&name), &name), mode(written))).collect()
}

fn stores(check: &mut Check<'_>, key: &Key<'_>, raw: Named<RawKeyValueGrant>) -> BTreeMap<Arc<str>, KeyValueScope> {
    let mut allowed = BTreeMap::new();
    for (name, written) in raw {
        let key = key.child(&name);
        let name = known(check, &key, &name);
        keyvalue::scope(check, &key, written).map(|scope| allowed.insert(name, scope));
    }
    allowed
}

fn signs(check: &mut Check<'_>, key: &Key<'_>, raw: RawSign) -> Option<SignGrant> {
    let auth = check.required(&key.child("auth"), raw.auth, "main");
    let (roles, ttl_max) = auth::tokens(check, key, raw.roles, raw.ttl_max);
    let auth = known(check, &key.child("auth"), &auth?);
    Some(SignGrant { auth, roles, ttl_max })
}

fn calls(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawCall>) -> BTreeMap<Arc<str>, CallScope> {
    match raw {
        None => BTreeMap::new(),
        Some(RawCall::Whole(callees)) => {
            let whole = |(index, callee): (usize, &String)| (known(check, &key.item(index), callee), CallScope::Whole);
            callees.iter().enumerate().map(whole).collect()
        }
        Some(RawCall::Narrow(callees)) => {
            let narrow = |(callee, requests): (String, Vec<String>)| {
                let key = key.child(&callee);
                (known(check, &key, &callee), CallScope::Only(reach::requests(check, &key, &requests)))
            };
            callees.into_iter().map(narrow).collect()
        }
    }
}

/// `true`, or a `*` in the list, allows every place; denies count all the same.
fn net(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawNet>) -> NetPermission {
    let mut allowed = |key: &Key<'_>, written: &[String]| match entries(check, key, written) {
        (true, _) => NetAllow::Everything,
        (false, only) => NetAllow::Only(only.into()),
    };
    match raw {
        None | Some(RawNet::Everything(false)) => NetPermission::default(),
        Some(RawNet::Everything(true)) => NetPermission { allow: NetAllow::Everything, ..NetPermission::default() },
        Some(RawNet::Allow(allow)) => NetPermission { allow: allowed(key, &allow), ..NetPermission::default() },
        Some(RawNet::Lists(lists)) => NetPermission {
            allow: allowed(&key.child("allow"), &lists.allow),
            deny: parsed(check, &key.child("deny"), lists.deny.iter().enumerate()).into(),
        },
    }
}

fn variables(check: &mut Check<'_>, key: &Key<'_>, raw: Option<RawEnv>) -> EnvGrant {
    let mut allowed = |key: &Key<'_>, written: &[String]| {
        let (everything, mut only) = entries(check, key, written);
        only.extend(everything.then(EnvPattern::everything));
        only
    };
    match raw {
        None => EnvGrant::default(),
        Some(RawEnv::Allow(allow)) => EnvGrant { allow: allowed(key, &allow), deny: Vec::new() },
        Some(RawEnv::Lists(lists)) => EnvGrant {
            allow: allowed(&key.child("allow"), &lists.allow),
            deny: parsed(check, &key.child("deny"), lists.deny.iter().enumerate()),
        },
    }
}

/// Whether one of them is the star, and the others.
fn entries<T: FromStr<Err: fmt::Display>>(check: &mut Check<'_>, key: &Key<'_>, written: &[String]) -> (bool, Vec<T>) {
    let named = written.iter().enumerate().filter(|(_, entry)| *entry != ANY);
    (written.iter().any(|entry| entry == ANY), parsed(check, key, named))
}

fn parsed<'t, T: FromStr<Err: fmt::Display>>(
    check: &mut Check<'_>,
    key: &Key<'_>,
    written: impl Iterator<Item = (usize, &'t String)>,
) -> Vec<T> {
    written.filter_map(|(index, text)| check.keep(&key.item(index), text.parse())).collect()
}
