//! `[host]`: what all services share.

use std::{collections::BTreeSet, sync::Arc};

use super::{Check, limited, limiting::redis_store};
use crate::{HostSettings, Image, defaults, memory, raw::RawHost};
use document::{problem::chain, source::Key};
use gateway::auth::{PemKey, VerifyingKey};

pub(crate) fn host(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawHost,
    redis_names: &BTreeSet<Arc<str>>,
) -> HostSettings {
    let store_key = key.child("trust_store");
    let trust_store = raw.trust_store.and_then(|text| redis_store(check, &store_key, (&text, "keys"), redis_names));
    HostSettings {
        trust_store,
        data: check.path(&key.child("data"), raw.data.as_deref().unwrap_or(defaults::DATA)).unwrap_or_default(),
        drain: check.within(&key.child("drain"), raw.drain, defaults::DRAIN, &defaults::PAUSES).get(),
        linger: check.within(&key.child("linger"), raw.linger, defaults::LINGER, &defaults::PAUSES).get(),
        quick_compiler: raw.quick_compiler.unwrap_or(true),
        plain_registries: plain(check, &key.child("plain_registries"), raw.plain_registries),
        signed_by: signers(check, &key.child("import").child("signed_by"), raw.import.signed_by),
        allow_unrestricted: raw.allow_unrestricted.unwrap_or(false),
        guest_memory_bytes: check.bytes(
            &key.child("guest_memory"),
            raw.guest_memory,
            memory::one_of(2),
            &defaults::GUEST_MEMORIES,
        ),
        redis_memory_bytes: check.bytes(
            &key.child("redis_memory"),
            raw.redis_memory,
            memory::one_of(4).max(*defaults::REDIS_MEMORIES.start()),
            &defaults::REDIS_MEMORIES,
        ),
        artifacts_max_bytes: check.bytes(
            &key.child("artifacts_max"),
            raw.artifacts_max,
            defaults::ARTIFACTS_MAX,
            &defaults::ARTIFACTS,
        ),
    }
}

/// As many as anybody has.
const PLAIN_MAX: usize = 32;
const SIGNERS_MAX: usize = 32;
const PEM_BYTES_MAX: u64 = 64 << 10;

fn signers(check: &mut Check<'_>, key: &Key<'_>, written: Vec<String>) -> Vec<VerifyingKey> {
    if written.len() > SIGNERS_MAX {
        check.wrong(key, format_args!("has {} entries; at most {SIGNERS_MAX}", written.len()));
    }
    let signer = |(index, file): (usize, String)| {
        let key = key.item(index);
        let file = check.path(&key, &file)?;
        match limited(&file, PEM_BYTES_MAX).map(|bytes| PemKey::parse(&String::from_utf8_lossy(&bytes), None)) {
            Ok(Ok(PemKey::Public(public))) => return Some(public),
            Ok(Ok(PemKey::Private(_))) => check.wrong(&key, "holds a private key; only its public half belongs here"),
            Ok(Err(error)) => check.wrong(&key, chain(&error)),
            Err(error) => check.wrong(&key, format_args!("cannot read `{}`: {error}", file.display())),
        }
        None
    };
    written.into_iter().enumerate().filter_map(signer).collect()
}

fn plain(check: &mut Check<'_>, key: &Key<'_>, written: Vec<String>) -> BTreeSet<String> {
    if written.len() > PLAIN_MAX {
        check.wrong(key, format_args!("has {} entries; at most {PLAIN_MAX}", written.len()));
    }
    for (index, registry) in written.iter().enumerate() {
        if !Image::is_registry(registry) {
            check.wrong(
                &key.item(index),
                format_args!("`{registry}` is no registry; write a host, and its port if it has one of its own"),
            );
        }
    }
    written.into_iter().collect()
}
