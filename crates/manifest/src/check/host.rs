//! `[host]`: what all services share.

use std::collections::BTreeSet;

use super::Check;
use crate::{HostSettings, Image, defaults, memory, raw::RawHost};
use document::source::Key;

pub(crate) fn host(check: &mut Check<'_>, key: &Key<'_>, raw: RawHost) -> HostSettings {
    HostSettings {
        data: check.path(&key.child("data"), raw.data.as_deref().unwrap_or(defaults::DATA)).unwrap_or_default(),
        drain: check.within(&key.child("drain"), raw.drain, defaults::DRAIN, &defaults::PAUSES).get(),
        linger: check.within(&key.child("linger"), raw.linger, defaults::LINGER, &defaults::PAUSES).get(),
        quick_compiler: raw.quick_compiler.unwrap_or(true),
        plain_registries: plain(check, &key.child("plain_registries"), raw.plain_registries),
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
