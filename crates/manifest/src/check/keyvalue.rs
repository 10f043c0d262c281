//! `[keyvalue.NAME]`.

use std::{collections::BTreeSet, sync::Arc};

use super::Check;
use crate::{KeyValueSettings, defaults, raw::RawKeyValue};
use document::name::check as name;
use document::quantity::Time;
use document::source::Key;
use document::structure::nearest;

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
    let memory_bytes = raw.memory.map(|memory| {
        let range = &defaults::STORE_MEMORIES;
        check.bytes(&key.child("memory"), Some(memory), *range.end(), range)
    });
    let redis = redis.and_then(|redis| known_redis(check, &key.child("redis"), redis, redis_names))?;
    let optional = raw.optional.unwrap_or(false);
    Some(KeyValueSettings { redis, ttl: ttl.map(Time::get), memory_bytes, optional })
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
