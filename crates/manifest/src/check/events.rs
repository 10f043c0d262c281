//! `[events]` and `services.NAME.events`.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use super::{Check, keyvalue::known_redis};
use crate::{
    ConsumerSettings, EventSettings, defaults,
    raw::{RawConsumer, RawEvents},
};
use document::source::Key;

pub(crate) fn events(
    check: &mut Check<'_>,
    key: &Key<'_>,
    raw: RawEvents,
    redis_names: &BTreeSet<Arc<str>>,
) -> Option<EventSettings> {
    let redis = check.required(&key.child("redis"), raw.redis, "main");
    let retain = check.within(&key.child("retain"), raw.retain, defaults::RETAIN, &defaults::RETAINS).get();
    let bytes_key = key.child("retain_bytes");
    let retain_bytes = check.bytes(&bytes_key, raw.retain_bytes, defaults::RETAIN_BYTES, &defaults::RETAINED_BYTES);
    let redis = redis.and_then(|redis| known_redis(check, &key.child("redis"), redis, redis_names))?;
    Some(EventSettings { redis, retain, retain_bytes })
}

pub(super) fn consumer(check: &mut Check<'_>, key: &Key<'_>, raw: RawConsumer) -> ConsumerSettings {
    let count = |number: u64| u32::try_from(number).ok().and_then(NonZeroU32::new).expect("within its range");
    let concurrency = check.within(
        &key.child("concurrency"),
        raw.concurrency,
        defaults::EVENT_CONCURRENCY,
        &defaults::EVENT_CONCURRENCIES,
    );
    let tries = check.within(&key.child("tries"), raw.tries, defaults::EVENT_TRIES, &defaults::TRIES);
    let backoff = check.within(&key.child("backoff"), raw.backoff, defaults::EVENT_BACKOFF, &defaults::BACKOFFS);
    let timeout = check.within(&key.child("timeout"), raw.timeout, defaults::EVENT_TIMEOUT, &defaults::TIMEOUTS);
    ConsumerSettings {
        concurrency: count(concurrency),
        tries: count(tries),
        backoff: backoff.get(),
        timeout: timeout.get(),
    }
}
