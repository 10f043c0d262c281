//! `[keyvalue.NAME]` and `permissions.keyvalue`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Check, name, service::mode};
use crate::{
    KeyValueSettings, defaults,
    raw::{Named, RawKeyValue, RawKeyValueGrant},
};
use document::quantity::Time;
use document::source::Key;
use document::structure::nearest;
use grant::keyvalue::KeyValueScope;

/// As long as a prefix may be.
const PREFIX_MAX_BYTES: usize = 255;

pub(crate) fn keyvalue(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawKeyValue,
    redis_names: &BTreeSet<Arc<str>>,
) -> Option<KeyValueSettings> {
    check.keep(key, name(key.name()));
    let redis = check.required(&key.child("redis"), raw.redis, "main");
    let ttl = raw.ttl.map(|ttl| {
        let key = key.child("ttl");
        check.within(&key, Some(ttl), *defaults::VALUE_TTLS.end(), &defaults::VALUE_TTLS)
    });
    let redis = redis.and_then(|redis| known_redis(check, &key.child("redis"), redis, redis_names))?;
    Some(KeyValueSettings { redis, ttl: ttl.map(Time::get), optional: raw.optional.unwrap_or(false) })
}

/// A name of `[redis]`, or what to do about it.
pub(super) fn known_redis(
    check: &mut Check<'_>,
    key: &Key<'_>,
    redis: String,
    names: &BTreeSet<Arc<str>>,
) -> Option<Arc<str>> {
    if let Some(known) = names.get(redis.as_str()) {
        return Some(known.clone());
    }
    if check.whole {
        match nearest(&redis, names.iter().map(AsRef::as_ref)) {
            Some(meant) => check.wrong(key, format_args!("there is no `[redis.{redis}]`; did you mean `{meant}`?")),
            None => check.wrong(key, format_args!("there is no `[redis.{redis}]`; add it")),
        }
    }
    None
}

/// `names` are all stores that are written, also where their tables have mistakes.
pub(super) fn stores(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: Named<RawKeyValueGrant>,
    names: &BTreeSet<Arc<str>>,
) -> BTreeMap<Arc<str>, KeyValueScope> {
    let mut granted = BTreeMap::new();
    for (store, grant) in raw {
        let key = key.child(&store);
        let scope = scope(check, &key, grant);
        match names.get(store.as_str()) {
            Some(store) => _ = scope.map(|scope| granted.insert(store.clone(), scope)),
            None => check.wrong(&key, unknown(&store, names)),
        }
    }
    granted
}

pub(super) fn scope(check: &mut Check<'_>, key: &Key<'_>, grant: RawKeyValueGrant) -> Option<KeyValueScope> {
    match grant {
        RawKeyValueGrant::Mode(raw) => Some(KeyValueScope { prefix: "".into(), mode: mode(raw) }),
        RawKeyValueGrant::Scope(raw) => {
            let prefix = raw.prefix.unwrap_or_default();
            check.keep(&key.child("prefix"), prefix_is_right(&prefix));
            let Some(raw) = raw.mode else {
                check.wrong(&key.child("mode"), "is missing; add `mode = \"read\"` or `mode = \"read-write\"`");
                return None;
            };
            Some(KeyValueScope { prefix: prefix.into(), mode: mode(raw) })
        }
    }
}

fn prefix_is_right(prefix: &str) -> Result<(), String> {
    if prefix.len() <= PREFIX_MAX_BYTES && !prefix.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("is no prefix; write up to {PREFIX_MAX_BYTES} bytes without control characters, like `users:`"))
}

fn unknown(store: &str, names: &BTreeSet<Arc<str>>) -> String {
    match nearest(store, names.iter().map(AsRef::as_ref)) {
        Some(meant) => format!("there is no `[keyvalue.{store}]`; did you mean `{meant}`?"),
        None => format!("there is no `[keyvalue.{store}]`; add it, or remove this permission"),
    }
}
