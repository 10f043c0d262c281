//! `[keyvalue.NAME]`.

use std::{collections::BTreeSet, sync::Arc};

use super::{Check, name};
use crate::{KeyValueSettings, defaults, raw::RawKeyValue};
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
