//! `auth.NAME.keys.store`, `host.trust_store`: by what several hosts share the keys that they generate.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Check, limiting::redis_store};
use crate::{
    AuthSettings, DatabasePlace, DatabaseSettings, HostSettings, KeySettings, KeyStore, Proof, RedisPlace,
    RedisSettings, UpstreamSettings,
};
use document::source::Key;
use document::structure::nearest;

/// Every name that is written, also where its table has mistakes.
#[derive(Clone, Copy)]
pub(crate) struct StoreNames<'a> {
    pub(crate) redis: &'a BTreeSet<Arc<str>>,
    pub(crate) postgres: &'a BTreeSet<Arc<str>>,
}

/// `redis.NAME` or `postgres.NAME`.
pub(super) fn key_store(check: &mut Check<'_>, key: &Key<'_>, text: &str, names: StoreNames<'_>) -> Option<KeyStore> {
    if text.starts_with("redis.") {
        return redis_store(check, key, (text, "keys"), names.redis).map(KeyStore::Redis);
    }
    let Some(name) = text.strip_prefix("postgres.") else {
        check.wrong(
            key,
            format_args!("`{text}` is no store of keys; write `redis.NAME` or `postgres.NAME`, or remove it"),
        );
        return None;
    };
    let found = names.postgres.get(name).cloned();
    if found.is_none() && check.whole {
        let fix = match nearest(name, names.postgres.iter().map(AsRef::as_ref)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "add it, or remove this line".to_owned(),
        };
        check.wrong(key, format_args!("there is no `[postgres.{name}]`; {fix}"));
    }
    found.map(KeyStore::Postgres)
}

/// Several hosts share an operator's Redis, but no keys that each makes for itself.
pub(crate) fn own_keys(
    check: &mut Check<'_>,
    key: &Key<'_>,
    issuers: &BTreeMap<Arc<str>, AuthSettings>,
    redis: &BTreeMap<Arc<str>, RedisSettings>,
    databases: &BTreeMap<Arc<str>, DatabaseSettings>,
) {
    for (name, settings) in issuers {
        let Some(store) = settings.keys.database() else { continue };
        if databases.get(store).is_some_and(|settings| matches!(settings.place, DatabasePlace::Embedded)) {
            let message = format!("`postgres.{store}` is private to one host; give it a `url`, or remove this line");
            check.wrong(&key.child(name).child("keys").child("store"), message);
        }
    }
    let Some(shared) = of_operators(redis) else { return };
    for (name, _) in
        issuers.iter().filter(|(_, settings)| matches!(settings.keys, KeySettings::Generated { store: None }))
    {
        check.warn(
            &key.child(name).child("keys"),
            format_args!(
                "each host makes keys of its own: several hosts on `redis.{shared}` refuse one another's tokens; \
                 with more than one, write `{{ generate = true, store = \"redis.{shared}\" }}`"
            ),
        );
    }
}

/// The same for the key that vouches for a host.
pub(crate) fn own_trust_key(
    check: &mut Check<'_>,
    key: &Key<'_>,
    host: &HostSettings,
    upstreams: &BTreeMap<Arc<str>, UpstreamSettings>,
    redis: &BTreeMap<Arc<str>, RedisSettings>,
) {
    let vouched = upstreams.values().find(|settings| settings.proof == Proof::Token);
    let (Some(vouched), Some(shared), None) = (vouched, of_operators(redis), &host.trust_store) else { return };
    check.warn(
        key,
        format_args!(
            "is missing: each host signs its calls of `{}` with a key of its own, and the other side knows that of one; \
             with more than one host of this manifest, write `trust_store = \"redis.{shared}\"`",
            vouched.name
        ),
    );
}

/// A Redis that several hosts may share.
fn of_operators(redis: &BTreeMap<Arc<str>, RedisSettings>) -> Option<&Arc<str>> {
    let shared = redis.iter().find(|(_, settings)| matches!(settings.place, RedisPlace::External { .. }));
    shared.map(|(name, _)| name)
}
