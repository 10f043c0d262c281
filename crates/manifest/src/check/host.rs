//! `[host]`: what all services share.

use super::Check;
use crate::{HostSettings, defaults, memory, raw::RawHost};
use document::source::Key;

pub(crate) fn host(check: &mut Check<'_>, key: &Key<'_>, raw: RawHost) -> HostSettings {
    HostSettings {
        data: check.path(&key.child("data"), raw.data.as_deref().unwrap_or(defaults::DATA)).unwrap_or_default(),
        drain: check.within(&key.child("drain"), raw.drain, defaults::DRAIN, &defaults::PAUSES).get(),
        linger: check.within(&key.child("linger"), raw.linger, defaults::LINGER, &defaults::PAUSES).get(),
        quick_compiler: raw.quick_compiler.unwrap_or(true),
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
