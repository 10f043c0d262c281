//! `[services.NAME.limits]`: how much one service may use up.

use std::num::NonZeroU32;

use super::Check;
use crate::{
    HostSettings, Limits, Reuse, defaults,
    raw::{RawLimits, RawReuse},
};
use document::quantity::Size;
use document::source::Key;

pub(super) fn limits(check: &mut Check<'_>, key: &Key<'_>, raw: RawLimits, host: &HostSettings) -> Limits {
    let queue = raw.queue.unwrap_or_default();
    let queue_key = key.child("queue");
    let length = check.within(&queue_key.child("length"), queue.length, defaults::QUEUE_LENGTH, &defaults::QUEUES);
    Limits {
        memory_bytes: memory(check, &key.child("memory"), raw.memory, host),
        timeout: check.within(&key.child("timeout"), raw.timeout, defaults::SERVICE_TIMEOUT, &defaults::TIMEOUTS).get(),
        cpu: check.within(&key.child("cpu"), raw.cpu, defaults::CPU, &defaults::TIMEOUTS).get(),
        concurrency: concurrency(check, &key.child("concurrency"), raw.concurrency),
        queue_length: u32::try_from(length).expect("the range fits"),
        queue_wait: check.within(&queue_key.child("wait"), queue.wait, defaults::QUEUE_WAIT, &defaults::PAUSES).get(),
        reuse: raw.reuse.map_or(Reuse::Fresh, |raw| warm(check, &key.child("reuse"), &raw)),
    }
}

fn memory(check: &mut Check<'_>, key: &Key<'_>, raw: Option<Size>, host: &HostSettings) -> u64 {
    let memory = check.bytes(key, raw, defaults::MEMORY, &defaults::MEMORIES);
    let all = host.guest_memory_bytes;
    if memory > all {
        let (memory, all) = (Size::bytes(memory), Size::bytes(all));
        check.wrong(
            key,
            format_args!(
                "memory is {memory}, but `host.guest_memory` is {all} for all instances; lower it or raise that"
            ),
        );
    }
    memory
}

fn concurrency(check: &mut Check<'_>, key: &Key<'_>, raw: Option<u64>) -> NonZeroU32 {
    let raw = match raw {
        Some(0) => {
            check.wrong(key, "concurrency is 0; to stop a service, remove its routes");
            None
        }
        other => other,
    };
    not_zero(check.within(key, raw, defaults::CONCURRENCY, &defaults::CONCURRENCIES))
}

fn warm(check: &mut Check<'_>, key: &Key<'_>, raw: &RawReuse) -> Reuse {
    let requests = match raw.requests {
        Some(0) => {
            check.wrong(&key.child("requests"), "requests is 0; for a fresh instance each time, remove `reuse`");
            defaults::REUSE_REQUESTS
        }
        other => check.within(&key.child("requests"), other, defaults::REUSE_REQUESTS, &defaults::REUSES),
    };
    let idle = check.within(&key.child("idle"), raw.idle, defaults::REUSE_IDLE, &defaults::IDLES);
    Reuse::Warm { requests_max: not_zero(requests), idle_max: idle.get() }
}

fn not_zero(count: u64) -> NonZeroU32 {
    u32::try_from(count).ok().and_then(NonZeroU32::new).expect("the range starts at 1 and fits")
}
